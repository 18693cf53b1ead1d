"""What a key does in ``batchq top``: the next view, and what is to be done besides. Pure."""

from batchq.named import NamedTuple
from batchq.report.top import pager
from batchq.report.top import view as looked_at
from batchq.report.top.contents import Contents
from batchq.report.top.view import CONFIRM, HELP, LIST, LOG, SORTS, TYPING, View

QUIT, READ = "quit", "read"  #: what a key may ask for, besides the verbs that change a job


class Pressed(NamedTuple):
    """The view after a key, and what it asks for: ``QUIT``, ``READ`` (other jobs), a verb for the job ``target``, or ""."""

    view: View
    asks: str = ""
    target: int = 0


def press(view: View, key: str, contents: Contents, rows: int) -> Pressed:
    """Press a key, on a terminal with so many rows."""
    view = view._replace(message="")
    match view.mode:
        case mode if mode in (LOG, HELP):
            return _in_pager(view, key, max(1, rows - pager.FRAME))
        case mode if mode == TYPING:
            return _typing(view, key)
        case mode if mode == CONFIRM:
            back = view._replace(mode=LIST)
            return (
                Pressed(back, view.verb, view.target)
                if key in ("y", "Y")
                else Pressed(back._replace(message="left as it is"))
            )
    return _in_list(view, key, contents, rows)


def _in_pager(view: View, key: str, page: int) -> Pressed:
    if key in ("q", "escape", "left", "?"):
        return Pressed(view._replace(mode=LIST, below=0), READ)
    by = {"up": 1, "k": 1, "pageup": page, "b": page, "down": -1, "j": -1, "enter": -1, "pagedown": -page, " ": -page}
    if key in ("home", "g"):
        return Pressed(view._replace(below=pager.TOP))
    if key in ("end", "G"):
        return Pressed(view._replace(below=0), READ)
    return Pressed(view._replace(below=max(0, view.below + by.get(key, 0))))


def _typing(view: View, key: str) -> Pressed:
    if key == "enter":
        return Pressed(view._replace(mode=LIST))
    if key == "escape":
        return Pressed(view._replace(mode=LIST, text=""), READ)
    if key == "backspace":
        return Pressed(view._replace(text=view.text[:-1]), READ)
    return Pressed(view._replace(text=view.text + key), READ) if len(key) == 1 else Pressed(view)


def _in_list(view: View, key: str, contents: Contents, rows: int) -> Pressed:
    if key == "q":
        return Pressed(view, QUIT)
    if key == "?":
        return Pressed(view._replace(mode=HELP, below=pager.TOP))
    if key == "/":
        return Pressed(view._replace(mode=TYPING))
    if key == "escape":
        return Pressed(view._replace(text=""), READ)
    if key in ("left", "right"):
        return _next_list(view, contents, 1 if key == "right" else -1)
    if key == "s":
        names = [*SORTS]
        sort = names[(names.index(view.sort) + 1) % len(names)]
        return Pressed(view._replace(sort=sort, row=0, selected=0))
    if key in (steps := _steps(max(1, rows // 2))):
        return Pressed(_moved(view, contents, steps[key]))
    return _on_job(view, key, contents)


def _on_job(view: View, key: str, contents: Contents) -> Pressed:
    row = looked_at.selected(contents, view)
    if key not in ("enter", "l", "h", "c", "r"):
        return Pressed(view, READ)
    if row is None:
        return Pressed(view._replace(message="no job is selected"))
    id = row.job.id
    if key in ("enter", "l"):
        return Pressed(view._replace(mode=LOG, target=id, below=0), READ)
    if key == "c":
        return Pressed(view._replace(mode=CONFIRM, verb="cancel", target=id))
    if key == "r":
        return Pressed(view, "retry", id)
    return Pressed(view, "release" if row.job.state == "held" else "hold", id)


def _next_list(view: View, contents: Contents, step: int) -> Pressed:
    states = looked_at.lists(contents, view)
    state = states[(states.index(view.state) + step) % len(states)]
    return Pressed(view._replace(state=state, row=0, selected=0), READ)


def _steps(page: int) -> dict[str, int]:
    last = 1 << 30
    return {
        "up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page, " ": page,
        "home": -last, "g": -last, "end": last, "G": last,
    }  # fmt: skip


def _moved(view: View, contents: Contents, step: int) -> View:
    rows = looked_at.ordered(contents, view)
    if not rows:
        return view
    index = max(0, min(looked_at.place(rows, view) + step, len(rows) - 1))
    return view._replace(row=index, selected=rows[index].job.id)
