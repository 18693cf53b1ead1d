"""A stored job as Python sees it."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from batchq.report.ending import ending
from batchq.store import rows


class JobInfo(NamedTuple):
    """One stored job and how its last attempt ended, at the moment it was read.

    ``state`` is held, blocked, scheduled, queued, running, succeeded, failed or cancelled; ``why`` says more about it.
    ``attempt`` counts the attempts so far. ``seconds``, ``error`` (in words, as in "exit code 3"), ``traceback`` and
    ``result`` (what the callable returned) are those of the last attempt: None while it runs, and before the first.
    """

    id: int
    name: str | None
    batch: str
    queue: str
    key: str | None
    tags: tuple[str, ...]
    state: str
    why: str | None
    command: str
    attempt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    error: str | None
    traceback: str | None
    result: Any


def job_info(job: rows.Job, result: str | None) -> JobInfo:
    """The value for a row; ``result`` is the JSON that its last attempt returned, None where it returned none."""
    return JobInfo(
        job.id,
        job.name,
        job.batch,
        job.queue,
        job.key,
        tuple(json.loads(job.tags)) if job.tags else (),
        job.state,
        job.why,
        job.command,
        job.attempt,
        _moment(job.created_at),
        None if job.started_at is None else _moment(job.started_at),
        None if job.finished_at is None else _moment(job.finished_at),
        job.seconds,
        None if job.end is None or job.end.outcome == "succeeded" else ending(job.end),
        job.traceback,
        None if result is None else json.loads(result),
    )


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
