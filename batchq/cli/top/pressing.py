"""What a key does in ``batchq top``: the next focus, and what is to be done besides. Pure."""

from batchq.named import NamedTuple
from batchq.report.top import focus as looked_at
from batchq.report.top import pager
from batchq.report.top.contents import Contents
from batchq.report.top.focus import CONFIRM, HELP, LIST, LOG, SORTS, TYPING, Focus

QUIT, READ = "quit", "read"  #: what a key may ask for, besides the verbs that change a job


class Pressed(NamedTuple):
    """The focus after a key, and what that asks for: ``QUIT``, ``READ`` (other jobs), a verb for the job ``target``."""

    focus: Focus
    asks: str = ""
    target: int = 0


def press(focus: Focus, key: str, contents: Contents, rows: int) -> Pressed:
    """Press a key, on a terminal with so many rows."""
    focus = focus._replace(message="")
    match focus.mode:
        case mode if mode in (LOG, HELP):
            return _in_pager(focus, key, max(1, rows - pager.FRAME))
        case mode if mode == TYPING:
            return _typing(focus, key)
        case mode if mode == CONFIRM:
            back = focus._replace(mode=LIST)
            return (
                Pressed(back, focus.verb, focus.target)
                if key in ("y", "Y")
                else Pressed(back._replace(message="left as it is"))
            )
    return _in_list(focus, key, contents, rows)


def _in_pager(focus: Focus, key: str, page: int) -> Pressed:
    if key in ("q", "escape", "left", "?"):
        return Pressed(focus._replace(mode=LIST, below=0), READ)
    by = {"up": 1, "k": 1, "pageup": page, "b": page, "down": -1, "j": -1, "enter": -1, "pagedown": -page, " ": -page}
    if key in ("home", "g"):
        return Pressed(focus._replace(below=pager.TOP))
    if key in ("end", "G"):
        return Pressed(focus._replace(below=0), READ)
    return Pressed(focus._replace(below=max(0, focus.below + by.get(key, 0))))


def _typing(focus: Focus, key: str) -> Pressed:
    if key == "enter":
        return Pressed(focus._replace(mode=LIST))
    if key == "escape":
        return Pressed(focus._replace(mode=LIST, text=""), READ)
    if key == "backspace":
        return Pressed(focus._replace(text=focus.text[:-1]), READ)
    return Pressed(focus._replace(text=focus.text + key), READ) if len(key) == 1 else Pressed(focus)


def _in_list(focus: Focus, key: str, contents: Contents, rows: int) -> Pressed:
    if key == "q":
        return Pressed(focus, QUIT)
    if key == "?":
        return Pressed(focus._replace(mode=HELP, below=pager.TOP))
    if key == "/":
        return Pressed(focus._replace(mode=TYPING))
    if key == "escape":
        return Pressed(focus._replace(text=""), READ)
    if key in ("left", "right"):
        return _next_list(focus, contents, 1 if key == "right" else -1)
    if key == "s":
        names = [*SORTS]
        sort = names[(names.index(focus.sort) + 1) % len(names)]
        return Pressed(focus._replace(sort=sort, row=0, selected=0))
    if key in (steps := _steps(max(1, rows // 2))):
        return Pressed(_moved(focus, contents, steps[key]))
    return _on_job(focus, key, contents)


def _on_job(focus: Focus, key: str, contents: Contents) -> Pressed:
    row = looked_at.selected(contents, focus)
    if key not in ("enter", "l", "h", "c", "r"):
        return Pressed(focus, READ)
    if row is None:
        return Pressed(focus._replace(message="no job is selected"))
    id = row.job.id
    if key in ("enter", "l"):
        return Pressed(focus._replace(mode=LOG, target=id, below=0), READ)
    if key == "c":
        return Pressed(focus._replace(mode=CONFIRM, verb="cancel", target=id))
    if key == "r":
        return Pressed(focus, "retry", id)
    return Pressed(focus, "release" if row.job.state == "held" else "hold", id)


def _next_list(focus: Focus, contents: Contents, step: int) -> Pressed:
    states = looked_at.lists(contents, focus)
    state = states[(states.index(focus.state) + step) % len(states)]
    return Pressed(focus._replace(state=state, row=0, selected=0), READ)


def _steps(page: int) -> dict[str, int]:
    last = 1 << 30
    return {
        "up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page, " ": page,
        "home": -last, "g": -last, "end": last, "G": last,
    }  # fmt: skip


def _moved(focus: Focus, contents: Contents, step: int) -> Focus:
    rows = looked_at.ordered(contents, focus)
    if not rows:
        return focus
    index = max(0, min(looked_at.place(rows, focus) + step, len(rows) - 1))
    return focus._replace(row=index, selected=rows[index].job.id)
