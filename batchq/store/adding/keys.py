"""Keys: a job that was added once is known by its key, even after it was pruned. One row per key, with its newest job."""

import _sqlite3 as sqlite3

from batchq.errors import InputError
from batchq.jobs.values import ACTIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchq.jobs.model import JobSpec

ADDED, SKIPPED, REPLACED, RERUN, RUNNING = "added", "skipped", "replaced", "rerun", "running"
UNNEEDED = "unneeded"  #: the final state of a pruned job that was cancelled because nothing had failed
ANEW = ("replace", "rerun-failed")  #: with these, a failed job takes the definition of the add
SEEN_AGAIN = 86_400_000  #: milliseconds after which a key that is still in use gets a new ``seen_at``

Known = tuple[int, str | None, bool]  # the job, its state (None: not known any more), whether it still exists


def known(db: sqlite3.Connection, spec: "JobSpec", now: int, first: int) -> Known | None:
    """The job that prevents a new one of the same key; None if ``unique`` allows another.

    Jobs from ``first`` on belong to the same add: within it, a key is always unique.
    """
    row = db.execute(
        "SELECT k.job, coalesce(jobs.state, k.state), jobs.id, jobs.finished_at, k.added_at, k.seen_at"
        " FROM keys AS k LEFT JOIN jobs ON jobs.id = k.job WHERE k.key = ?",
        (spec.key,),
    ).fetchone()
    if row is None:
        return None
    job, state, here, finished_at, added_at, seen_at = row
    if job >= first:
        return job, "queued", True
    if added_at > now:  # the clock was set back: start counting now
        added_at = now
        db.execute("UPDATE keys SET added_at = ? WHERE key = ?", (now, spec.key))
    is_over = here is None or finished_at is not None
    if (spec.terms.unique == ACTIVE and is_over) or (
        isinstance(spec.terms.unique, int) and added_at + spec.terms.unique <= now
    ):
        return None
    if here is None and spec.terms.if_exists in ANEW and state in ("failed", "cancelled"):
        return None
    if now - seen_at > SEEN_AGAIN:
        db.execute("UPDATE keys SET seen_at = ? WHERE key = ?", (now, spec.key))
    return job, state, here is not None


def fate(spec: "JobSpec", known: Known, *, differs: bool) -> str:
    """What ``if_exists`` does with a job whose key is known; ``differs`` is whether its definition is another one.

    A running job is never changed: ``running``. Raises InputError if the key must be new.
    """
    job, state, is_here = known
    if spec.terms.if_exists == "reject":
        raise InputError(f"{spec.where}: field 'key' is {spec.key!r}, which belongs to job {job} already")
    if spec.terms.if_exists not in ANEW or not is_here:
        return SKIPPED
    if state == "running":
        return RUNNING
    if spec.terms.if_exists == "rerun-failed":
        return RERUN if state in ("failed", "cancelled") else SKIPPED
    return SKIPPED if state == "succeeded" and not differs else REPLACED


def remember(db: sqlite3.Connection, jobs: "Iterable[tuple[str, int]]", now: int) -> None:
    """Store the newest job of each key."""
    db.executemany(
        "INSERT OR REPLACE INTO keys (key, job, added_at, seen_at) VALUES (?1, ?2, ?3, ?3)",
        [(key, job, now) for key, job in jobs],
    )


def outlive(db: sqlite3.Connection, jobs: "Iterable[tuple[str | None, int, str]]") -> None:
    """Store the final states of jobs (key, id, state) that are being removed, of cancelled ones also ``UNNEEDED``; the key
    of one without is free again."""
    from batchq.jobs.lifecycle import FINAL  # an add does not need it

    keyed = [(state, key, job) for key, job, state in jobs if key is not None]
    ended = [one for one in keyed if one[0] in (*FINAL, UNNEEDED)]
    db.executemany("UPDATE keys SET state = ? WHERE key = ? AND job = ?", ended)
    db.executemany(
        "DELETE FROM keys WHERE key = ? AND job = ?", [one[1:] for one in keyed if one[0] not in (*FINAL, UNNEEDED)]
    )


def pruned(db: sqlite3.Connection, low: int, high: int) -> "dict[int, tuple[str, str]]":
    """The pruned jobs in this range of ids that have a key: the final state and the key of each."""
    rows = db.execute(
        "SELECT job, state, key FROM keys WHERE state IS NOT NULL AND job BETWEEN ? AND ?"
        " AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = keys.job)",
        (low, high),
    )
    return {job: (state, key) for job, state, key in rows}


def in_words(found: "Mapping[int, tuple[str, str]]") -> str:
    """The final states of pruned jobs, counted: ``"2 succeeded, 1 failed"``."""
    states = [state for state, _ in found.values()]
    return ", ".join(f"{states.count(state):,} {state}" for state in dict.fromkeys(states))


def forget(db: sqlite3.Connection, before: int, most: int) -> int:
    """Remove at most ``most`` keys that no add has used since ``before`` and whose jobs are pruned; return how many.

    Use is recorded once a day, so each key gets one more day.
    """
    return db.execute(
        "DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE seen_at < ? AND NOT EXISTS"
        " (SELECT 1 FROM jobs WHERE jobs.id = keys.job) LIMIT ?)",
        (before - SEEN_AGAIN, most),
    ).rowcount
