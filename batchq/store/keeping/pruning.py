"""Removing finished jobs, in transactions so small that no other process waits for long.

Attempts, output and dependencies are removed with their jobs; runners and contexts when nothing refers to them any more.
Keys stay: a job added under a key stays known after it is removed.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from batchq import clock, failpoints
from batchq.jobs.lifecycle import FINAL
from batchq.named import NamedTuple
from batchq.store import levels, names, order, states
from batchq.store.adding import keys
from batchq.store.file import checkpoints
from batchq.store.file.connection import Store
from batchq.store.keeping import filed

AT_ONCE = 500  #: rows that one transaction removes
PAGES_AT_ONCE = 500  #: free pages that one transaction gives back to the file system


class Policy(NamedTuple):
    """Which jobs may be removed: finished more than ``older_than`` ms ago, in one of ``states``, not the ``keep`` newest.

    The parents of unfinished jobs always stay. A key is removed if no add has named it for ``keys`` ms (None: never) and
    its job is gone; the same key then makes a new job.
    """

    older_than: int
    states: tuple[str, ...] = FINAL
    keep: int = 0
    keys: int | None = None


class Rule(NamedTuple):
    """A policy as SQL over ``jobs``, at one moment: a job that may be removed then may be removed later, too."""

    where: str
    named: dict[str, object]
    before: int


class Pruned(NamedTuple):
    """What was removed, and by how many bytes the file became smaller.

    ``logs_left`` are logs that were written for a store at another path: for the one from which this one was copied, or
    for this one before it was moved.
    """

    jobs: int
    runners: int
    keys: int
    bytes: int
    logs_left: int


def prune(store: Store, policy: Policy, now: int) -> Pruned:
    """Remove everything that the policy allows, and give the space back to the file system.

    Raises BusyError, LedgerError: what was removed by then is gone, and the same call continues where it stopped.
    """
    size = os.stat(store.path).st_size
    rule = rule_of(store, policy, now)
    jobs = last = logs_left = 0
    while found := candidates(store, rule, last):
        last = found[-1]
        gone, left = remove_jobs(store, found, rule)
        jobs, logs_left = jobs + gone, logs_left + left
        checkpoints.checkpoint_if_due(store)
    runners = last = 0
    while ended := ended_runners(store, rule, last):
        last = ended[-1]
        runners += remove_runners(store, ended)
    while remove_adds(store, rule):
        checkpoints.checkpoint_if_due(store)
    forgotten = 0
    while found_keys := forget_keys(store, policy, now):
        forgotten += found_keys
    remove_contexts(store)
    while give_back(store):
        checkpoints.checkpoint_if_due(store)
    checkpoints.checkpoint(store, truncate=True)
    return Pruned(jobs, runners, forgotten, max(0, size - os.stat(store.path).st_size), logs_left)


def prunable(store: Store, policy: Policy, now: int) -> dict[str, int]:
    """Count the jobs that may be removed, by state."""
    rule = rule_of(store, policy, now)
    return dict(store.fetch(f"SELECT state, count(*) FROM jobs WHERE {rule.where} GROUP BY state", rule.named))


def rule_of(store: Store, policy: Policy, now: int) -> Rule:
    """Turn a policy into SQL for this store, as of now."""
    final = ", ".join(f"'{state}'" for state in FINAL)
    chosen = ", ".join(f"'{state}'" for state in FINAL if state in policy.states)
    named: dict[str, object] = {"before": now - policy.older_than}
    where = (
        f"jobs.state IN ({chosen}) AND jobs.finished_at < :before AND NOT EXISTS (SELECT 1 FROM dependencies AS d"
        f" JOIN jobs AS child ON child.id = d.child WHERE d.parent = jobs.id AND child.state NOT IN ({final}))"
    )
    if policy.keep:
        oldest_kept = store.fetch(
            f"SELECT id FROM jobs WHERE state IN ({chosen}) ORDER BY id DESC LIMIT 1 OFFSET ?", (policy.keep - 1,)
        )
        where += " AND jobs.id < :kept"
        named["kept"] = oldest_kept[0][0] if oldest_kept else 0
    return Rule(where, named, now - policy.older_than)


def candidates(store: Store, rule: Rule, after: int, window: int | None = None) -> list[int]:
    """Find the next jobs after ``after`` that may be removed; with ``window``, only among that many. Takes no lock."""
    within = ""
    if window is not None:
        within = (
            " AND jobs.id <= (SELECT max(id) FROM (SELECT id FROM jobs WHERE id > :after ORDER BY id LIMIT :window))"
        )
    rows = store.fetch(
        f"SELECT jobs.id FROM jobs WHERE jobs.id > :after{within} AND {rule.where} ORDER BY jobs.id LIMIT :most",
        rule.named | {"after": after, "window": window, "most": AT_ONCE},
    )
    return [id for (id,) in rows]


def remove_jobs(store: Store, ids: list[int], rule: Rule) -> tuple[int, int]:
    """Remove those of the jobs that may still be removed, and then their logs.

    Returns how many jobs were removed, and how many logs were left because they were written for a store at another path.
    """
    with store.writing() as db:
        logs = filed.of_jobs(db, ids)
        going = f"jobs.id IN (SELECT value FROM json_each(:ids)) AND {rule.where}"
        named = rule.named | {"ids": json.dumps(ids)}
        if order.has_any(db):
            db.execute(_STAY_CANCELLED.format(going), named)
            if levels.has_after_failed(db):
                db.execute(_STAY_NEEDED.format(going), named)
        gone = db.execute(
            f"DELETE FROM jobs WHERE {going} RETURNING state, queue, batch, key, id, unneeded", named
        ).fetchall()
        tally: dict[tuple[str, str, str], int] = {}
        for state, queue, batch, *_ in gone:
            tally[state, queue, batch] = tally.get((state, queue, batch), 0) - 1
        states.count(db, tally)
        names.remember(db, {(queue, batch) for _, queue, batch, *_ in gone})
        keys.outlive(db, [(key, id, keys.UNNEEDED if unneeded else state) for state, _, _, key, id, unneeded in gone])
        unstarted = [(id, clock.now()) for state, _, _, _, id, _ in gone if state not in FINAL]
        db.executemany("INSERT OR REPLACE INTO removed (job, at) VALUES (?, ?)", unstarted)
        failpoints.hit("prune_before_commit")
    if not logs:
        return len(gone), 0
    removed = {id for *_, id, _ in gone}
    return len(gone), filed.remove(store, [(job, path) for job, path in logs if job in removed]).of_others


# If several parents have failed, one of them is the cause. If another is removed, that one becomes the cause: otherwise a
# retry of the first would let the job run without the success of the removed one, which the store no longer knows.
_STAY_CANCELLED = """
UPDATE jobs SET cause = above.parent FROM (
    SELECT d.child, min(d.parent) AS parent FROM dependencies AS d
        WHERE d.kind = 'after' AND d.parent IN (SELECT jobs.id FROM jobs WHERE jobs.state <> 'succeeded' AND {})
        GROUP BY d.child) AS above
