"""An open store: the connection, its settings, and the one way to write (mutex, BEGIN IMMEDIATE, COMMIT)."""

import _sqlite3 as sqlite3
import os
import time

from batchq.errors import BusyError, CreateError, LedgerError, StoreError
from batchq.store.file import files, location, log, objects, schema, trust
from batchq.store.file.files import Files
from batchq.store.file.locks import LockFile, Unemptied, sidecar
from batchq.store.file.patience import Patient, connect, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

__all__ = ["Store", "Writing", "open_at", "open_store", "translated", "version_of"]

OLDEST_SQLITE = (3, 37, 0)  #: STRICT tables
STUMBLES = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, sqlite3.Error)
LONG_LOG = 16 << 20  #: bytes of write-ahead log that are not left behind at a close


class Store:
    """One open store. Writing happens in ``with store.writing() as db``, reading on ``store.db``.

    One connection belongs to one process and one thread; it must not be carried over a fork. ``warnings`` are
    sentences for the person. ``refusal`` says why nothing is written: somebody has changed the schema.
    ``checkpoint_at`` is the monotonic time before which no checkpoint is due.
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
        """Asked every 0.1 s of a wait; when it says yes the wait ends in BusyError."""
        return self.db.interrupted

    @interrupted.setter
    def interrupted(self, ask: "Callable[[], bool] | None") -> None:
        self.db.interrupted = ask

    def writing(self) -> "Writing":
        """One write transaction: all of it is on disk when the block ends, or none of it."""
        return Writing(self)

    def check_references(self, *, on: bool) -> None:
        """Whether SQLite checks foreign keys from now on, and removes with a row what refers to it."""
        self.db.execute(f"PRAGMA foreign_keys = {'ON' if on else 'OFF'}")

    def fetch(self, sql: str, parameters: "Any" = ()) -> "list[tuple[Any, ...]]":
        """All rows of one reading statement; what SQLite refuses leaves as a BatchqError."""
        try:
            return self.db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def require_same_files(self) -> None:
        """Raise LedgerError if the store, its log or its lock file was moved, deleted or replaced since it was opened.

        What is written then lands in a file that nobody finds, or beside the locks of the others.
        """
        if os.getpid() != self._pid:
            raise RuntimeError("an open store was carried over a fork: open it again in the child")
        self.files.require_same(self.db)

    def close(self) -> None:
        """Close the connection, without ever waiting; the last one out checkpoints.

        Under the mutex like every checkpoint, because SQLite 3.7.0–3.51.2 can lose commits when one races a reset of the
        write-ahead log; whoever else holds the mutex has a connection, so that this close is not the last. Into a file
        that was overwritten nothing is copied.
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
                # Of a large add: a runner beside us would not shorten it.
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
        """Raise StoreError if it was a value that somebody else has written at which a command stumbled."""
        from batchq.store.file import values

        wrong = values.wrong(self.path)
        if wrong is None and self.refusal is None:
            return  # it is a bug of ours, and ends as one
        raise StoreError(
            f"the store {self.path} holds {wrong or 'something'} that batchq did not write, and cannot be used as it is;"
            " go back to a backup with 'batchq restore FILE'"
        ) from error


class Writing:
    """The block of ``Store.writing``: what SQLite refuses leaves it as a BatchqError with a sentence and an exit code."""

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
            if store.db.in_transaction:  # SQLite has rolled back by itself when the disk is full
                store.db.execute("ROLLBACK")
        finally:
            store.lock.release_mutex()
        if isinstance(error, sqlite3.Error):
            raise translated(error, store.path) from error
        if kind is None:
            raise error


def open_store(
    explicit: str | None = None, *, create: bool = False, reading: bool = False, trust_owner: bool | None = None
) -> Store:
    """Open the store that ``location.locate`` finds, upgraded to this program's schema.

    With ``create`` a missing one is made (mode 0600). With ``reading`` a store that may not be written is opened all
    the same, and only looked at. ``trust_owner`` says whether it may be another user's: see ``trust.check_file``.
    Raises MissingError, CreateError, StoreError, LedgerError, BusyError.
    """
    return open_at(location.locate(explicit), create=create, reading=reading, trust_owner=trust_owner)


