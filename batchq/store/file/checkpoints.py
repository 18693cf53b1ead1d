"""Checkpoints: they copy what was committed from the log into the file, and keep the log short.

Every checkpoint runs under the mutex: SQLite 3.7.0–3.51.2 can lose commits when one races a reset of the log.
"""

import _sqlite3 as sqlite3
import time

from batchq import failpoints
from batchq.errors import BatchqError
from batchq.named import NamedTuple
from batchq.store.file import log
from batchq.store.file.connection import LONG_LOG, Store, translated

SHORT_LOG = 4 << 20  #: bytes of log below which no checkpoint is due
STUCK_LOG = 64 << 20  #: bytes of log that a reader keeps from being emptied: worth a warning
INTERVAL = 1.0  #: seconds between two checkpoints
LONG_INTERVAL = 5.0  #: seconds until the next one if a reader was in the way


class Checkpoint(NamedTuple):
    """The result of a checkpoint: whether the file holds everything that was committed, and how long the log still is."""

    is_complete: bool
    log_bytes: int

    @property
    def is_stuck(self) -> bool:
        """Whether a program that reads the store for a long time keeps the log growing."""
        return not self.is_complete and self.log_bytes > STUCK_LOG


def checkpoint(store: Store, *, truncate: bool) -> Checkpoint:
    """Copy what was committed from the log into the file; with ``truncate``, empty the log, too.

    Does not wait for readers: what they still need stays in the log. Raises BusyError, LedgerError.
    """
    store.lock.acquire_mutex(store.patience, store.interrupted)
    try:
        store.require_same_files()
        store.files.begin_checkpoint()
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
    """Keep the log short: called after each write, checks the log's size and acts at most once a second.

    Returns the result if it tried; ``is_stuck`` is then worth one warning. Raises nothing: if the store cannot be used,
    the next write reports it.
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
