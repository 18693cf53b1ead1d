"""``batchq restore``: put a backup in the place of the store, whatever is there and whichever processes use it.

The old store gets another name, and so do its log and its lock file: processes that have it open cannot touch the new
one. They notice before their next write.
"""

import _sqlite3 as sqlite3
import contextlib
import os

from batchq import failpoints
from batchq.draft import Draft
from batchq.errors import CreateError, StoreError, UsageError
from batchq.named import NamedTuple
from batchq.store.file import location, log, objects, opening, schema, trust
from batchq.store.file.connection import translated
from batchq.store.file.locks import LockFile, sidecar
from batchq.store.file.patience import PATIENCE, connect
from batchq.store.keeping.backup import copy

_BESIDE = ("-wal", "-shm", "-journal")


class Restored(NamedTuple):
    """The size of the restored store, the name under which the old one is kept, and whether that one is in use."""

    bytes: int
    kept_as: str | None
    was_in_use: bool


def restore(path: str, source: str) -> Restored:
    """Put a copy of the backup ``source`` in the place of the store at ``path``, which need not exist.

    ``source`` stays as it is. It is checked before anything is moved. Runs of the old store end with 74. Raises
    MissingError, UsageError, StoreError, CreateError, BusyError, LedgerError; then nothing was changed.
    """
    source = os.path.realpath(source)
    facts = location.look(source)
    if facts is None:
        raise location.missing(source)
    if source == path:
        raise UsageError(f"{source} is the store itself: name a backup of it")
    trust.check_file(source, facts, reading=False)
    old = location.look(path)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise CreateError(f"cannot restore {path}: there is no folder {folder}")
    if (stranger := trust.check_folder(path, os.geteuid() if old is None else old.st_uid)) is not None:
        raise CreateError(f"the folder {folder} belongs to another user (uid {stranger}), who can replace {path}")
    draft = Draft(path + "-restored", path)
    try:
        _copy(source, draft.path)
        draft.finish(old)
        failpoints.hit("restore_before_rename")
        kept_as, was_in_use = _swap(path, draft.path, old is not None)
        location.sync_folder(folder)
        return Restored(draft.size(), kept_as, was_in_use)
    except OSError as error:
        raise CreateError(f"cannot restore {path}: {error.strerror}") from None
    finally:
        draft.close()


def _copy(source: str, draft: str) -> None:
    if log.log_bytes(source):  # a store in use, or one that was not closed
        with opening.open_at(source, reading=True) as store:
            if store.refusal is not None:
                raise StoreError(store.refusal)
            copy(store.db, source, draft)
        return
    db = connect(source, "ro&immutable=1")  # leaves no file next to a backup
    try:
        version = opening.version_of(db, source)
        objects.check(db, source, is_old=version < schema.VERSION)
        copy(db, source, draft)
    except sqlite3.Error as error:
        raise translated(error, source) from error
    finally:
        db.close()


def _swap(path: str, draft: str, is_there: bool) -> tuple[str | None, bool]:
    """Rename the old store and move the new one in; return the old one's new name, and whether any process has it open.

    Under both mutexes: no process writes the old store meanwhile, or the new one before everything is in place. A process
    that opens the store in between finds none, or notices at its first write that the files have changed.
    """
    lock, new = _locked(path), LockFile(draft)
    try:
        new.acquire_mutex(PATIENCE)
        kept = _free_name(path)
        os.link(lock.path, sidecar(kept))
        os.rename(new.path, lock.path)
        if is_there:
            os.rename(path, kept)
        for suffix in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                os.rename(path + suffix, kept + suffix)
        failpoints.hit("restore_between_renames")
        os.rename(draft, path)
        was_in_use = is_there and lock.is_in_use()
        if not was_in_use and not is_there:
            os.unlink(sidecar(kept))
        return kept if is_there else None, was_in_use
    finally:
        new.close()
        lock.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(sidecar(draft))


def _locked(path: str) -> LockFile:
    while True:
        lock = LockFile(path)
        try:
            lock.acquire_mutex(PATIENCE)
            if not lock.is_moved():
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()  # another restore was faster


def _free_name(path: str) -> str:
    for number in range(1, 1_000_000):
        name = f"{path}.old" if number == 1 else f"{path}.old-{number}"
        if not any(os.path.lexists(name + suffix) for suffix in ("", "-lock", *_BESIDE)):
            return name
    raise CreateError(f"{path}.old and a million more are there already; remove some")