def open_at(path: str, *, create: bool = False, reading: bool = False, trust_owner: bool | None = None) -> Store:
    """Open the store at an absolute path; see ``open_store``."""
    if tuple(map(int, sqlite3.sqlite_version.split("."))) < OLDEST_SQLITE:
        raise StoreError(f"this Python has SQLite {sqlite3.sqlite_version}; batchq needs 3.37 or newer (STRICT tables)")
    path = location.resolved(path)
    facts = location.look(path)
    if facts is None and create:
        from batchq.store.file import creation

        creation.create(path, trust_owner=trust_owner is True)
        facts = location.look(path)
    if facts is None:
        raise location.missing(path)
    warnings = trust.check_file(path, facts, reading=reading, trust_owner=trust_owner)
    lost = log.lost_log(path)
    if not reading:
        if lost:
            raise LedgerError(f"{lost}: put it back, or delete {path}-shm to go on without it")
        return _open(path, facts, warnings, reading=False)
    if lost:
        warnings.append(lost)
    elif location.is_writable(path):
        try:
            return _open(path, facts, warnings, reading=True)
        except (CreateError, LedgerError):  # a full disk: there is no room for the index of the log
            pass
    from batchq.store.file import readonly

    return readonly.open_readonly(path, facts, warnings)


def _open(path: str, facts: os.stat_result, warnings: list[str], *, reading: bool) -> Store:
    db = None
    lock = LockFile(path) if os.path.exists(sidecar(path)) else None
    alone = lock is None or not lock.is_in_use()
    is_left_over = alone and log.log_bytes(path) > 0
    try:
        is_sure = files.require_own_log(path, facts, lock, alone=alone)
        db = connect(path, "rw")
        is_shared = trust.occupy(path, facts.st_uid)
        version = version_of(db, path)
        if lock is None:
            lock = LockFile(path)  # only now: no lock file appears beside a stranger's database
        if not is_sure:
            log.check_recovered(db, path)  # before the file is noted as one that is in order
        files.join(path, facts, lock, db, alone=alone)
        if is_shared:
            trust.check_side_files(path, facts.st_uid)
        for pragma in (
            "synchronous = FULL",
            "temp_store = MEMORY",
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "wal_autocheckpoint = 0",
        ):
            db.execute(f"PRAGMA {pragma}")
        if version < schema.VERSION:
            from batchq.store.file import creation

            objects.check(db, path, is_old=True)
            creation.upgrade(db, lock, path)
        if (refusal := objects.strange(db, path)) is not None:
            if not reading:
                raise StoreError(refusal)
            warnings.append(refusal)
        if os.environ.get(location.ALLOW_NETWORK) and location.network_type(path):
            db.execute("PRAGMA journal_mode = DELETE").fetchall()
        return Store(path, db, lock, facts, warnings, refusal=refusal)
    except BaseException as error:
        if db is not None:
            if is_left_over:
                with Unemptied(path):
                    db.close()
            db.close()
        if lock is not None:
            lock.close()
        if isinstance(error, sqlite3.Error):
            raise translated(error, path) from error
        raise


def version_of(db: sqlite3.Connection, path: str) -> int:
    """The schema version of the file. Raises StoreError for what is no store, or one of a newer batchq."""
    try:
        (owner,), (version,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version"))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname == "SQLITE_NOTADB":
            raise StoreError(f"{path} is no batchq store (not an SQLite file)") from None
        raise
    if owner != schema.APPLICATION_ID:
        raise StoreError(f"{path} is no batchq store (another program's SQLite file); name yours with --db")
    if version > schema.VERSION:
        raise StoreError(
            f"{path} was made by a newer batchq (schema {version}, this one knows {schema.VERSION}); upgrade batchq"
        )
    return int(version)
