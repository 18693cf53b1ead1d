"""``batchq backup``: a copy of the store as it was at one moment, even while jobs run."""

import _sqlite3 as sqlite3
import contextlib
import os
import stat

from batchq import failpoints, folder
from batchq.draft import Draft
from batchq.errors import CreateError, LedgerError, UsageError
from batchq.store.file import location, log
from batchq.store.file.connection import Store, translated
from batchq.store.running.rescue import ELSEWHERE

NOBODYS_BYTE = 1 << 19  #: of the lock file: no runner locks it
_PAGES = 1000  #: pages copied before signals are handled again


def backup(store: Store, target: str) -> int:
    """Copy the store to ``target`` (mode 0600) and return its size; an old file is replaced when the copy is checked.

    Only a plain file of the same user is replaced. A crash leaves the old file or the new one, and at most
    ``<target>-new`` next to it, which the next backup removes. Raises UsageError for the store itself, CreateError,
    BusyError, LedgerError.
    """
    target = _ours(folder.absolute(target))
    refuse_store(store, target)
    draft = Draft(target + "-new", "the backup " + target)
    try:
        copy(store.db, store.path, draft.path, is_ours=store.refusal is None)
        draft.finish()
        failpoints.hit("backup_before_rename")
        os.rename(draft.path, target)
        location.sync_folder(os.path.dirname(target))
        return draft.size()
    except OSError as error:
        raise CreateError(f"cannot write the backup {target}: {error.strerror}") from None
    finally:
        draft.close()


def _ours(target: str) -> str:
    """Follow the link ``target``; refuse a file of another user, and anything that is not a plain file."""
    for path in (target, os.path.realpath(target)):
        try:
            facts = os.lstat(path)
        except OSError:
            continue
        if facts.st_uid != os.geteuid():
            raise CreateError(
                f"cannot write the backup {target}: {path} belongs to another user (uid {facts.st_uid}); name another file"
            )
        if stat.S_ISDIR(facts.st_mode):
            raise CreateError(f"cannot write the backup {target}: it is a folder; name a file in it")
        if not stat.S_ISREG(facts.st_mode) and not (path == target and stat.S_ISLNK(facts.st_mode)):
            raise CreateError(f"cannot write the backup {target}: it is not a plain file; name another file")
    return os.path.realpath(target)


def refuse_store(store: Store, target: str) -> None:
    """Raise UsageError if ``target`` is this store, one of its side files, or another store in use."""
    if target in (store.path, *(store.path + suffix for suffix in ("-wal", "-shm", "-journal", "-lock"))):
        raise UsageError(f"{target} is the store itself or belongs to it: name another file")
    with contextlib.suppress(OSError):
        if os.path.samestat(os.stat(target), os.stat(store.path)):
            raise UsageError(f"{target} is a hard link to the store: name another file")
    if os.path.exists(target + "-wal"):
        raise UsageError(
            f"{target} is a store in use ({target}-wal is there): name another file, or put one in its place with"
            " 'batchq restore'"
        )


def copy(db: sqlite3.Connection, path: str, draft: str, *, is_ours: bool = True) -> None:
    """Copy the database that ``db`` has open at ``path`` as it is now, and check the copy.

    The copy is a store of its own: it shares no log, runner or process with the first one. A store with a changed schema
    (not ``is_ours``) is copied as it is: a write to the copy could fire a trigger.
    """
    made = sqlite3.connect(draft, isolation_level=None)
    try:
        # A draft is deleted after a crash, and synced at the end.
        made.execute("PRAGMA journal_mode = OFF").fetchall()
        made.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        db.execute("SELECT 1 FROM settings").fetchall()  # the copy is of this moment
        db.backup(made, pages=_PAGES)
        wrong = [text for (text,) in made.execute("PRAGMA integrity_check(3)") if text != "ok"]
        if not wrong and is_ours:
            _make_own(made)
    except sqlite3.Error as error:
        is_source = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        raise translated(error, path if is_source else draft) from error
    finally:
        db.rollback()
        made.close()
    if wrong:
        raise LedgerError(f"the store {path} is damaged ({log.first_finding(wrong[0])}): nothing was written")


def raw(store: Store, target: str) -> str:
    """Copy the store to the new file ``target`` as it is, damaged or not. Raises CreateError, BusyError, LedgerError.

    No log of the store belongs to the copy.
    """
    draft = Draft(target + "-new", "the backup " + target)
    try:
        made = sqlite3.connect(draft.path, isolation_level=None)
        try:
            made.execute("PRAGMA journal_mode = MEMORY").fetchall()
            store.db.backup(made, pages=_PAGES)
            if store.refusal is None:
                with contextlib.suppress(sqlite3.Error):  # it may be too damaged
                    log.mark(made)
        except sqlite3.Error as error:
            raise translated(error, store.path) from error
        finally:
            made.close()
        draft.finish()
        os.rename(draft.path, target)
        location.sync_folder(os.path.dirname(target))
        return target
    except OSError as error:
        raise CreateError(f"cannot write the backup {target}: {error.strerror}") from None
    finally:
        draft.close()


def _make_own(made: sqlite3.Connection) -> None:
    made.execute("BEGIN")
    log.mark(made)
    # Runs of the original store continue their jobs. In the copy they are dead, and a rescue must find none of their
    # processes: neither by their lock, nor by their tokens, nor by their sessions.
    made.execute(
        "UPDATE runners SET boot_id = ?, born = NULL, liveness = ? WHERE ended_at IS NULL", (ELSEWHERE, NOBODYS_BYTE)
    )
    made.execute("UPDATE jobs SET token = lower(hex(randomblob(8))) || '-' || id WHERE state = 'running'")
    if made.execute("SELECT 1 FROM sqlite_schema WHERE name = 'processes'").fetchall():
        made.execute("DELETE FROM processes")
    made.execute("COMMIT")
