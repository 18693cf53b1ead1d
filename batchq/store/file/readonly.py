"""Opening a store that cannot be written here: a read-only folder or file system, a full disk, another's file."""

import _sqlite3 as sqlite3
import os

from batchq.errors import StoreError
from batchq.store.file import files, log, objects, schema, trust
from batchq.store.file.connection import Store, version_of
from batchq.store.file.locks import LockFile, busy
from batchq.store.file.patience import Patient, connect, translated


def open_readonly(path: str, facts: os.stat_result, warnings: list[str]) -> Store:
    """Open the store for looking only. Raises what ``open_at`` raises.

    SQLite needs the index of the log beside the store, also to read. Where that can be neither found nor made, the
    store is read as a file that does not change, if nobody writes in this moment.
    """
    lock = LockFile(path, reading=True)
    db = None
    try:
        is_sure = files.require_own_log(path, facts, lock, alone=not lock.is_in_use())
        try:
            db = _connect(path, "ro" if _may_be_open(path, facts) else "ro&immutable=1")
            trust.check_side_files(path, facts.st_uid)
        except sqlite3.OperationalError:
            if lock.mutex_is_held():
                raise busy(path) from None
            db = _connect(path, "ro&immutable=1")
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
    """Whether SQLite may look for the index of the log. One that it made for a reader would shut the owner out."""
    return facts.st_uid == os.geteuid() or os.path.exists(path + "-shm")


def _connect(path: str, mode: str) -> Patient:
    db = connect(path, mode)
    try:
        db.execute("PRAGMA user_version").fetchone()  # opens the log and its index
    except sqlite3.Error:
        db.close()
        raise
    return db
