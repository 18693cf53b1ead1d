"""The picture of ``batchq top``: a function from what was read, and what a person looks at, to lines. Pure."""

from collections.abc import Callable, Sequence

from batchq import clock
from batchq.clock import show_duration
from batchq.report import queues as tables
from batchq.report.layout import Columns, Line, Look, Part, line, render
from batchq.report.states import STYLES
from batchq.report.table import rate
from batchq.report.top import focus as looked_at
from batchq.report.top import jobs as listing
from batchq.report.top import rates
from batchq.report.top.contents import Contents
from batchq.report.top.focus import CONFIRM, LIST, TYPING, Focus
from batchq.report.widths import wrapped
from batchq.store.changing.queues import Queue
from batchq.store.looking.activity import Run
from batchq.visible import visible

_FEWEST = 4  #: lines that the list of jobs keeps, its heading among them
_SPACED = 20  #: rows of a terminal from which there are empty lines between the parts
_LONGEST_MESSAGE = 4  #: lines
_KEYS = "? help  q quit  h hold/release  c cancel  r retry  l log  / filter  s sort"


def whole(contents: Contents, state: str, look: Look) -> str:
    """Everything at once: all queues, all runs, the list of the jobs in ``state``, and why jobs failed."""
    every = len(contents.queues) + len(contents.runs) + len(contents.reasons)
    parts = [[_title(contents), _counts(contents)], _queues(contents, every), _runs(contents, every)]
    if contents.jobs:
        parts.append(listing.lines(contents.jobs, state, contents.at, look.width))
    parts.append(_reasons(contents, every))
    lines = [row for part in parts if part for row in (line(), *part)]
    return render(lines[1:], look)


def picture(contents: Contents, focus: Focus, columns: int, rows: int) -> list[Line]:
    """What fits into a terminal: at most ``rows`` lines, of which the last one has the keys or a message."""
    gap = [line()] if rows >= _SPACED else []
    room = rows - 3 - _FEWEST - 4 * len(gap)
    parts = ((_queues, contents.queues), (_runs, contents.runs), (_reasons, contents.reasons))
    given = shares(room, [len(found) + 1 if found else 0 for _, found in parts])
    queues, runs, reasons = (
        _part(make, contents, len(found), most) for (make, found), most in zip(parts, given, strict=True)
    )
    title = [_title(contents)] if rows > _FEWEST else []
    above = [*title, *_apart(gap, queues), *_apart(gap, runs), *gap, _tabs(contents, focus)]
    below = [*_apart(gap, reasons), *_foot(contents, focus, columns)]
    return [*above, *_list(contents, focus, columns, rows - len(above) - len(below)), *below][:rows]


def shares(room: int, wanted: Sequence[int]) -> list[int]:
    """How many of the lines that there is room for each part gets. One line alone would be a heading, so it gets none."""
    given = [0] * len(wanted)
    for place, lines in enumerate(wanted):
        if lines and room >= 2:
            given[place] = 2
            room -= 2
    while room > 0 and any(0 < got < lines for got, lines in zip(given, wanted, strict=True)):
        for place, lines in enumerate(wanted):
            if room > 0 and 0 < given[place] < lines:
                given[place] += 1
                room -= 1
    return given


def _part(make: Callable[[Contents, int], list[Line]], contents: Contents, number: int, most: int) -> list[Line]:
    """A heading and the first of ``number`` rows in at most ``most`` lines; the last one says how many are left out."""
    if number < most or most < 3:
        return make(contents, max(0, most - 1))
    return [*make(contents, most - 2), line((f"… {number - most + 2:,} more", "dim"))]


def _apart(gap: list[Line], lines: list[Line]) -> list[Line]:
    return [*gap, *lines] if lines else []


def _title(contents: Contents) -> Line:
    return line(("batchq top", "bold"), "  ", _pace(contents), f"  {clock.local(contents.at)[11:19]}  {contents.path}")


def _pace(contents: Contents) -> str:
    """``3.2 jobs/s, about 6 m 12 s left``."""
    if not any(not run.is_dead for run in contents.runs):
        return "no run at work"
    if not contents.per_second:
        return "no job ended in the last minute"
    left = rates.seconds_left(contents.open, contents.per_second)
    return rate(contents.per_second) + (f", about {show_duration(left * 1000)} left" if left is not None else "")


