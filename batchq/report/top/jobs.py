"""The list of jobs of ``batchq top``: which columns it has at which width, and the line of each job."""

from collections.abc import Sequence

from batchq.clock import show_duration
from batchq.report.detail import size
from batchq.report.ending import ending
from batchq.report.layout import Columns, Line, Part
from batchq.report.states import LOST, state
from batchq.report.top.contents import Row
from batchq.report.widths import clipped
from batchq.visible import visible

_COLUMNS = {  # of each list, with what the last one is called
    "running": ("ID", "AGE", "CPU", "MEMORY", "HOST", "QUEUE", "JOB", "LAST LINE"),
    "queued": ("ID", "WAITS", "QUEUE", "JOB", ""),
    "scheduled": ("ID", "DUE IN", "QUEUE", "JOB", "WHY"),
    "blocked": ("ID", "WAITS", "QUEUE", "JOB", ""),
    "held": ("ID", "WAITS", "QUEUE", "JOB", "WHY"),
    "failed": ("ID", "AGO", "HOST", "QUEUE", "JOB", "HOW"),
    "": ("ID", "STATE", "HOST", "QUEUE", "JOB", "HOW"),
}
_RIGHT = ("ID", "AGE", "WAITS", "DUE IN", "AGO", "CPU", "MEMORY")
_ONLY_FROM = {"MEMORY": 60, "HOST": 60, "QUEUE": 80}  #: narrower terminals do not have these columns
_HERE, _ELSEWHERE = ("CPU", "MEMORY"), "HOST"  #: columns of jobs that run on this machine, and of others
_LONGEST_QUEUE = 20
_LONGEST_HOST = 30  #: at most, and at most a quarter of the window
_NONE: Part = ("-", "dim")


def lines(rows: Sequence[Row], shown: str, at: int, columns: int | None, marked: int = 0) -> list[Line]:
    """A heading and a line for each job of a list; ``columns`` is the width (None: lines stay whole).

    The job ``marked`` is the selected one. If none is (0), no room is left for the mark.
    """
    hidden = _without_values(rows)
    titles = [
        title
        for title in _COLUMNS[shown]
        if title not in hidden and (columns is None or columns >= _ONLY_FROM.get(title, 0))
    ]
    table = Columns([" ", *titles] if marked else titles, right=_RIGHT)
    cells = []
    for row in rows:
        found = _cells(row, shown, at, columns)
        mark: list[Part] = [(">" if row.job.id == marked else " ", "")] if marked else []
        cells.append([*mark, *(found[title] for title in titles)])
    below = table.rows(cells)
    below = [
        line._replace(parts=tuple((text, "reverse") for text, _ in line.parts)) if row.job.id == marked else line
        for row, line in zip(rows, below, strict=True)
    ]
    return [table.head(), *below]


def _without_values(rows: Sequence[Row]) -> Sequence[str]:
    """The columns that say nothing: of all jobs elsewhere no processor and memory are known, and jobs here name no host."""
    if not any(row.job.host for row in rows):
        return (_ELSEWHERE,)
    return _HERE if all(row.cpu is None and row.memory is None for row in rows) else ()


def _cells(row: Row, shown: str, at: int, columns: int | None) -> dict[str, Part]:
    job = row.job
    about = _about(row, shown, at)
    longest = None if columns is None else max(10, columns * 2 // 5 if about else columns)
    return {
        "ID": (str(job.id), ""),
        "STATE": state(job.standing),
        "AGE": _NONE if job.started_at is None else (show_duration(job.running_for(at)), ""),
        "WAITS": (show_duration(at - job.created_at), ""),
        "DUE IN": _NONE if job.due_at is None else (show_duration(job.due_at - at), ""),
        "AGO": _NONE if job.finished_at is None else (show_duration(at - job.finished_at), ""),
        "CPU": _NONE if row.cpu is None else (f"{row.cpu * 100:.0f} %", ""),
        "MEMORY": _NONE if row.memory is None else (size(row.memory), ""),
        "HOST": _NONE
        if job.host is None
        else (_safe(job.host, None if columns is None else min(_LONGEST_HOST, columns // 4)), ""),
        "QUEUE": (_safe(job.queue, None if columns is None else _LONGEST_QUEUE), ""),
        "JOB": (_safe(job.name or job.command, longest), "bold" if job.name else ""),
        _COLUMNS[shown][-1]: about,
    }


def _about(row: Row, shown: str, at: int) -> Part:
    job = row.job
    if job.is_lost:
        return LOST, "yellow"
    if job.state == "running" and shown == "" and job.started_at is not None:
        return f"for {show_duration(job.running_for(at))}", ""
    if job.end is not None and (job.state in ("failed", "cancelled") or job.why == "retry"):
        said = "" if job.end.error_type or not row.line else f": {row.line}"
        retried = "retry after " if job.why == "retry" else ""
        return _safe(f"{retried}{ending(job.end)}{said}"), "red" if job.state == "failed" else ""
    if job.state in ("running", "succeeded"):
        return _safe(row.line), ""
    return _safe(job.why or ""), ""


def _safe(text: str, longest: int | None = None) -> str:
    text = visible(text, one_line=True)
    return text if longest is None else clipped(text, longest)
