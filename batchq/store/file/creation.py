"""Making a store, and upgrading an old one: both under the mutex, and completely or not at all."""

import _sqlite3 as sqlite3
import contextlib
import errno
import os

from batchq.errors import BusyError, CreateError, StoreError
from batchq.store.file import location, log, schema, trust
from batchq.store.file.locks import LockFile
from batchq.store.file.patience import PATIENCE, translated

_SUFFIXES = ("", "-wal", "-shm", "-journal")


def create(path: str, *, trust_owner: bool = False) -> None:
    """Make an empty store at ``path`` (mode 0600), unless another process was faster.

    It is built next to its place and renamed when it is complete, so that no crash leaves half a store and an empty file
    is never one of ours. Raises CreateError, BusyError, StoreError.
    """
    folder = os.path.dirname(path)
    if not location.is_own(path) and not os.path.isdir(folder):  # a typo must not make a tree
        raise CreateError(
            f"cannot create the store {path}: there is no folder {folder}; make it first, or correct the path"
        )
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        on_network = location.require_local(path)
        if (stranger := trust.check_folder(path, os.geteuid())) is not None and not trust_owner:
            raise StoreError(
                f"the folder {folder} belongs to another user (uid {stranger}), who could replace the store {path};"
                " keep it elsewhere, or pass --trust-owner"
            )
        trust.check_side_files(path, os.geteuid())
        lock = LockFile(path)
    except OSError as error:
        raise CreateError(f"cannot create the store {path}: {error.strerror}") from None
    draft = path + "-new"
    try:
        lock.acquire_mutex(PATIENCE)
        if os.path.lexists(path):
            return
        _remove(draft)  # what a killed creation left
        _build(draft, "DELETE" if on_network else "WAL")
        os.rename(draft, path)
        location.sync_folder(folder)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    except OSError as error:
        raise CreateError(f"cannot create the store {path}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            _remove(draft)
        lock.close()


def _build(draft: str, journal: str) -> None:
    from batchq.store.file import migrations

    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    db = sqlite3.connect(draft, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only an empty file can still take this
        db.execute(f"PRAGMA journal_mode = {journal}").fetchall()
        db.execute("BEGIN IMMEDIATE")
        migrations.upgrade(db)
        db.execute("COMMIT")
        # A close checkpoints, too, but fails silently; and the log is not renamed with the draft.
        ((is_busy, _, _),) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if is_busy:
            raise OSError(errno.EBUSY, "another program has opened it")
    finally:
        db.close()


def _remove(draft: str) -> None:
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft + suffix)


def upgrade(db: sqlite3.Connection, lock: LockFile, path: str) -> None:
    """Upgrade an older store to the newest schema, in one transaction.

    Raises BusyError while an older batchq runs jobs of it: its statements would no longer fit.
    """
    from batchq.store.file import migrations

    lock.acquire_mutex(PATIENCE)
    try:
        db.execute("BEGIN IMMEDIATE")
        if db.execute("PRAGMA user_version").fetchone()[0] < schema.VERSION:  # another process may have been faster
            for pid, liveness in db.execute("SELECT pid, liveness FROM runners WHERE ended_at IS NULL").fetchall():
                if lock.is_held(liveness):
                    raise BusyError(
                        f"the store {path} must be upgraded, but an older batchq (process {pid}) is running its jobs; "
                        "try again when it has ended"
                    )
            migrations.upgrade(db)
            log.mark(db)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        lock.release_mutex()
