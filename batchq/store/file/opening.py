"""Opening a store: check that it can be trusted and that its log belongs to it, upgrade its schema, apply settings."""

import _sqlite3 as sqlite3
import os

from batchq.errors import CreateError, LedgerError, StoreError
from batchq.store.file import files, location, log, objects, schema, trust
from batchq.store.file.connection import Store
from batchq.store.file.locks import LockFile, busy, sidecar
from batchq.store.file.patience import Patient, Unemptied, connect, translated

OLDEST_SQLITE = (3, 37, 0)  #: STRICT tables


def open_store(
    explicit: str | None = None, *, create: bool = False, reading: bool = False, trust_owner: bool | None = None
) -> Store:
    """Open the store that ``location.locate`` finds, upgraded to this program's schema.

    With ``create`` a missing one is made (mode 0600). With ``reading`` a store that cannot be written is opened
    read-only. ``trust_owner`` says whether it may be another user's: see ``trust.check_file``. Raises MissingError,
    CreateError, StoreError, LedgerError, BusyError.
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
        except (CreateError, LedgerError):  # on a full disk there is no room for the index of the log
            pass
    return _open_readonly(path, facts, warnings)


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
            lock = LockFile(path)  # only now, so that no lock file appears next to another program's database
        if not is_sure:
            log.check_recovered(db, path)  # before the file is recorded as sound
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


def _open_readonly(path: str, facts: os.stat_result, warnings: list[str]) -> Store:
    """Open the store read-only. Raises what ``open_at`` raises.

    SQLite needs the index of the log next to the store even to read. If that can be neither found nor made, the store is
    read as a file that does not change, provided nobody is writing right now.
    """
    lock = LockFile(path, reading=True)
    db = None
    try:
        is_sure = files.require_own_log(path, facts, lock, alone=not lock.is_in_use())
        try:
            db = _connected(path, "ro" if _may_be_open(path, facts) else "ro&immutable=1")
            trust.check_side_files(path, facts.st_uid)
        except sqlite3.OperationalError:
            if lock.mutex_is_held():
                raise busy(path) from None
            db = _connected(path, "ro&immutable=1")
            if log.log_bytes(path):
                warnings.append(f"{path}-wal cannot be read here: what was written last is missing")
        if (version := version_of(db, path)) < schema.VERSION:
            raise StoreError(f"{path} has the older schema {version} and cannot be upgraded here: it is read-only")
        if not is_sure:
            log.check_recovered(db, path)
        if (refusal := objects.strange(db, path)) is not None:
            warnings.append(refusal)
        return Store(path, db, lock, facts, warnings, is_readonly=True, refusal=refusal)
    except BaseException as error:
        if db is not None:
            db.close()
        lock.close()
        if isinstance(error, sqlite3.Error):
            raise translated(error, path) from error
        raise


def _may_be_open(path: str, facts: os.stat_result) -> bool:
    """Whether SQLite may look for the index of the log: an index that it made for another user locks the owner out."""
    return facts.st_uid == os.geteuid() or os.path.exists(path + "-shm")


def _connected(path: str, mode: str) -> Patient:
    db = connect(path, mode)
    try:
        db.execute("PRAGMA user_version").fetchone()  # opens the log and its index
    except sqlite3.Error:
        db.close()
        raise
    return db


def require_known_schema(store: Store) -> None:
    """Raise StoreError if a newer batchq has upgraded the store since it was opened."""
    try:
        version_of(store.db, store.path)
    except sqlite3.Error as error:
        raise translated(error, store.path) from error


def version_of(db: sqlite3.Connection, path: str) -> int:
    """Return the schema version of the file. Raises StoreError if it is not a store, or one of a newer batchq."""
    try:
        (owner,), (version,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version"))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname == "SQLITE_NOTADB":
            raise StoreError(f"{path} is not a batchq store (not an SQLite file)") from None
        raise
    if owner != schema.APPLICATION_ID:
        raise StoreError(f"{path} is not a batchq store (another program's SQLite file); name yours with --db")
    if version > schema.VERSION:
        raise StoreError(
            f"{path} was made by a newer batchq (schema {version}, this one knows {schema.VERSION}); upgrade batchq"
        )
    return int(version)
