"""Keeping a store in bounds: checkpoints of its log, and the removal of finished jobs, by hand or by its own rule.

Every checkpoint runs under the mutex: SQLite 3.7.0–3.51.2 can lose commits when one races a reset of the log.
"""

import _sqlite3 as sqlite3
import json
import os
import time
from collections.abc import Iterator

from batchq import failpoints
from batchq.errors import BatchqError
from batchq.named import NamedTuple
from batchq.store.file import log
from batchq.store.file.connection import LONG_LOG, Store, translated
from batchq.store.keeping import pruning
from batchq.store.keeping.pruning import Policy

SHORT_LOG = 4 << 20  #: bytes of log below which no checkpoint is due
STUCK_LOG = 64 << 20  #: bytes of log that a reader keeps from being emptied: worth a warning
INTERVAL = 1.0  #: seconds between two checkpoints
LONG_INTERVAL = 5.0  #: seconds until the next one where a reader was in the way
WINDOW = 5000  #: jobs that one ``tidy`` passes over
_FEW_CONTEXTS = 500
_FEW_JOBS = 100_000


class Checkpoint(NamedTuple):
    """What a checkpoint achieved: whether the file holds all that was committed, and how long the log still is."""

    is_complete: bool
    log_bytes: int

    @property
    def is_stuck(self) -> bool:
        """Whether a program that reads the store for long makes the log grow beyond measure."""
        return not self.is_complete and self.log_bytes > STUCK_LOG


def checkpoint(store: Store, *, truncate: bool) -> Checkpoint:
    """Copy what was committed from the log into the file; with ``truncate`` also empty the log.

    Does not wait for readers: what they still need stays in the log. Raises BusyError, LedgerError.
    """
    store.lock.acquire_mutex(store.patience, store.interrupted)
    try:
        store.require_same_files()
        done = _run(store, "PASSIVE")
        failpoints.hit("in_checkpoint")
        if truncate and done.is_complete:
            done = _run(store, "TRUNCATE")
        store.files.note_checkpoint(store.db, is_restart=done.is_complete and done.log_bytes > 0)
    except sqlite3.Error as error:
        raise translated(error, store.path) from error
    finally:
        store.lock.release_mutex()
    return done


def checkpoint_if_due(store: Store) -> Checkpoint | None:
    """Keep the log short: called after each write, it looks at the log's size and acts once a second at most.

    Returns what was achieved when something was tried; ``is_stuck`` is then worth one warning. Raises nothing: a store
    that cannot be used is told by the next write.
    """
    size = log.log_bytes(store.path)
    if size <= SHORT_LOG or time.monotonic() < store.checkpoint_at:
        return None
    try:
        done = checkpoint(store, truncate=size > LONG_LOG)
    except BatchqError:
        done = Checkpoint(False, size)
    store.checkpoint_at = time.monotonic() + (INTERVAL if done.is_complete else LONG_INTERVAL)
    return done


def _run(store: Store, mode: str) -> Checkpoint:
    ((is_busy, frames, copied),) = store.db.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
    return Checkpoint(not is_busy and frames == copied, log.log_bytes(store.path))


# --- finished jobs -----------------------------------------------------------------------------------------------------


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
    rule = pruning.rule_of(store, policy, now)
    jobs = last = logs_left = 0
    while found := pruning.candidates(store, rule, last):
        last = found[-1]
        gone, left = pruning.remove_jobs(store, found, rule)
        jobs, logs_left = jobs + gone, logs_left + left
        checkpoint_if_due(store)
    runners = last = 0
    while ended := pruning.ended_runners(store, rule, last):
        last = ended[-1]
        runners += pruning.remove_runners(store, ended)
    while pruning.remove_adds(store, rule):
        checkpoint_if_due(store)
    forgotten = 0
    while found_keys := pruning.forget_keys(store, policy, now):
        forgotten += found_keys
    pruning.remove_contexts(store)
    while pruning.give_back(store):
        checkpoint_if_due(store)
    checkpoint(store, truncate=True)
    return Pruned(jobs, runners, forgotten, max(0, size - os.stat(store.path).st_size), logs_left)


def retention(store: Store) -> Policy | None:
    """What the runners of this store remove by and by; None where it keeps everything."""
    rows = store.fetch("SELECT value FROM settings WHERE name = 'retention'")
    if not rows:
        return None
    try:
        older_than, chosen, keep, keys = json.loads(rows[0][0])
        return Policy(int(older_than), tuple(chosen), int(keep), keys)
    except (ValueError, TypeError):
        return None  # it cannot be read: better to keep too much


def set_retention(store: Store, policy: Policy | None) -> None:
    """Have runners apply this policy from now on, or none."""
    with store.writing() as db:
        if policy is None:
            db.execute("DELETE FROM settings WHERE name = 'retention'")
        else:
            db.execute("INSERT OR REPLACE INTO settings VALUES ('retention', ?)", (json.dumps(policy),))


def tidy(store: Store, now: int) -> int:
    """One small step of the store's retention, for a runner that has nothing else to do; how many jobs were removed.

    It removes 500 jobs at most, of the oldest, and where none of those may go of a stretch chosen by chance: bounded
    work however large the store is, and yet nothing is passed over for ever.
    """
    policy = retention(store)
    if policy is None:
        return 0
    rule = pruning.rule_of(store, policy, now)
    removed = 0
    for after in _starts(store, "jobs"):
        if found := pruning.candidates(store, rule, after, WINDOW):
            removed, _ = pruning.remove_jobs(store, found, rule)
            break
    for after in _starts(store, "runners"):
        if ended := pruning.ended_runners(store, rule, after):
            pruning.remove_runners(store, ended)
    pruning.remove_adds(store, rule)
    pruning.forget_keys(store, policy, now)
    if removed and _contexts_are_worth_a_look(store):
        pruning.remove_contexts(store)
    return removed


def _starts(store: Store, table: str) -> Iterator[int]:
    yield 0
    ((last,),) = store.fetch(f"SELECT max(id) FROM {table}")
    if last:
        yield int.from_bytes(os.urandom(8), "big") % last


def _contexts_are_worth_a_look(store: Store) -> bool:
    # Each job may have come from a folder of its own; but to find the unused ones all jobs must be read.
    ((contexts,),) = store.fetch("SELECT count(*) FROM (SELECT 1 FROM contexts LIMIT ?)", (_FEW_CONTEXTS + 1,))
    if contexts <= _FEW_CONTEXTS:
        return False
    ((jobs,),) = store.fetch("SELECT total(jobs) FROM counters")
    return bool(jobs <= _FEW_JOBS)
