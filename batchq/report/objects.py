"""Rows of the store as JSON objects: a job, its attempts, a failure, stored fields.

Times are ISO 8601 in UTC, durations are seconds; bytes that are not UTF-8 appear as ``\\xff`` (four characters).
"""

import json
from collections.abc import Callable, Mapping, Sequence

from batchq.clock import iso
from batchq.jobs.fields import FIELDS, Field
from batchq.report.ending import ending
from batchq.store.looking.rows import Attempt, Detail, End, Failure, Filed, Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def of_job(job: Job) -> "dict[str, Any]":
    """A job, with how its last attempt ended."""
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


def of_failure(failure: Failure) -> "dict[str, Any]":
    """A failed job, with its traceback and the end of its output."""
    log = failure.log
    return of_job(failure.job) | {
        "traceback": failure.job.traceback,
        "log": None if log is None else log.data.decode("utf-8", "backslashreplace"),
        "log_stream": None if log is None else log.stream,
        "log_cut": log is not None and log.cut,
    }


def of_attempt(attempt: Attempt) -> "dict[str, Any]":
    """One attempt; while it runs nothing of its end is known."""
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


def of_detail(detail: Detail) -> "dict[str, Any]":
    """A job with all its fields and its attempts."""
    return of_job(detail.job) | {
        "add": detail.add_id,
        "cwd": detail.cwd,
        "path": detail.path,
        **stored(detail.terms),
        "interruptions": detail.interruptions,
        "cancel_asked": detail.cancel_asked,
        "attempts": [of_attempt(attempt) for attempt in detail.attempts],
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
