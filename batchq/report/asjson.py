"""The output of the reading commands as JSON, schema 1: ``{"schema": 1, "kind": …}``. Times are ISO 8601 in UTC,
durations are seconds.

Everything outside ASCII is escaped, so hostile job output cannot harm a terminal or break an encoding.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from batchq.clock import iso
from batchq.jobs.asciijson import dump
from batchq.report import objects
from batchq.store.looking.rows import Detail, Job, Spread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.report import explanation as explaining
    from batchq.report.formats import Scope
    from batchq.report.summary import Summary
    from batchq.store.changing.control import Changed
    from batchq.store.changing.queues import Queue

SCHEMA = 1


def report(report: "Summary") -> str:
    """A Summary as one document of kind ``report``."""
    from batchq.report import change, reasons  # loaded already, with the summary; other documents do without

    timing = report.timing
    return _document(
        "report",
        at=iso(report.at),
        store=report.store,
        host=os.uname().nodename,
        jobs=report.jobs,
        counts=report.counts,
        lost=report.lost,
        first_started=iso(timing.first_started),
        last_finished=iso(timing.last_finished),
        seconds=_seconds(report.span),
        runs=len(report.runs),
        worked_seconds=_seconds(report.worked),
        jobs_per_second=None if report.per_second is None else round(report.per_second, 3),
        attempts=timing.attempts,
        retries=timing.retries,
        busy_seconds=round(timing.busy_seconds, 3),
        cpu_seconds=round(timing.cpu_seconds, 3),
        failures=[objects.of_failure(failure) for failure in report.failures],
        retry=report.retry,
        slowest=[objects.of_job(job) for job in report.slowest],
        running=[objects.of_job(job) for job in report.running],
        next_due=iso(report.next_due),
        change=report.change and change.as_values(report.change),
        causes=[reasons.as_values(one) for one in report.reasons],
        took=_spread(report.took, report.sample),
        waited=_spread(report.waited, report.sample),
    )


def _spread(spread: "Spread | None", sample: int) -> "dict[str, Any] | None":
    """``sample`` is how many jobs it was computed from; null: from all."""
    if spread is None:
        return None
    return {name: round(seconds, 3) for name, seconds in spread._asdict().items()} | {"sample": sample or None}


def listing(scope: "Scope", total: int) -> Iterator[str]:
    """Jobs as one document of kind ``list``, in pieces, one job per line; ``total`` is the number of selected jobs."""
    yield f'{{"schema": {SCHEMA}, "kind": "list", "total": {total}, "jobs": ['
    before, values = "\n", _values(scope)
    for page in scope.pages():
        for job in page:
            yield before + dump(values(job))
            before = ",\n"
    yield "\n]}\n"


def _values(scope: "Scope") -> "Callable[[Job], dict[str, Any]]":
    """What an object has: all of a job, or the columns that were asked for."""
    if not (asked := scope.columns):
        return objects.of_job
    from batchq.report.columns import Now

    now = Now(scope.at)
    return lambda job: {one.word: one.column.value(job, now) for one in asked}


def lines(scope: "Scope") -> Iterator[str]:
    """Jobs as JSON lines: the objects of ``listing``, one per line, each with the schema, page by page."""
    values = _values(scope)
    for page in scope.pages():
        yield "".join([f"{dump({'schema': SCHEMA} | values(job))}\n" for job in page])


def detail(detail: Detail) -> str:
    """One job with its attempts as one document of kind ``job``."""
    return _document("job", job=objects.of_detail(detail))


def details(jobs: Iterable[Detail]) -> Iterator[str]:
    """Jobs with their attempts as one document of kind ``jobs``, in pieces, one job per line."""
    yield f'{{"schema": {SCHEMA}, "kind": "jobs", "jobs": ['
    before = "\n"
    for job in jobs:
        yield before + dump(objects.of_detail(job))
        before = ",\n"
    yield "\n]}\n"


def changed(verb: str, done: "Changed") -> str:
    """The jobs that a command has changed, as one document whose kind is the verb."""
    return _document(verb, changed=done.jobs, followed=done.also, left_alone=done.left_alone, jobs=done.ids)


def explanation(job: Job, reasons: "Sequence[explaining.Reason]") -> str:
    """The reasons why one job waits, or ended the way it did."""
    return _document("explanation", **_explained(job, reasons))


def explanations(explained: "Iterable[tuple[Job, Sequence[explaining.Reason]]]") -> str:
    """The same for several jobs, as one document."""
    return _document("explanations", jobs=[_explained(job, reasons) for job, reasons in explained])


def _explained(job: Job, reasons: "Sequence[explaining.Reason]") -> "dict[str, Any]":
    listed = [{"reason": one.word, "text": one.text} for one in reasons]
    return {"job": job.id, "state": job.state, "reasons": listed}


def queues(found: "Sequence[Queue]") -> str:
    """The queues with their settings and their jobs by state; ``rate`` is in starts per second."""
    return _document("queues", queues=[one._asdict() for one in found])


def waited(counts: Mapping[str, int], status: int) -> str:
    """The awaited jobs by state, and the exit code of the wait."""
    return _document("wait", status=status, jobs=dict(counts))


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _document(kind: str, **fields: "Any") -> str:
    return dump({"schema": SCHEMA, "kind": kind} | fields, indent=2) + "\n"
