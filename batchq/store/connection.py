"""An open store: the connection, its settings, and the one way to write (mutex, BEGIN IMMEDIATE, COMMIT)."""

import os
import sqlite3

from batchq.errors import BatchqError, BusyError, CreateError, LedgerError, StoreError
from batchq.store import location
from batchq.store.locks import LockFile, sidecar
from batchq.store.schema import APPLICATION_ID, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

OLDEST_SQLITE = (3, 37, 0)  #: STRICT tables
PATIENCE = 30.0  #: how long a writer waits for the store, in seconds


class Store:
    """One open store. Writing happens in ``with store.writing() as db``, reading on ``store.db``.

    One connection belongs to one process and one thread; it must not be carried over a fork.
    """

    def __init__(self, path: str, db: sqlite3.Connection, lock: LockFile) -> None:
        self.path = path
        self.db = db
        self.lock = lock
        self.patience = PATIENCE

    def writing(self) -> "Writing":
        """One write transaction: all of it is on disk when the block ends, or none of it."""
        return Writing(self)

    def close(self) -> None:
        """Close the connection; the last one out checkpoints, under the mutex like every checkpoint.

        (SQLite 3.7.0–3.51.2 can lose commits when a checkpoint races a reset of the write-ahead log.)
        """
        try:
            self.lock.acquire_mutex(self.patience)
        except BusyError:
            pass  # whoever holds the mutex has a connection, so this close is not the last and checkpoints nothing
        self.db.close()
        self.lock.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Writing:
    """The block of ``Store.writing``: what SQLite refuses leaves it as a BatchqError with a sentence and an exit code."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> sqlite3.Connection:
        store = self._store
        store.lock.acquire_mutex(store.patience)
        try:
            store.db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            store.lock.release_mutex()
            raise translated(error, store.path) from error
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
                except sqlite3.Error as refused:
                    error = refused
            if store.db.in_transaction:  # SQLite has rolled back by itself when the disk is full
                store.db.execute("ROLLBACK")
        finally:
            store.lock.release_mutex()
        if isinstance(error, sqlite3.Error):
            raise translated(error, store.path) from error


def open_store(explicit: str | None = None, *, create: bool = False) -> Store:
    """Open the store that ``location.locate`` finds, upgraded to this program's schema.

    With ``create`` a missing one is made (mode 0600). Raises MissingError, CreateError, StoreError, BusyError.
    """
    return open_at(location.locate(explicit), create=create)


def open_at(path: str, *, create: bool = False) -> Store:
    """Open the store at an absolute path; see ``open_store``."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(f"this Python has SQLite {sqlite3.sqlite_version}; batchq needs 3.37 or newer (STRICT tables)")
    fresh = False
    if not os.path.exists(path):
        if not create:
            raise location.missing(path)
        fresh = _make_file(path)
    db = lock = None
    try:
        db = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
        version = 0 if fresh else _version(db, path)
        lock = LockFile(path)  # only now: no lock file appears beside a stranger's database
        _prepare(db, lock, version)
    except BaseException as error:
        if db is not None:
            db.close()
        if lock is not None:
            lock.close()
        if isinstance(error, sqlite3.Error):
            raise translated(error, path) from error
        raise
    return Store(path, db, lock)


def _make_file(path: str) -> bool:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        LockFile(
            path
        ).close()  # first: an empty store beside a lock file is an unfinished one, alone it is a stranger's
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    except FileExistsError:
        return False  # another process was faster
    except OSError as error:
        raise CreateError(f"cannot create the store {path}: {error.strerror}") from None
    return True


def _version(db: sqlite3.Connection, path: str) -> int:
    try:
        (owner,), (version,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version"))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname == "SQLITE_NOTADB":
            raise StoreError(f"{path} is no batchq store (not an SQLite file)") from None
        raise
    if owner == 0 and version == 0 and _is_unfinished(db, path):
        return 0
    if owner != APPLICATION_ID:
        raise StoreError(f"{path} is no batchq store (another program's SQLite file); name yours with --db")
    if version > VERSION:
        raise StoreError(
            f"{path} was made by a newer batchq (schema {version}, this one knows {VERSION}); upgrade batchq"
        )
    return int(version)


def _is_unfinished(db: sqlite3.Connection, path: str) -> bool:
    """An empty database whose lock file was there before it: ``init`` was killed, or is at work in this moment."""
    if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return False
    try:
        return os.stat(sidecar(path)).st_mtime_ns <= os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return False


def _prepare(db: sqlite3.Connection, lock: LockFile, version: int) -> None:
    for pragma in (
        "synchronous = FULL",
        "temp_store = MEMORY",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "wal_autocheckpoint = 0",
    ):
        db.execute(f"PRAGMA {pragma}")
    if version < VERSION:
        lock.acquire_mutex(PATIENCE)
        try:
            _upgrade(db)
        finally:
            lock.release_mutex()


def _upgrade(db: sqlite3.Connection) -> None:
    from batchq.store.migrations import upgrade

    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only an empty file can still take this
        db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] < VERSION:  # another process may have been faster
            upgrade(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def translated(error: sqlite3.Error, path: str) -> BatchqError:
    """What SQLite said, as the error that a command shows. IntegrityError never comes here: it is a bug of ours."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return BusyError(f"the store {path} is busy: another program has locked it; try again later")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return CreateError(f"cannot write the store {path} ({error}): check its permissions and those of its folder")
    if name.startswith("SQLITE_NOTADB"):
        return StoreError(f"{path} is no batchq store (not an SQLite file)")
    if name.startswith("SQLITE_FULL"):
        return LedgerError(f"cannot write the store {path}: the disk is full")
    return LedgerError(f"the store {path} cannot be used: {error} ({name or type(error).__name__})")
