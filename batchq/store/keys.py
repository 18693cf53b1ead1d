"""Keys: what was added once is known, also when its job has been pruned. One row a key, with its newest job."""

import sqlite3

from batchq.errors import InputError
from batchq.jobs.values import ACTIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchq.jobs.model import JobSpec

ADDED, SKIPPED, REPLACED, RERUN = "added", "skipped", "replaced", "rerun"
SEEN_AGAIN = 86_400_000  #: milliseconds after which it is noted that a key is still in use

Known = tuple[int, str | None, bool]  # the job, its state (None: nobody knows any more), whether it is still there


def known(db: sqlite3.Connection, spec: "JobSpec", now: int) -> Known | None:
    """The job that stands in the way of a new one of the same key; None where ``unique`` allows another."""
    row = db.execute(
        "SELECT k.job, coalesce(jobs.state, k.state), jobs.id, jobs.finished_at, k.added_at, k.seen_at"
        " FROM keys AS k LEFT JOIN jobs ON jobs.id = k.job WHERE k.key = ?",
        (spec.key,),
    ).fetchone()
    if row is None:
        return None
    job, state, here, finished_at, added_at, seen_at = row
    is_over = here is None or finished_at is not None
    if (spec.unique == ACTIVE and is_over) or (isinstance(spec.unique, int) and added_at + spec.unique <= now):
        return None
    if here is None and spec.if_exists == "rerun-failed" and state in ("failed", "cancelled"):
        return None
    if now - seen_at > SEEN_AGAIN:
        db.execute("UPDATE keys SET seen_at = ? WHERE key = ?", (now, spec.key))
    return job, state, here is not None


def fate(spec: "JobSpec", known: Known) -> str:
    """What ``if_exists`` makes of a job whose key is known. Raises InputError where that is a refusal."""
    job, state, is_here = known
    if spec.if_exists == "reject":
        raise InputError(f"{spec.where}: field 'key' is {spec.key!r}, which belongs to job {job} already")
    if spec.if_exists == "replace" and is_here:
        if state == "running":
            raise InputError(
                f"{spec.where}: field 'key' is {spec.key!r}, whose job {job} runs: it cannot be replaced now"
            )
        if state not in ("succeeded", "failed", "cancelled"):
            return REPLACED
    if spec.if_exists == "rerun-failed" and state in ("failed", "cancelled"):
        return RERUN
    return SKIPPED


def remember(db: sqlite3.Connection, jobs: "Iterable[tuple[str, int]]", now: int) -> None:
    """Note the newest job of each key."""
    db.executemany(
        "INSERT OR REPLACE INTO keys (key, job, added_at, seen_at) VALUES (?1, ?2, ?3, ?3)",
        [(key, job, now) for key, job in jobs],
    )


def outlive(db: sqlite3.Connection, jobs: "Iterable[tuple[str | None, int, str]]") -> None:
    """Note how jobs (key, id, state) had ended that are being pruned."""
    db.executemany(
        "UPDATE keys SET state = ? WHERE key = ? AND job = ?",
        [(state, key, job) for key, job, state in jobs if key is not None],
    )


def forget(db: sqlite3.Connection, before: int, most: int) -> int:
    """Remove keys that no add has named since ``before`` and whose jobs are gone, ``most`` of them; how many.

    That a key is in use is noted once a day, so it is given a day more.
    """
    return db.execute(
        "DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE seen_at < ? AND NOT EXISTS"
        " (SELECT 1 FROM jobs WHERE jobs.id = keys.job) LIMIT ?)",
        (before - SEEN_AGAIN, most),
    ).rowcount
