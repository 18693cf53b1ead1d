"""``batchq queue``: the queues as a table."""

from collections.abc import Sequence

from batchq.report.layout import Columns, Line, Look, Part, render
from batchq.report.states import state
from batchq.store.changing.queues import Queue
from batchq.visible import visible

_STATES = ("queued", "running", "lost", "scheduled", "blocked", "held", "succeeded", "failed", "cancelled")
_UNITS = {"s": 1, "m": 60, "h": 3600}


def table(queues: Sequence[Queue], look: Look) -> str:
    """The lines of the queues as one text."""
    return render(lines(queues), look) if queues else ""


def lines(queues: Sequence[Queue]) -> list[Line]:
    """A heading, and one line per queue: limit, rate, and jobs by state; states without any job are left out."""
    shown = [name for name in _STATES if any(queue.jobs.get(name) for queue in queues)]
    titles = ["QUEUE", "LIMIT", "RATE", *map(str.upper, shown), ""]
    columns = Columns(titles, right=titles[1:])
    rows: list[list[Part]] = []
    for queue in queues:
        limit: Part = ("paused", "yellow") if queue.paused else ("-" if queue.limit is None else f"{queue.limit:,}", "")
        counts = [
            (f"{number:,}", state(name)[1]) if (number := queue.jobs.get(name, 0)) else ("-", "") for name in shown
        ]
        rows.append([(visible(queue.name, one_line=True), ""), limit, (_rate(queue.rate), ""), *counts, ("", "")])
    below = columns.rows(rows)
    return [columns.head(), *below]


def _rate(rate: float | None) -> str:
    """``10/s``, ``30/m``, ``5/h``: the smallest unit in which the rate is at least one."""
    if rate is None:
        return "-"
    for unit, seconds in _UNITS.items():
        if rate * seconds >= 1:
            return f"{round(rate * seconds, 3):g}/{unit}"
    return f"{round(rate * 86_400, 3):g}/d"
