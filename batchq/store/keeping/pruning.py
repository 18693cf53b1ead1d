"""Removing jobs that are over, in transactions so small that nobody waits for them.

Attempts, output and dependencies go with their jobs; runners and contexts go when nothing refers to them any more.
Keys stay: a job that was added once under a key is known after it is gone.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from batchq import failpoints
from batchq.jobs.lifecycle import FINAL
from batchq.named import NamedTuple
from batchq.store import names, order, states
from batchq.store.adding import keys
from batchq.store.file import checkpoints
from batchq.store.file.connection import Store
from batchq.store.keeping import filed

AT_ONCE = 500  #: rows that one transaction removes
PAGES_AT_ONCE = 500  #: free pages that one transaction gives back to the file system


class Policy(NamedTuple):
    """Which jobs may go: over for more than ``older_than`` ms, in one of ``states``, and not among the ``keep`` newest.

    The parents of jobs that are not over stay in any case. Keys go that no add has named for ``keys`` ms (None: never)
    and whose jobs are gone; a piece of work whose key was forgotten is new.
    """

    older_than: int
    states: tuple[str, ...] = FINAL
    keep: int = 0
    keys: int | None = None


class Rule(NamedTuple):
    """A policy as SQL over ``jobs``, at one moment: what may go then may go later, too."""

    where: str
    named: dict[str, object]
    before: int


class Pruned(NamedTuple):
    """What was removed, by how many bytes the file became smaller, and how many logs were left because they were written
    for a store at another place: for that from which this one was copied, or for this one before it was moved."""

    jobs: int
    runners: int
    keys: int
    bytes: int
    logs_left: int


def prune(store: Store, policy: Policy, now: int) -> Pruned:
    """Remove what the policy lets go, and give the space back to the file system.

    Raises BusyError, LedgerError: what was removed by then is gone, and the same call goes on where it stopped.
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
    """How many jobs may go, by state."""
    rule = rule_of(store, policy, now)
    return dict(store.fetch(f"SELECT state, count(*) FROM jobs WHERE {rule.where} GROUP BY state", rule.named))


def rule_of(store: Store, policy: Policy, now: int) -> Rule:
    """What a policy means for this store now."""
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
    """The next jobs behind ``after`` that may go; with ``window`` among so many jobs only. Read without a lock."""
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
    """Remove those of the jobs that may still go, and then their logs; how many jobs, and how many logs were left because
    they were written for a store at another place."""
    with store.writing() as db:
        logs = filed.of_jobs(db, ids)
        going = f"jobs.id IN (SELECT value FROM json_each(:ids)) AND {rule.where}"
        named = rule.named | {"ids": json.dumps(ids)}
        if order.has_any(db):
            db.execute(_STAY_CANCELLED.format(going), named)
        gone = db.execute(f"DELETE FROM jobs WHERE {going} RETURNING state, queue, batch, key, id", named).fetchall()
        tally: dict[tuple[str, str, str], int] = {}
        for state, queue, batch, _, _ in gone:
            tally[state, queue, batch] = tally.get((state, queue, batch), 0) - 1
        states.count(db, tally)
        names.remember(db, {(queue, batch) for _, queue, batch, _, _ in gone})
        keys.outlive(db, [(key, id, state) for state, _, _, key, id in gone])
        failpoints.hit("prune_before_commit")
    if not logs:
        return len(gone), 0
    removed = {id for *_, id in gone}
    return len(gone), filed.remove(store, [(job, path) for job, path in logs if job in removed]).of_others


# Of several parents that have failed one is the cause: if another goes, it is that one from now on, or a retry of the first
# would let the job run without the success of the other, of which nobody would know any more.
_STAY_CANCELLED = """
UPDATE jobs SET cause = above.parent FROM (
    SELECT d.child, min(d.parent) AS parent FROM dependencies AS d
        WHERE d.kind = 'after' AND d.parent IN (SELECT jobs.id FROM jobs WHERE jobs.state <> 'succeeded' AND {})
        GROUP BY d.child) AS above
WHERE jobs.id = above.child AND jobs.state = 'cancelled' AND jobs.cause IS NOT NULL"""


def ended_runners(store: Store, rule: Rule, after: int) -> list[int]:
    """The next runners behind ``after`` that ended as long ago as the jobs of the rule."""
    rows = store.fetch(
        "SELECT id FROM runners WHERE id > ? AND ended_at < ? ORDER BY id LIMIT ?", (after, rule.before, AT_ONCE)
    )
    return [id for (id,) in rows]


def remove_runners(store: Store, ids: list[int]) -> int:
    """Remove those of the runners to which neither an attempt nor a job refers; how many."""
    with _unchecked(store), store.writing() as db:
        return db.execute(
            "DELETE FROM runners WHERE id IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM attempts WHERE runner = runners.id)"
            " AND NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND runner = runners.id)",
            (json.dumps(ids),),
        ).rowcount


def remove_adds(store: Store, rule: Rule) -> int:
    """Remove some notes of adds of that age whose jobs are all gone; how many. The newest one stays: it is ``last``."""
    rows = store.fetch(
        "SELECT id FROM adds WHERE at < ? AND id < (SELECT max(id) FROM adds) AND NOT EXISTS"
        " (SELECT 1 FROM jobs WHERE jobs.id BETWEEN adds.first AND adds.first + adds.jobs - 1) LIMIT ?",
        (rule.before, AT_ONCE),
    )
    if rows:
        with store.writing() as db:
            db.executemany("DELETE FROM adds WHERE id = ?", rows)
    return len(rows)


def forget_keys(store: Store, policy: Policy, now: int) -> int:
    """Forget some of the keys that the policy lets go; how many."""
    if policy.keys is None:
        return 0
    with store.writing() as db:
        return keys.forget(db, now - policy.keys, AT_ONCE)


def remove_contexts(store: Store) -> None:
    """Remove the contexts to which no job refers. Passes over all jobs, but holds no lock meanwhile."""
    known = dict(store.fetch("SELECT name, value FROM settings WHERE name IN ('last_job', 'moved_jobs')"))
    unused = [id for (id,) in store.fetch("SELECT id FROM contexts EXCEPT SELECT context FROM jobs")]
    for start in range(0, len(unused), AT_ONCE):
        with _unchecked(store), store.writing() as db:
            db.execute(  # a job that came in since then may use one of them again
                "DELETE FROM contexts WHERE id IN (SELECT value FROM json_each(:ids))"
                " AND id NOT IN (SELECT context FROM jobs WHERE id > :last)"
                # and so may an old one whose definition was replaced
                " AND (SELECT value FROM settings WHERE name = 'moved_jobs') IS :moves",
                {
                    "ids": json.dumps(unused[start : start + AT_ONCE]),
                    "last": known.get("last_job", 0),  # without it, of a damaged store, all jobs are read once more
                    "moves": known.get("moved_jobs"),
                },
            )


@contextmanager
def _unchecked(store: Store) -> Iterator[None]:
    """Without foreign keys: to check one deletion SQLite would read all jobs, as no whole index leads back to them."""
    store.check_references(on=False)
    try:
        yield
    finally:
        store.check_references(on=True)


def give_back(store: Store) -> bool:
    """Give some free pages back to the file system; whether there may be more."""
    free = _free_pages(store)
    if free:
        with store.writing() as db:  # each step of the statement frees one page: it must be read to its end
            db.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
    return 0 < _free_pages(store) < free  # none become fewer where somebody vacuumed the store into another mode


def _free_pages(store: Store) -> int:
    return int(store.fetch("PRAGMA freelist_count")[0][0])
