"""Stored jobs and their output, as Python values."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from batchq.report.ending import ending
from batchq.store.looking import outputs, queries, rows

if TYPE_CHECKING:
    from batchq.jobs.selection import Selection
    from batchq.store.file.connection import Store

_PAGE = 100  #: jobs that are read at a time; each may have a result of 1 MiB


class JobInfo(NamedTuple):
    """One stored job and its last attempt, as they were when the job was read; it does not change afterwards.

    ``state`` is held, blocked, scheduled, queued, running, succeeded, failed or cancelled, and ``why`` the reason for it.
    ``attempt`` is the number of attempts so far. Times are datetimes in UTC.

    Of the last attempt: ``outcome`` (succeeded, failed, timed_out, crashed, interrupted or cancelled), ``exit_code``,
    ``signal`` (its number), ``seconds`` (how long it ran), ``error`` (one line, such as ``"exit code 3"``; None after a
    success), ``traceback``, and ``result`` (what the callable returned). All are None before the first attempt and
    while one runs.

    ``stdout`` and ``stderr`` are the kept output as text; bytes that are not UTF-8 are shown as ``\\xff``. ``Store.logs``
    returns the bytes. ``host`` is where the last attempt ran, or runs now; None on the machine of its run.
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
    outcome: str | None
    exit_code: int | None
    signal: int | None
    seconds: float | None
    error: str | None
    traceback: str | None
    result: Any
    stdout: str
    stderr: str
    host: str | None


class Logs(NamedTuple):
    """The output of one attempt of a job, as bytes.

    If it printed more than is kept, a line in brackets between the beginning and the end names how many bytes are missing.
    ``attempt`` is 0, and the output empty, if the job has not started yet.
    """

    job: int
    attempt: int
    stdout: bytes
    stderr: bytes


def infos(opened: "Callable[[], Store]", chosen: "Selection") -> "Iterator[JobInfo]":
    """Yield the chosen jobs in the order of their ids, read page by page; ``opened`` returns the store for each page."""
    for page in _pages(opened, chosen):
        ids = [job.id for job in page]
        results, printed = queries.results(opened(), ids), outputs.of_jobs(opened(), ids)
        yield from (_job_info(job, results.get(job.id), printed.get(job.id, {})) for job in page)


def printed(opened: "Callable[[], Store]", chosen: "Selection", attempt: int | None) -> "Iterator[Logs]":
    """Yield the output of this attempt of the chosen jobs, by default the last. Raises MissingError if one never had it."""
    for page in _pages(opened, chosen):
        for job in page:
            out, err = (outputs.read(opened(), job.id, attempt, name) for name in ("stdout", "stderr"))
            yield Logs(job.id, out.attempt, _whole(out), _whole(err))


def _pages(opened: "Callable[[], Store]", chosen: "Selection") -> "Iterator[list[rows.Job]]":
    last = 0
    while page := queries.jobs(opened(), chosen, _PAGE, last):
        last = page[-1].id
        yield page


def _job_info(job: rows.Job, result: str | None, printed: Mapping[str, rows.Output]) -> JobInfo:
    """Return the value for a row; ``result`` is the result of the last attempt in JSON, or None; ``printed`` has its
    output by stream."""
    end = job.end
    stdout, stderr = (_whole(printed[name]) if name in printed else b"" for name in ("stdout", "stderr"))
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
        None if end is None else end.outcome,
        None if end is None else end.exit_code,
        None if end is None else end.signal,
        job.seconds,
        None if end is None or end.outcome == "succeeded" else ending(end),
        job.traceback,
        None if result is None else json.loads(result),
        stdout.decode("utf-8", "backslashreplace"),
        stderr.decode("utf-8", "backslashreplace"),
        job.host,
    )


def _whole(output: rows.Output) -> bytes:
    """Return the kept beginning and end of a stream, with a line between them for what is missing."""
    missing = f"\n[batchq: {output.cut:,} bytes are missing here]\n".encode() if output.cut else b""
    return output.head + missing + output.tail


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
