"""The output of the reading commands as JSON, schema 1: ``{"schema": 1, "kind": …}``. Times are ISO 8601 in UTC,
durations are seconds.

Everything outside ASCII is escaped, so hostile job output cannot harm a terminal or break an encoding. Bytes that are
not UTF-8 appear as ``\\xff`` (four characters).
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from batchq.clock import iso
from batchq.jobs.asciijson import dump
from batchq.jobs.fields import FIELDS, Field
from batchq.report.ending import ending
from batchq.store.looking.rows import Attempt, Detail, End, Failure, Filed, Job, Spread

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
        failures=[_failure(failure) for failure in report.failures],
        retry=report.retry,
        slowest=[_job(job) for job in report.slowest],
        running=[_job(job) for job in report.running],
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
        return _job
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
    return _document("job", job=_detail(detail))


def details(jobs: Iterable[Detail]) -> Iterator[str]:
    """Jobs with their attempts as one document of kind ``jobs``, in pieces, one job per line."""
    yield f'{{"schema": {SCHEMA}, "kind": "jobs", "jobs": ['
    before = "\n"
    for job in jobs:
        yield before + dump(_detail(job))
        before = ",\n"
    yield "\n]}\n"


def _detail(detail: Detail) -> "dict[str, Any]":
    return _job(detail.job) | {
        "add": detail.add_id,
        "cwd": detail.cwd,
        "path": detail.path,
        **stored(detail.terms),
        "interruptions": detail.interruptions,
        "cancel_asked": detail.cancel_asked,
        "attempts": [_attempt(attempt) for attempt in detail.attempts],
    }


def stored(values: "Mapping[str, Any]") -> "dict[str, Any]":
    """Stored fields of a job, by name, as JSON has them: seconds, times, lists; of a stdin only its size."""
    return dict(_printed(FIELDS[name], value) for name, value in values.items())


def _printed(field: Field, value: "Any") -> "tuple[str, Any]":
    if field.stored_as == "bytes":
        return f"{field.name}_bytes", None if value is None else len(value)
    if field.form in ("list", "table") and not value:
        return field.name, [0] if field.stored_as == "codes" else []
    if field.form == "flag":
        return field.name, bool(value)
    return field.name, value if value is None or field.stored_as is None else _STORED[field.stored_as](value)


def _names(text: str) -> list[str]:
    """The names of variables: their values may be secrets."""
    variables = parsed(text)
    return [*variables] if isinstance(variables, dict) else []


def _codes(text: str) -> list[int] | str:
    words = text.split(",")
    return [int(word) for word in words] if all(word.isdecimal() and len(word) < 20 for word in words) else text


def changed(verb: str, done: "Changed") -> str:
    """The jobs that a command has changed, as one document whose kind is the verb."""
    return _document(verb, changed=done.jobs, followed=done.also, left_alone=done.left_alone, jobs=done.ids)


def _job(job: Job) -> "dict[str, Any]":
    return {
        "id": job.id,
        "name": job.name,
        "batch": job.batch,
        "queue": job.queue,
        "state": job.state,
        "lost": job.is_lost,
        "why": job.why,
        "kind": job.kind,
        "command": job.command,
        "work": parsed(job.work),
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "failures": job.failures,
        "crashes": job.crashes,
        "key": job.key,
        "tags": json.loads(job.tags) if job.tags else [],
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "due_at": iso(job.due_at),
        "seconds": job.seconds,
        "cpu_seconds": job.cpu_seconds,
        "peak_kib": job.peak_kib,
        "host": job.host,
        "logs": _logs(job.logs),
    } | _end(job.end)


def _failure(failure: Failure) -> "dict[str, Any]":
    log = failure.log
    return _job(failure.job) | {
        "traceback": failure.job.traceback,
        "log": None if log is None else log.data.decode("utf-8", "backslashreplace"),
        "log_stream": None if log is None else log.stream,
        "log_cut": log is not None and log.cut,
    }


def _attempt(attempt: Attempt) -> "dict[str, Any]":
    return {
        "attempt": attempt.number,
        "started_at": iso(attempt.started_at),
        "finished_at": iso(attempt.finished_at),
        "seconds": attempt.seconds,
        "cpu_seconds": attempt.cpu_seconds,
        "peak_kib": attempt.peak_kib,
        "leftovers": attempt.leftovers,
        "threads": attempt.threads,
        "result": parsed(attempt.result) if attempt.result else None,
        "traceback": attempt.traceback,
        "runner": attempt.runner,
        "host": attempt.host,
        "stdout_bytes": attempt.stdout_bytes,
        "stderr_bytes": attempt.stderr_bytes,
        "logs": _logs(attempt.logs),
    } | _end(attempt.end)


def _logs(logs: Sequence[Filed]) -> "list[dict[str, Any]]":
    return [{"stream": log.stream, "path": log.path, "incomplete": log.trouble} for log in logs]


def _end(end: End | None) -> "dict[str, Any]":
    return {
        "outcome": end and end.outcome,
        "ended": end and ending(end),
        "exit_code": end and end.exit_code,
        "signal": end and end.signal,
        "error_type": end and end.error_type,
        "error": end and end.error,
        "cause": end and end.cause,
    }


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


def parsed(text: str) -> "Any":
    """Stored JSON as a value; as text if it is nested too deeply or contains what is not JSON (NaN)."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (RecursionError, ValueError):
        return text


def _no_constant(name: str) -> "Any":
    raise ValueError(name)


#: By ``Field.stored_as``
_STORED: "dict[str, Callable[[Any], Any]]" = {
    "ms": lambda value: value / 1000 if isinstance(value, (int, float)) else value,
    "time": iso,
    "json": parsed,
    "names": _names,
    "codes": _codes,
    "octal": lambda mask: f"{mask:03o}",
}
