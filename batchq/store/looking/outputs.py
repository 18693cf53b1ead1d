"""The output of jobs: all that is stored, or the last part of it with jobs that failed."""

import json
from collections.abc import Iterable

from batchq.errors import MissingError
from batchq.jobs.selection import Selection, of_ids
from batchq.store.file.connection import Store
from batchq.store.looking import queries
from batchq.store.looking.pieces import STREAMS, Transcript, longest
from batchq.store.looking.rows import Failure, Job, Log, Output

Totals = dict[tuple[int, int], dict[str, int]]
LOG_BYTES = 16 * 1024  #: how much of its last output a failed job carries


def read(store: Store, id: int, attempt: int | None, stream: str) -> Output:
    """What ``attempt`` (None: the last one) of a job printed to ``stdout`` or ``stderr`` so far.

    Raises MissingError for a job or an attempt that does not exist. A job that never started has attempt 0.
    """
    return _output(store, id, _number(store, id, attempt), stream)


def printed(store: Store, id: int, attempt: int | None) -> Transcript:
    """What ``attempt`` (None: the last one) of a job printed so far to both streams, and in which order.

    Raises MissingError as ``read`` does.
    """
    return transcript(store, id, _number(store, id, attempt))


def transcript(store: Store, id: int, number: int) -> Transcript:
    """What an attempt of a job has printed so far; nothing if the attempt does not exist."""
    found, turns = {stream: Output(number, b"", b"", 0) for stream in STREAMS}, []
    for stream, head, tail, total, order in store.fetch(
        "SELECT stream, head, tail, total, turns FROM outputs WHERE job = ? AND number = ?", (id, number)
    ):
        found[stream] = Output(number, head, tail, total)
        turns.append(order)
    return Transcript(number, found, longest(turns))


def _number(store: Store, id: int, attempt: int | None) -> int:
    queries.require(store, of_ids([id]))
    ((last,),) = store.fetch("SELECT attempt FROM jobs WHERE id = :id", {"id": id})
    number = last if attempt is None else attempt
    if number != last and not 1 <= number < last:
        had = {0: "it never started", 1: "it had one"}.get(last, f"it had {last}")
        raise MissingError(f"job {id} has no attempt {number}: {had}")
    return int(number)


def of_jobs(store: Store, ids: list[int]) -> dict[int, dict[str, Output]]:
    """What the last attempts of these jobs printed, by job and stream; streams without output are missing."""
    rows = store.fetch(
        "SELECT o.job, o.stream, o.number, o.head, o.tail, o.total FROM json_each(:ids) AS wanted"
        " JOIN jobs ON jobs.id = wanted.value JOIN outputs AS o ON o.job = jobs.id AND o.number = jobs.attempt",
        {"ids": json.dumps(ids)},
    )
    found: dict[int, dict[str, Output]] = {}
    for job, stream, *output in rows:
        found.setdefault(job, {})[stream] = Output(*output)
    return found


def totals(store: Store, ids: list[int], streams: Iterable[str]) -> Totals:
    """How many bytes the attempts of these jobs have printed so far, by job and attempt, then by stream."""
    rows = store.fetch(
        "SELECT job, number, stream, total FROM outputs WHERE job IN (SELECT value FROM json_each(:ids))"
        " AND stream IN (SELECT value FROM json_each(:streams))",
        {"ids": json.dumps(ids), "streams": json.dumps([*streams])},
    )
    found: Totals = {}
    for job, number, stream, total in rows:
        found.setdefault((job, number), {})[stream] = total
    return found


def failures(store: Store, chosen: Selection | Iterable[int], limit: int) -> list[Failure]:
    """The first ``limit`` failed jobs of a selection, or of the given ids, in the order of their ids."""
    selection = chosen if isinstance(chosen, Selection) else of_ids(chosen)
    return [Failure(job, _log(store, job)) for job in queries.jobs(store, selection.in_state("failed"), limit)]


def on_hold(store: Store, ids: Iterable[int]) -> list[Failure]:
    """Those of the jobs that are held, with the last output of each, in the order of their ids."""
    return [Failure(job, _log(store, job)) for job in queries.jobs(store, of_ids(ids).in_state("held"), -1)]


def _output(store: Store, id: int, attempt: int, stream: str) -> Output:
    rows = store.fetch(
        "SELECT head, tail, total FROM outputs WHERE job = :id AND number = :attempt AND stream = :stream",
        {"id": id, "attempt": attempt, "stream": stream},
    )
    return Output(attempt, *rows[0]) if rows else Output(attempt, b"", b"", 0)


def _log(store: Store, job: Job) -> Log | None:
    for stream in ("stderr", "stdout"):
        out = _output(store, job.id, job.attempt, stream)
        whole = (out.tail or out.head) if out.cut else out.head + out.tail
        if whole.strip():
            return Log(stream, whole[-LOG_BYTES:], out.total > LOG_BYTES or out.cut > 0)
    return None
