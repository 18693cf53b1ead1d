"""An open store: the connection, its settings, and the one way to write (mutex, BEGIN IMMEDIATE, COMMIT)."""

import _sqlite3 as sqlite3
import os
import time

from batchq.errors import BusyError, CreateError, LedgerError, StoreError
from batchq.store.file import log
from batchq.store.file.files import Files
from batchq.store.file.locks import LockFile
from batchq.store.file.patience import Patient, Unemptied, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

__all__ = ["Store", "Writing", "translated"]

STUMBLES = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, sqlite3.Error)
LONG_LOG = 16 << 20  #: bytes of write-ahead log; a close empties a longer one


class Store:
    """One open store. Writing happens in ``with store.writing() as db``, reading on ``store.db``.

    One connection belongs to one process and one thread; it must not be carried over a fork. ``warnings`` are
    sentences for the user. ``refusal`` says why nothing is written: the schema was changed. ``checkpoint_at`` is the
    monotonic time before which no checkpoint is due.
    """

    def __init__(
        self,
        path: str,
        db: Patient,
        lock: LockFile,
        facts: os.stat_result,
        warnings: list[str],
        *,
        is_readonly: bool = False,
        refusal: str | None = None,
    ) -> None:
        self.path = path
        self.db = db
        self.lock = lock
        self.warnings = warnings
        self.checkpoint_at = 0.0
        self.is_readonly = is_readonly
        self.refusal = refusal
        self._pid = os.getpid()
        self.files = Files(path, lock, facts)

    @property
    def patience(self) -> float:
        """How long a call waits for the store before it raises BusyError, in seconds."""
        return self.db.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self.db.patience = seconds

    @property
    def interrupted(self) -> "Callable[[], bool] | None":
        """Called every 0.1 s of a wait; when it returns True, the wait ends with BusyError."""
        return self.db.interrupted

    @interrupted.setter
    def interrupted(self, ask: "Callable[[], bool] | None") -> None:
        self.db.interrupted = ask

    def writing(self) -> "Writing":
        """One write transaction: all of it is on disk when the block ends, or none of it."""
        return Writing(self)

    def check_references(self, *, on: bool) -> None:
        """Switch foreign keys on or off: the checks, and the removal of rows that refer to a removed one."""
        self.db.execute(f"PRAGMA foreign_keys = {'ON' if on else 'OFF'}")

    def fetch(self, sql: str, parameters: "Any" = ()) -> "list[tuple[Any, ...]]":
        """Return all rows of one reading statement; errors of SQLite become a BatchqError."""
        try:
            return self.db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def require_same_files(self) -> None:
        """Raise LedgerError if the store, its log or its lock file was moved, deleted or replaced since it was opened.

        A write would then land in a file that nobody finds, or ignore the locks of the others.
        """
        if os.getpid() != self._pid:
            raise RuntimeError("an open store was carried over a fork: open it again in the child")
        self.files.require_same(self.db)

    def close(self) -> None:
        """Close the connection, without ever waiting; the last one out checkpoints.

        That happens under the mutex like every checkpoint, because SQLite 3.7.0–3.51.2 can lose commits when one races a
        reset of the write-ahead log. If another process holds the mutex, it has a connection, so this close is not the
        last. Nothing is copied into a file that was overwritten.
        """
        self.interrupted = None
        self.patience = 0.0
        if not self.is_readonly:
            self._prepare_close()
        self.db.close()
        self.lock.close()

    def _prepare_close(self) -> None:
        try:
            self.files.require_same_content(self.db)
            if self.lock.try_mutex() and log.log_bytes(self.path) > LONG_LOG:
                # Left by a large add: a runner at work would not shorten it.
                self.files.begin_checkpoint()
                self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                self.files.note_checkpoint(self.db, is_restart=False)
        except LedgerError:
            with Unemptied(self.path):
                self.db.close()
        except (BusyError, sqlite3.Error, OSError):
            pass

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self.close()
        if isinstance(error, STUMBLES) and not isinstance(error, BlockingIOError):
            self._explain(error)

    def _explain(self, error: BaseException) -> None:
        """Raise StoreError if the command failed because of a value that batchq did not write."""
        from batchq.store.file import values

        wrong = values.wrong(self.path)
        if wrong is None and self.refusal is None:
            return  # our own bug: let it end as one
        raise StoreError(
            f"the store {self.path} holds {wrong or 'something'} that batchq did not write, and cannot be used as it is;"
            " go back to a backup with 'batchq restore FILE'"
        ) from error


class Writing:
    """The block of ``Store.writing``: errors of SQLite leave it as a BatchqError with a sentence and an exit code."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> sqlite3.Connection:
        store = self._store
        if store.refusal is not None:
            raise StoreError(store.refusal)
        if store.is_readonly:
            raise CreateError(f"cannot write the store {store.path}: it, or its folder, is read-only here")
        deadline = time.monotonic() + store.patience
        store.lock.acquire_mutex(store.patience, store.interrupted)
        try:
            store.require_same_files()
            store.db.insist("BEGIN IMMEDIATE", (), deadline)
            store.files.begin_log(store.db)
        except BaseException as error:
            if store.db.in_transaction:
                store.db.execute("ROLLBACK")
            store.lock.release_mutex()
            if isinstance(error, sqlite3.Error):
                raise translated(error, store.path) from error
            raise
        return store.db

    def __exit__(
        self, kind: "type[BaseException] | None", error: BaseException | None, _trace: "TracebackType | None"
    ) -> None:
        store = self._store
        try:
            if error is None:
                try:
                    store.db.execute("COMMIT")
                    return
                except (sqlite3.Error, BusyError) as refused:
                    error = refused
            if store.db.in_transaction:  # when the disk is full SQLite has already rolled back
                store.db.execute("ROLLBACK")
        finally:
            store.lock.release_mutex()
        if isinstance(error, sqlite3.Error):
            raise translated(error, store.path) from error
        if kind is None:
            raise error
