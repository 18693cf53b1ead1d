"""The bare connection: it waits for other programs in short slices, and turns errors of SQLite into our own.

The store imports ``_sqlite3``, which is ``sqlite3`` without the conversion of dates that takes two thirds of its import
time.
"""

import _sqlite3 as sqlite3
import fcntl
import os
import time

from batchq.errors import BatchqError, CreateError, LedgerError, StoreError
from batchq.store.file import location, locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PATIENCE = 30.0  #: how long a command waits for the store, in seconds
_SLICE = 0.1  #: seconds that SQLite waits by itself; no signal handler runs meanwhile
_SQLITE_SHARED = 0x40000002, 510  #: the bytes of a database that each of its connections shares


class Patient(sqlite3.Connection):
    """A connection that waits for locks of other programs for ``patience`` seconds, or until ``interrupted()``."""

    path = ""
    patience = PATIENCE
    interrupted: "Callable[[], bool] | None" = None

    def execute(self, sql: str, parameters: "Any" = (), /) -> sqlite3.Cursor:
        """Execute as the parent does; raises BusyError when the wait ends."""
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
        except UnicodeDecodeError:  # SQLite's own message quotes a damaged name
            raise LedgerError(damaged(self.path, "its schema cannot be read")) from None
        return self.insist(sql, parameters, time.monotonic() + self.patience)

    def insist(self, sql: str, parameters: "Any", deadline: float) -> sqlite3.Cursor:
        """Execute a statement as soon as no lock is in its way, or raise BusyError at the deadline."""
        began = time.monotonic()
        while True:
            try:
                return super().execute(sql, parameters)
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
            if self.interrupted is not None and self.interrupted():
                raise locks.wait_interrupted(self.path)
            if time.monotonic() >= deadline:
                raise locks.busy(self.path, round(time.monotonic() - began, 1))
            time.sleep(0.001)  # SQLite refuses some statements without waiting


def connect(path: str, mode: str) -> Patient:
    """Connect to an existing file; ``mode`` as in SQLite's URIs: ``rw``, ``ro``, ``ro&immutable=1``.

    By URI, because a plain name would make an empty file, readable by all, if the store has just been moved away. The
    URI has an empty host, or a path that begins with two slashes would be read as a host.
    """
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    db = sqlite3.connect(
        f"file://{quoted}?mode={mode}", timeout=_SLICE, isolation_level=None, factory=Patient, uri=True
    )
    db.path, db.patience = path, PATIENCE
    return db


class Unemptied:
    """Let SQLite close a connection in this block without copying its log into the file, as the last one would.

    SQLite does that only when all shared locks are gone: a shared lock of another kind, ours, prevents it.
    """

    def __init__(self, store: str) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._fd = -1
        try:
            self._fd = os.open(self._store, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            if locks.HAS_OFD:
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, locks.flock(fcntl.F_RDLCK, *_SQLITE_SHARED))
        except OSError:
            pass  # it was moved, which SQLite sees by itself

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def translated(error: sqlite3.Error, path: str) -> BatchqError:
    """Turn an error of SQLite into the error that a command shows. IntegrityError never comes here: it is our own bug."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return locks.busy(path)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        if not location.is_writable(path):
            return CreateError(f"cannot write the store {path}: it, or its folder, is read-only here")
        return CreateError(f"cannot use the store {path} ({error}): check its permissions and those of its folder")
    if name.startswith("SQLITE_NOTADB"):
        return StoreError(f"{path} is not a batchq store (not an SQLite file)")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")):
        return LedgerError(f"cannot write {path}: the disk is full")
    if name.startswith("SQLITE_CORRUPT"):
        return LedgerError(damaged(path, error))
    hint = "; is the disk full, or a quota used up?" if name.startswith("SQLITE_IOERR_WRITE") else ""
    return LedgerError(f"the store {path} cannot be used: {error} ({name or type(error).__name__}){hint}")


def damaged(path: str, how: object) -> str:
    """The message for a store that cannot be read."""
    return (
        f"the store {path} is damaged ({how}): run 'batchq doctor', or go back to a backup with 'batchq restore FILE'"
    )


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
