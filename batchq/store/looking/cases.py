"""Jobs as a test report has them: the totals of each batch, and what the failed attempts of a job left."""

from collections.abc import Iterator

from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.looking import queries
from batchq.store.looking.rows import End, Job, Log
from batchq.store.selecting import condition
from batchq.store.states import ON_HOLD

EARLIER = 5  #: earlier failed attempts of a job that are read, the newest ones
KEPT = 8 * 1024  #: last bytes of each stream, and characters of a traceback, that are read
_PAGE = 200  #: jobs that are in memory together, each perhaps with a traceback of 64 KiB

_TOTALS = f"""
SELECT jobs.batch, count(*), count(*) FILTER (WHERE jobs.state = 'failed'),
    count(*) FILTER (WHERE jobs.state = 'failed' AND a.outcome = 'crashed'),
    count(*) FILTER (WHERE {ON_HOLD}),
    count(*) FILTER (WHERE jobs.state = 'succeeded'), total(a.seconds), min(jobs.started_at)
FROM jobs LEFT JOIN attempts AS a ON a.job = jobs.id AND a.number = jobs.attempt WHERE {{}} GROUP BY jobs.batch
ORDER BY jobs.batch"""
_FAILED = "job = :job AND number < :last AND outcome IN ('failed', 'timed_out', 'crashed')"
_ATTEMPTS = f"""
SELECT number, substr(traceback, -{KEPT}), outcome, exit_code, signal, error_type, error, :timeout, cause FROM attempts
WHERE {_FAILED} ORDER BY number DESC LIMIT {EARLIER}"""
_OUTPUT = f"""
SELECT stream, coalesce(substr(head, -{KEPT}), x''), coalesce(substr(tail, -{KEPT}), x''), total,
    length(head) + length(tail)
FROM outputs WHERE job = ? AND number = ?"""


class Totals(NamedTuple):
    """The selected jobs of a batch: how many there are, failed (of these by a crash), are on hold by batchq itself, and
    succeeded; ``seconds`` is the time of their last attempts, ``started_at`` the first start (ms)."""

    batch: str
    jobs: int
    failed: int
    crashed: int
    on_hold: int
    succeeded: int
    seconds: float
    started_at: int | None

    @property
    def errors(self) -> int:
        """The jobs that crashed, and those that wait for a person because of it."""
        return self.crashed + self.on_hold


class Earlier(NamedTuple):
    """An earlier attempt that failed: its number, its end, the end of its traceback, and what it printed by stream."""

    number: int
    end: End
    traceback: str | None
    logs: dict[str, Log]


def totals(store: Store, selection: Selection) -> list[Totals]:
    """The totals of each batch with a selected job, by name."""
    where, named = condition(selection)
    return [Totals._make(row) for row in store.fetch(_TOTALS.format(where), named)]


def jobs(store: Store, selection: Selection, batch: str) -> Iterator[list[Job]]:
    """The selected jobs of a batch in the order of their ids, page by page."""
    of_batch, after = selection._replace(batch=batch, everything=False), 0
    while page := queries.jobs(store, of_batch, _PAGE, after):
        yield page
        after = page[-1].id


def earlier(store: Store, job: Job) -> tuple[int, list[Earlier]]:
    """How many attempts before its last one failed, and the newest of them in their order."""
    if job.attempt < 2:
        return 0, []
    named = {"job": job.id, "last": job.attempt, "timeout": job.end and job.end.timeout}
    rows = store.fetch(_ATTEMPTS, named)
    ((failed,),) = store.fetch(f"SELECT count(*) FROM attempts WHERE {_FAILED}", named) if rows else [(0,)]
    found = [Earlier(row[0], End._make(row[2:]), row[1], printed(store, job.id, row[0])) for row in reversed(rows)]
    return failed, found


def printed(store: Store, job: int, attempt: int) -> dict[str, Log]:
    """The last bytes that an attempt printed, by stream; streams without output are missing."""
    found = {}
    for stream, head, tail, total, kept in store.fetch(_OUTPUT, (job, attempt)):
        data = ((tail or head) if total > kept else head + tail)[-KEPT:]
        if data.strip():
            found[stream] = Log(stream, data, total > len(data))
    return found