def _counts(contents: Contents) -> Line:
    parts: list[Part] = []
    for name, number in contents.counts.items():
        parts += [(", ", "")] if parts else []
        parts.append((f"{number:,} {name}", STYLES.get(name, "")))
    return line(*parts) if parts else line("no jobs")


def _queues(contents: Contents, most: int) -> list[Line]:
    return tables.lines(sorted(contents.queues, key=_least_active)[:most]) if contents.queues[:most] else []


def _least_active(queue: Queue) -> tuple[int, int, str]:
    return -queue.jobs.get("running", 0), -queue.jobs.get("queued", 0), queue.name


def _runs(contents: Contents, most: int) -> list[Line]:
    if not contents.runs[:most]:
        return []
    columns = Columns(("RUN", "PID", "HOST", "SLOTS", "SINCE", ""), right=("RUN", "PID", "SLOTS", "SINCE"))
    rows = columns.rows([
        [
            (str(run.id), ""), (str(run.pid), ""), (visible(run.host, one_line=True), ""),
            (f"{run.used}/{run.slots}", ""), (show_duration(contents.at - run.started_at), ""), _how(run),
        ] for run in contents.runs[:most]
    ])  # fmt: skip
    return [columns.head(), *rows]


def _how(run: Run) -> Part:
    if run.is_dead:
        return f"died{'; the next run takes its jobs back' if run.used else ''}", "yellow"
    return ("stopping", "yellow") if run.is_stopping else ("", "")


def _reasons(contents: Contents, most: int) -> list[Line]:
    if not contents.reasons[:most]:
        return []
    columns = Columns(("FAILED", "AGO", "WHY"), right=("FAILED", "AGO"))
    latest = sorted(contents.reasons, key=lambda one: -one.last)
    rows = columns.rows([
        [
            (f"{one.jobs:,}", ""), (show_duration(contents.at - one.last), ""),
            (f"{one.text}{f', {one.where}' if one.where else ''}", "red"),
        ] for one in latest[:most]
    ])  # fmt: skip
    return [columns.head(), *rows]


def _tabs(contents: Contents, focus: Focus) -> Line:
    """The lists with their numbers, the current one marked."""
    parts: list[Part] = []
    for state in looked_at.lists(contents, focus):
        text = f"{state or 'newest'} {looked_at.number(contents, state):,}"
        parts += [(f"[{text}]", "bold")] if state == focus.state else [(f" {text} ", STYLES.get(state, ""))]
    if focus.text:
        parts.append((f" filter: {visible(focus.text, one_line=True)}", "yellow"))
    if focus.sort:
        parts.append((f" by {focus.sort}", "yellow"))
    return line(*parts)


def _list(contents: Contents, focus: Focus, columns: int, room: int) -> list[Line]:
    """The heading and the jobs around the selected one, and empty lines up to ``room``."""
    rows = looked_at.ordered(contents, focus)
    if not rows:
        here = f"no {focus.state} jobs" if focus.state else "no jobs"
        text = "no job here contains this text" if focus.text else here
        return [line((text, "dim")), *[line()] * (room - 1)]
    fit = max(1, room - 1)
    index = looked_at.place(rows, focus)
    first = max(0, min(index - fit // 2, len(rows) - fit))
    lines = listing.lines(rows[first : first + fit], focus.state, contents.at, columns, rows[index].job.id)
    return [*lines, *[line()] * (room - len(lines))]


def _foot(contents: Contents, focus: Focus, columns: int) -> list[Line]:
    """A message, which may take a few lines, a question, or the keys."""
    if focus.message and focus.mode == LIST:
        text = visible(focus.message, one_line=True)
        return [line((text[start:end], "bold")) for start, end in wrapped(text, columns)][:_LONGEST_MESSAGE]
    return [_last_line(contents, focus)]


def _last_line(contents: Contents, focus: Focus) -> Line:
    if focus.mode == TYPING:
        return line(("filter: ", "bold"), f"{visible(focus.text, one_line=True)}_", ("  Enter: keep, Esc: drop", "dim"))
    if focus.mode == CONFIRM:
        named = [row.job for row in contents.jobs if row.job.id == focus.target]
        what = [f"  ({job.standing}) {visible(job.name or job.command, one_line=True)}" for job in named]
        return line((f"{focus.verb} job {focus.target}? y/n", "bold reverse"), *what)
    return line((_KEYS, "dim"))
