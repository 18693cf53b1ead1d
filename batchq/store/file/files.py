"""The files of an open store: whether they are still the ones that were opened, with the content that was left there.

Between two checkpoints nobody writes the file itself. So each checkpoint records in the lock file how it left the file
(size and time). A file that differs was overwritten, or checkpointed by another program: its mark (``log.py``) shows
which. A checkpoint that was killed or failed on the way leaves a file that has no readable mark, so each records first
that it is under way.
"""

import _sqlite3 as sqlite3
import os

from batchq.errors import BusyError, LedgerError
from batchq.store.file import log
from batchq.store.file.patience import PATIENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.store.file.locks import LockFile

    Facts = tuple[int, int, int, int]  # device, inode, size, and when it was written last (in ns)


_UNDER_WAY = 2**64 - 1  #: in place of the file's size, from the begin of a checkpoint to its end


class Files:
    """The store at ``path``, its log and its lock file, as they were when they were opened."""

    def __init__(self, path: str, lock: "LockFile", facts: os.stat_result) -> None:
        self._path = path
        self._lock = lock
        self._store = _of(facts)
        self._log = _at(path + "-wal")  # None: it has a journal, on a network file system
        self._log_is_empty = False

    def require_same(self, db: sqlite3.Connection) -> None:
        """Raise LedgerError if one of them was moved, deleted, replaced or overwritten since."""
        if self._log is not None:
            self._log_is_empty = _same(self._path + "-wal", self._log)[2] == 0
        self.require_same_content(db)
        if self._lock.is_moved():
            raise LedgerError(f"{self._lock.path} was deleted or replaced while it was in use; nothing more is written")

    def require_same_content(self, db: sqlite3.Connection) -> None:
        """Raise LedgerError if anything except a checkpoint has changed the store."""
        now = _same(self._path, self._store)
        if now == self._store or self._log is None:
            return
        noted = self._lock.noted()
        if now != noted:
            if noted != _under_way(now) and not log.is_ours(self._path, db):
                raise LedgerError(f"{self._path} was overwritten while it was in use; nothing more is written")
            self._lock.note(now)
        self._store = now

    def is_moved(self) -> bool:
        """Whether the store was moved, deleted or replaced since. Unlike the checks above it needs no mutex."""
        now = _at(self._path)
        return now is None or now[:2] != self._store[:2]

    def begin_log(self, db: sqlite3.Connection) -> None:
        """In a transaction: if it begins a log, mark the log as belonging to this file."""
        if self._log_is_empty:
            log.mark(db)

    def begin_checkpoint(self) -> None:
        """Before a checkpoint, under the mutex: record that the file is about to change."""
        self._lock.note(_under_way(self._store))

    def note_checkpoint(self, db: sqlite3.Connection, *, is_restart: bool) -> None:
        """After a checkpoint, under the mutex: record how it left the store, and mark a log that begins anew."""
        self._store = _of(os.stat(self._path))
        self._lock.note(self._store)
        if is_restart:
            try:
                db.execute("BEGIN IMMEDIATE")
                log.mark(db)
                db.execute("COMMIT")
            except (sqlite3.Error, BusyError):  # it then begins without a mark, which is checked after a crash
                if db.in_transaction:
                    db.execute("ROLLBACK")


def require_own_log(path: str, facts: os.stat_result, lock: "LockFile | None", *, alone: bool) -> bool:
    """Refuse a log that does not belong to the store, before SQLite replays it; return whether it certainly belongs.

    It is certain only if the file is also as the last checkpoint left it. Otherwise a checkpoint was killed, the files
    were moved together, or somebody has put a copy there.

    While others have the store open, they have checked the log, and the file must be the one that they opened.
    """
    if alone:
        try:
            if not log.check(path):
                return False
            # A copy made by another program in the middle of a log ends in the word with which the next log begins.
            return not log.log_bytes(path) or (lock is not None and lock.noted() == _of(facts))
        except LedgerError:
            if lock is None or not lock.is_in_use():
                raise  # nobody else has checked it meanwhile
    known = None if lock is None else lock.noted()
    if known is not None and known[:2] != _of(facts)[:2]:
        raise BusyError(f"{path} was replaced while others use the file that was there; try again when they have ended")
    return True


def join(path: str, facts: os.stat_result, lock: "LockFile", db: sqlite3.Connection, *, alone: bool) -> None:
    """Share the store with the processes that have it open; LedgerError if it was overwritten under them."""
    if alone:
        lock.note(_of(facts))
    elif lock.noted() not in (None, _of(facts), _under_way(_of(facts))) and not (
        log.is_ours(path, db) or _is_ours_at_rest(path, lock, db)
    ):
        raise LedgerError(f"{path} was overwritten while others use it; try again when they have ended")
    lock.enter()


def _is_ours_at_rest(path: str, lock: "LockFile", db: sqlite3.Connection) -> bool:
    """Ask ``log.is_ours`` under the mutex: in the middle of a checkpoint the file is neither old nor new."""
    lock.acquire_mutex(PATIENCE)
    try:
        return log.is_ours(path, db)
    finally:
        lock.release_mutex()


def _same(path: str, known: "Facts") -> "Facts":
    now = _at(path)
    if now is None or now[:2] != known[:2]:
        raise LedgerError(f"{path} was moved, deleted or replaced while it was in use; nothing more is written")
    return now


def _at(path: str) -> "Facts | None":
    try:
        return _of(os.stat(path))
    except OSError:
        return None


def _under_way(file: "Facts") -> "Facts":
    return (*file[:2], _UNDER_WAY, 0)


def _of(facts: os.stat_result) -> "Facts":
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
