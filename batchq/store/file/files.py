"""The files of an open store: whether they are still those that were opened, and hold what was left there.

Between two checkpoints nobody writes the file itself. So how the last one left it (size and time) is written into the
lock file, and a file that looks otherwise was overwritten, or taken over by a checkpoint of another program: its mark
(``log.py``) tells which.
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


class Files:
    """What was seen of the store at ``path``, its log and its lock file when they were opened."""

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
        """Raise LedgerError if something else than a checkpoint has changed the store."""
        now = _same(self._path, self._store)
        if now == self._store or self._log is None:
            return
        if now != self._lock.noted():
            if not log.is_ours(self._path, db):
                raise LedgerError(f"{self._path} was overwritten while it was in use; nothing more is written")
            self._lock.note(now)
        self._store = now

    def begin_log(self, db: sqlite3.Connection) -> None:
        """In a transaction: if it begins a log, say to which file that belongs."""
        if self._log_is_empty:
            log.mark(db)

    def note_checkpoint(self, db: sqlite3.Connection, *, is_restart: bool) -> None:
        """After a checkpoint, under the mutex: let all know how it left the store, and mark a log that begins anew."""
        self._store = _of(os.stat(self._path))
        self._lock.note(self._store)
        if is_restart:
            try:
                db.execute("BEGIN IMMEDIATE")
                log.mark(db)
                db.execute("COMMIT")
            except (sqlite3.Error, BusyError):  # it then begins without one, which is looked into after a crash
                if db.in_transaction:
                    db.execute("ROLLBACK")


def require_own_log(path: str, facts: os.stat_result, lock: "LockFile | None", *, alone: bool) -> bool:
    """Refuse, before SQLite takes it over, a log that does not belong to the store; whether it certainly does.

    Certain it is where the file is as the last checkpoint left it, too. Else one was killed in the middle, the files were
    moved together, or somebody has put a copy there.

    While others have the store open, it is they who have looked, and the file must be the one that they have opened.
    """
    if alone:
        try:
            if not log.check(path):
                return False
            # A copy that another program has made in the middle of a log ends in the word with which the next log begins.
            return not log.log_bytes(path) or (lock is not None and lock.noted() == _of(facts))
        except LedgerError:
            if lock is None or not lock.is_in_use():
                raise  # nobody has found it to be in order meanwhile
    known = None if lock is None else lock.noted()
    if known is not None and known[:2] != _of(facts)[:2]:
        raise BusyError(f"{path} was replaced while others use the file that was there; try again when they have ended")
    return True


def join(path: str, facts: os.stat_result, lock: "LockFile", db: sqlite3.Connection, *, alone: bool) -> None:
    """Share the store with those who have it open; LedgerError if it was overwritten under them."""
    if alone:
        lock.note(_of(facts))
    elif lock.noted() not in (None, _of(facts)) and not (log.is_ours(path, db) or _is_ours_at_rest(path, lock, db)):
        raise LedgerError(f"{path} was overwritten while others use it; try again when they have ended")
    lock.enter()


def _is_ours_at_rest(path: str, lock: "LockFile", db: sqlite3.Connection) -> bool:
    """As ``log.is_ours``, while nobody makes a checkpoint: in the middle of one the file is neither old nor new."""
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


def _of(facts: os.stat_result) -> "Facts":
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