WHERE jobs.id = above.child AND jobs.state = 'cancelled' AND jobs.cause IS NOT NULL"""

# If one of several parents in after_failed has failed and is removed, the others only have to finish: what it decided
# stays.
_STAY_NEEDED = f"""
UPDATE dependencies SET kind = 'after_any' WHERE kind = 'after_failed' AND child IN (
    SELECT d.child FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent WHERE d.kind = 'after_failed'
        AND d.parent IN (SELECT jobs.id FROM jobs WHERE {{}}) AND {levels.FAILED})"""


def ended_runners(store: Store, rule: Rule, after: int) -> list[int]:
    """Find the next runners after ``after`` that ended as long ago as the jobs of the rule."""
    rows = store.fetch(
        "SELECT id FROM runners WHERE id > ? AND ended_at < ? ORDER BY id LIMIT ?", (after, rule.before, AT_ONCE)
    )
    return [id for (id,) in rows]


def remove_runners(store: Store, ids: list[int]) -> int:
    """Remove those of the runners to which no attempt and no job refers; return how many."""
    with _unchecked(store), store.writing() as db:
        return db.execute(
            "DELETE FROM runners WHERE id IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM attempts WHERE runner = runners.id)"
            " AND NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND runner = runners.id)",
            (json.dumps(ids),),
        ).rowcount


def remove_adds(store: Store, rule: Rule) -> int:
    """Remove some records of old adds whose jobs are all gone; return how many. The newest one stays: it is ``last``."""
    rows = store.fetch(
        "SELECT id FROM adds WHERE at < ? AND id < (SELECT max(id) FROM adds) AND NOT EXISTS"
        " (SELECT 1 FROM jobs WHERE jobs.id BETWEEN adds.first AND adds.first + adds.jobs - 1) LIMIT ?",
        (rule.before, AT_ONCE),
    )
    if rows:
        with store.writing() as db:
            db.executemany("DELETE FROM adds WHERE id = ?", rows)
            db.execute("DELETE FROM removed WHERE at < ?", (rule.before,))
    return len(rows)


def forget_keys(store: Store, policy: Policy, now: int) -> int:
    """Remove some of the keys that the policy lets go; return how many."""
    if policy.keys is None:
        return 0
    with store.writing() as db:
        return keys.forget(db, now - policy.keys, AT_ONCE)


def remove_contexts(store: Store) -> None:
    """Remove the contexts to which no job refers. Reads all jobs, but holds no lock meanwhile."""
    known = dict(store.fetch("SELECT name, value FROM settings WHERE name IN ('last_job', 'moved_jobs')"))
    unused = [id for (id,) in store.fetch("SELECT id FROM contexts EXCEPT SELECT context FROM jobs")]
    for start in range(0, len(unused), AT_ONCE):
        with _unchecked(store), store.writing() as db:
            db.execute(  # a job added since then may use one of them again
                "DELETE FROM contexts WHERE id IN (SELECT value FROM json_each(:ids))"
                " AND id NOT IN (SELECT context FROM jobs WHERE id > :last)"
                # and so may an old one with a new definition
                " AND (SELECT value FROM settings WHERE name = 'moved_jobs') IS :moves",
                {
                    "ids": json.dumps(unused[start : start + AT_ONCE]),
                    "last": known.get("last_job", 0),  # in a damaged store without it, all jobs are read again
                    "moves": known.get("moved_jobs"),
                },
            )


@contextmanager
def _unchecked(store: Store) -> Iterator[None]:
    """Switch foreign keys off: without a full index on the column, SQLite would read all jobs to check one deletion."""
    store.check_references(on=False)
    try:
        yield
    finally:
        store.check_references(on=True)


def give_back(store: Store) -> bool:
    """Give some free pages back to the file system; return whether there may be more."""
    free = _free_pages(store)
    if free:
        with store.writing() as db:  # each step of the statement frees one page: read it to the end
            db.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
    return 0 < _free_pages(store) < free  # nothing is freed if a VACUUM has changed the store's mode


def _free_pages(store: Store) -> int:
    return int(store.fetch("PRAGMA freelist_count")[0][0])
