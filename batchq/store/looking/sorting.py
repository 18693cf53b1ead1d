"""Jobs in another order than that of their ids: the ids are sorted in SQL, then the jobs are read page by page."""

import _sqlite3 as sqlite3
from array import array
from collections.abc import Iterator

from batchq.jobs.lifecycle import STATES
from batchq.jobs.selection import Selection, of_ids
from batchq.named import NamedTuple
from batchq.store.file.connection import Store, translated
from batchq.store.looking import queries
from batchq.store.looking.rows import Job
from batchq.store.selecting import condition

_SINCE = "max(jobs.created_at, coalesce(jobs.started_at, 0), coalesce(jobs.finished_at, 0))"

#: What to sort by, by the name of the column of ``list``. ``a`` is the last attempt, ``:now`` the time in milliseconds.
KEYS = {
    "id": "jobs.id",
    "state": f"instr('{' '.join(STATES)}', jobs.state)",
    "tries": "jobs.attempt",
    "took": "coalesce(a.seconds, iif(jobs.state = 'running', (:now - jobs.started_at) / 1000.0, NULL))",
    "age": f"-{_SINCE}",
    "since": _SINCE,
    "added": "jobs.created_at",
    "started": "jobs.started_at",
    "finished": "jobs.finished_at",
    "due": "jobs.due_at",
    "batch": "jobs.batch",
    "queue": "jobs.queue",
    "host": "a.host",
    "priority": "jobs.priority",
    "name": "jobs.name",
    "key": "jobs.key",
    "tags": "jobs.tags",
    "max_attempts": "jobs.max_attempts",
    "outcome": "a.outcome",
    "exit_code": "a.exit_code",
    "signal": "a.signal",
    "error_type": "a.error_type",
    "error": "a.error",
    "cause": "a.cause",
    "why": "jobs.why",
    "cpu": "a.cpu_seconds",
    "memory": "a.peak_kib",
    "reason": "coalesce(substr(a.cause, 10), jobs.why)",
    "command": "jobs.work",
}


class Key(NamedTuple):
    """One column to sort by; ``is_down``: the largest first. Jobs without a value come last in both directions."""

    column: str
    is_down: bool = False


def pages(
    store: Store, selection: Selection, order: tuple[Key, ...], limit: int | None, now: int
) -> Iterator[list[Job]]:
    """The selected jobs in this order, the first ``limit`` of them, page by page; of equal ones the smaller id is first."""
    ids = array("q", _ids(store, selection, order, limit, now))
    for start in range(0, len(ids), queries.PAGE):
        wanted = ids[start : start + queries.PAGE]
        found = {job.id: job for job in queries.jobs(store, of_ids(wanted), len(wanted))}
        yield [found[id] for id in wanted if id in found]  # some may have been pruned meanwhile


def _ids(store: Store, selection: Selection, order: tuple[Key, ...], limit: int | None, now: int) -> Iterator[int]:
    where, named = condition(selection)
    keys = [f"{KEYS[key.column]}{' DESC' if key.is_down else ''} NULLS LAST" for key in order]
    attempt = queries.LAST_ATTEMPT if any("a." in KEYS[key.column] for key in order) else ""
    sql = f"SELECT jobs.id FROM jobs {attempt} WHERE {where} ORDER BY {', '.join(keys)}, jobs.id LIMIT :limit"
    try:
        for (id,) in store.db.execute(sql, {**named, "now": now, "limit": -1 if limit is None else limit}):
            yield id
    except sqlite3.Error as error:
        raise translated(error, store.path) from error
