"""The table of jobs: rows as JSON for the script, which sorts and searches them, and the first ones as text."""

import json
from bisect import bisect_right

from batchq.clock import show_duration
from batchq.named import NamedTuple
from batchq.report.page.view import key_of
from batchq.report.page.zone import Zone
from batchq.store.looking.briefs import Brief, Briefs
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from batchq.report.reasons import Reason

FIRST = 100  #: rows that are there without scripts, and on each page with them
_LABEL = 100  #: characters of a name, a command or a reason that are shown
_REASONS = 2_000  #: reasons that the table names
_FIRST_STATES = ("failed", "lost", "held", "cancelled", "running")


class Column(NamedTuple):
    """A column: ``kind`` is what it holds, and ``is_right`` how it is aligned."""

    kind: str
    label: str
    is_right: bool = False


_COLUMNS = (
    Column("id", "job", True),
    Column("label", "name"),
    Column("batch", "batch"),
    Column("state", "state"),
    Column("queue", "queue"),
    Column("attempt", "attempts", True),
    Column("started", "started", True),
    Column("took", "took", True),
    Column("reason", "reason"),
)
_IF_THEY_DIFFER = ("batch", "queue")


class Table(NamedTuple):
    """The columns, the first rows as text, and all of them as JSON to be put into HTML."""

    columns: "list[Column]"
    first: list[list[str]]
    data: str


def table(briefs: Briefs, reasons: "Sequence[Reason]", zone: Zone) -> Table:
    """Return the table of some jobs, those that did not succeed first. Batch, queue and reason are shown if they differ."""
    jobs = sorted(briefs.jobs, key=_order)
    start = min((job.started_at for job in jobs if job.started_at is not None), default=0)
    reasons = reasons[:_REASONS]
    finder = _Finder(reasons)
    is_dated = len({zone.day(job.started_at) for job in jobs if job.started_at is not None}) > 1
    lists: dict[str, dict[str, int]] = {"state": {}, "queue": {}, "batch": {}}
    titles = [_clipped(reason.text) for reason in reasons]

    def place(kind: str, text: str) -> int:
        return lists[kind].setdefault(visible(text, one_line=True), len(lists[kind]))

    values: dict[str, Callable[[Brief], Any]] = {
        "id": lambda job: job.id,
        "label": _label,
        "batch": lambda job: place("batch", job.batch),
        "state": lambda job: place("state", job.state),
        "queue": lambda job: place("queue", job.queue),
        "attempt": lambda job: job.attempt,
        "started": lambda job: None if job.started_at is None else job.started_at - start,
        "took": lambda job: None if job.seconds is None else round(job.seconds, 3),
        "reason": finder.place,
    }
    texts: dict[str, Callable[[Brief], str]] = {
        "id": lambda job: str(job.id),
        "label": _label,
        "batch": lambda job: visible(job.batch, one_line=True),
        "state": lambda job: visible(job.state, one_line=True),
        "queue": lambda job: visible(job.queue, one_line=True),
        "attempt": lambda job: str(job.attempt or ""),
        "started": lambda job: (
            "" if job.started_at is None else (zone.second if is_dated else zone.clock)(job.started_at)
        ),
        "took": lambda job: "" if job.seconds is None else show_duration(round(job.seconds, 3) * 1000),
        "reason": lambda job: titles[found] if (found := finder.place(job)) >= 0 else "",
    }
    differ = {kind: len({values[kind](job) for job in jobs}) > 1 for kind in _IF_THEY_DIFFER} | {
        "reason": bool(reasons)
    }
    columns = [column for column in _COLUMNS if differ.get(column.kind, True)]
    kinds = [column.kind for column in columns]
    data = {
        "start": start + zone.offset * 1000,
        "dated": is_dated,
        "kinds": kinds,
        "rows": [[values[kind](job) for kind in kinds] for job in jobs],
        "lists": {kind: [*found] for kind, found in lists.items()} | {"reason": titles},
        "causes": [" ".join(reason.causes) or key_of(reason, number) for number, reason in enumerate(reasons)],
    }
    return Table(columns, [[texts[kind](job) for kind in kinds] for job in jobs[:FIRST]], _for_html(data))


def note(briefs: Briefs) -> str:
    """Return which jobs the table leaves out, if any."""
    some = (
        f"One in {briefs.step:,} of the jobs that did not succeed"
        if briefs.step > 1
        else "All jobs that did not succeed"
    )
    if briefs.step_succeeded > 1:
        return f"{some}, and one in {briefs.step_succeeded:,} of the others."
    return f"{some}, and all others." if briefs.step > 1 else ""


def _order(job: Brief) -> tuple[int, int]:
    known = job.state in _FIRST_STATES
    return _FIRST_STATES.index(job.state) if known else len(_FIRST_STATES) + (job.state == "succeeded"), job.id


def _label(job: Brief) -> str:
    return _clipped(job.label)


def _clipped(text: str) -> str:
    text = visible(text, one_line=True)
    return text if len(text) <= _LABEL else text[:_LABEL] + "…"


class _Finder:
    """Finds the reason for which a job failed, by the ids of its jobs."""

    def __init__(self, reasons: "Sequence[Reason]") -> None:
        spans = sorted((*span, n) for n, reason in enumerate(reasons) for span in reason.ids)
        self._lows = [low for low, _, _ in spans]
        self._spans = spans

    def place(self, job: Brief) -> int:
        """Return the place of its reason in the list of reasons; -1 if it has none."""
        at = bisect_right(self._lows, job.id) - 1
        return self._spans[at][2] if job.state == "failed" and at >= 0 and job.id <= self._spans[at][1] else -1


def _for_html(data: "dict[str, Any]") -> str:
    """Return JSON that cannot end the element around it: it has no ``<``, and nothing outside ASCII."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
