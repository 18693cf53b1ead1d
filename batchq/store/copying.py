"""``batchq backup``: a copy of the store as it was at one moment, whatever runs meanwhile."""

import contextlib
import fcntl
import os
import sqlite3

from batchq import failpoints
from batchq.errors import BusyError, CreateError, LedgerError, UsageError
from batchq.store import location, log
from batchq.store.connection import Store, translated

_PAGES = 1000  #: pages copied before signals are served again


def backup(store: Store, target: str) -> int:
    """Copy the store to ``target`` (mode 0600), replacing what is there when the copy is complete and checked; its size.

    A crash leaves the old file or the new one, and at most ``<target>-new`` beside it, which the next backup uses
    again. Raises UsageError for the store itself, CreateError, BusyError, LedgerError.
    """
    target = os.path.realpath(target)
    _refuse_ours(store, target)
    draft = target + "-new"
    fd = _claim_draft(draft)
    try:
        _copy(store, draft)
        os.fchmod(fd, 0o600)
        os.fsync(fd)
        failpoints.hit("backup_before_rename")
        os.rename(draft, target)
        location.sync_folder(os.path.dirname(target))
        return os.fstat(fd).st_size
    except OSError as error:
        raise CreateError(f"cannot write the backup {target}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(fd), os.stat(draft)):  # not of the backup that came after this one
                os.unlink(draft)
        os.close(fd)


def _refuse_ours(store: Store, target: str) -> None:
    if target in (store.path, *(store.path + suffix for suffix in ("-wal", "-shm", "-lock"))):
        raise UsageError(f"{target} is the store itself or belongs to it: name another file")
    if os.path.isdir(target):
        raise CreateError(f"cannot write the backup {target}: it is a folder; name a file in it")
    with contextlib.suppress(OSError):
        if os.path.samestat(os.stat(target), os.stat(store.path)):
            raise UsageError(f"{target} is a hard link to the store: name another file")
    if os.path.exists(target + "-wal"):
        raise UsageError(f"{target} is a store in use ({target}-wal is there): name another file")


def _claim_draft(draft: str) -> int:
    """Open the draft under a lock, so that two backups to one file do not write it at once."""
    while True:
        try:
            fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise CreateError(f"cannot write the backup {draft}: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(draft)):
                os.ftruncate(fd, 0)
                return fd
        except BlockingIOError:
            os.close(fd)
            raise BusyError(f"another backup to {draft.removesuffix('-new')} is at work; try again later") from None
        except FileNotFoundError:
            pass
        os.close(fd)  # the other backup has just renamed it


def _copy(store: Store, draft: str) -> None:
    copy = sqlite3.connect(draft, isolation_level=None)
    try:
        copy.execute(
            "PRAGMA journal_mode = OFF"
        ).fetchall()  # a draft is thrown away after a crash, and synced at the end
        copy.execute("PRAGMA synchronous = OFF")
        store.fetch("BEGIN")
        store.fetch("SELECT 1 FROM settings")  # from here on the copy is of this moment
        store.db.backup(copy, pages=_PAGES)
        log.mark(copy)  # no log of the store belongs to the copy
        wrong = [text for (text,) in copy.execute("PRAGMA integrity_check(3)") if text != "ok"]
    except sqlite3.Error as error:
        is_source = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        raise translated(error, store.path if is_source else draft) from error
    finally:
        store.db.rollback()
        copy.close()
    if wrong:
        raise LedgerError(f"the store {store.path} is damaged ({wrong[0]}): no backup was written")
