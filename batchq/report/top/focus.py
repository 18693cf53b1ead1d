"""What a person looks at in ``batchq top``: a list of jobs, the selected one, and what is open above it. Pure values."""

from collections.abc import Sequence

from batchq.named import NamedTuple
from batchq.report.top.contents import Contents, Row
from batchq.store.looking.activity import STATES

LIST, LOG, HELP, TYPING, CONFIRM = "list", "log", "help", "typing", "confirm"  #: the modes
SORTS = {  #: besides the order of the list itself; "" is that order
    "": None,
    "id": lambda row: row.job.id,
    "cpu": lambda row: -(row.cpu or 0.0),
    "memory": lambda row: -(row.memory or 0),
    "queue": lambda row: (row.job.queue, row.job.id),
    "name": lambda row: (row.job.name or row.job.command, row.job.id),
}


class Focus(NamedTuple):
    """``state`` names the list, "" the one of the newest jobs. The job ``selected`` was in this ``row`` when last seen.

    ``text`` is the filter. The change ``verb`` of the job ``target`` waits for a confirmation, or ``target`` is the job
    whose log is open. Of a log or the help, ``below`` are the lines under those that are shown. ``message`` replaces the
    keys in the last line until the next key.
    """

    state: str = "running"
    mode: str = LIST
    selected: int = 0
    row: int = 0
    sort: str = ""
    text: str = ""
    verb: str = ""
    target: int = 0
    below: int = 0
    message: str = ""


def lists(contents: Contents, focus: Focus) -> list[str]:
    """The lists that a person can go to: the states that have jobs, the current list, and that of the newest jobs."""
    return [*(state for state in STATES if number(contents, state) or state == focus.state), ""]


def number(contents: Contents, state: str) -> int:
    """How many jobs a list has; lost jobs are in that of the running ones."""
    if not state:
        return sum(contents.counts.values())
    return contents.counts.get(state, 0) + (contents.counts.get("lost", 0) if state == "running" else 0)


def ordered(contents: Contents, focus: Focus) -> list[Row]:
    """The jobs of the list as they are sorted."""
    key = SORTS[focus.sort]
    return [*contents.jobs] if key is None else sorted(contents.jobs, key=key)


def place(rows: Sequence[Row], focus: Focus) -> int:
    """Where the selected job is now; if it has left the list, its place has the job that follows."""
    for index, row in enumerate(rows):
        if row.job.id == focus.selected:
            return index
    return max(0, min(focus.row, len(rows) - 1))


def selected(contents: Contents, focus: Focus) -> Row | None:
    """The selected job; None in an empty list."""
    rows = ordered(contents, focus)
    return rows[place(rows, focus)] if rows else None


def settled(contents: Contents, focus: Focus) -> Focus:
    """The same focus after new contents: it selects a job that is in the list."""
    rows = ordered(contents, focus)
    index = place(rows, focus)
    return focus._replace(row=index, selected=rows[index].job.id if rows else 0)
