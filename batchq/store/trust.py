"""Whether a store may be believed: who can write the file, and whether its schema is ours, object for object.

Who can write a store decides what the next ``batchq run`` executes. ``trusted_schema = OFF`` does not keep a trigger
or a view from slipping a job in, so the text of the whole schema is compared at each open (0.1 ms).
"""

import os
import sqlite3
import sys
import time

from batchq.errors import LedgerError, StoreError
from batchq.store import schema

_INERT = ("CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX ", "CREATE VIRTUAL TABLE ")
_CHECK = 0.5  #: seconds that the check after a crash may take


def check_file(path: str, facts: os.stat_result, *, reading: bool) -> list[str]:
    """Refuse a file that others can write, or that is none; what deserves a warning otherwise.

    As with the StrictModes of ssh, a store belongs to its user or to root, and nobody else may write it. Who only
    reads is warned instead.
    """
    if facts.st_mode & 0o170000 != 0o100000:
        raise StoreError(f"{path} is no batchq store (not a file)")
    if facts.st_size == 0:
        raise StoreError(f"{path} is no batchq store (an empty file); delete it to have a store made there")
    warnings = []
    user, mode = os.geteuid(), facts.st_mode & 0o7777
    if facts.st_uid not in (user, 0) and user != 0:
        warnings.append(f"{path} belongs to another user (uid {facts.st_uid}), who decides what it runs; use your own")
    if mode & 0o022:
        warnings.append(f"others can write {path} (mode {mode:04o}) and decide what it runs; chmod go-w {path}")
    if warnings and not reading:
        raise StoreError(warnings[0])
    if facts.st_nlink > 1:
        warnings.append(
            f"{path} has {facts.st_nlink} hard links; opened under another name it would be torn to pieces: "
            "the log and the locks lie beside one name"
        )
    return warnings


def lost_log(path: str) -> str | None:
    """What to say of a store that was not closed and whose log is gone, with what was written last; None of others."""
    # SQLite makes the log before its index and deletes it after it, so an index alone is seen for a moment at most.
    for _ in range(20):
        if os.path.exists(path + "-wal") or not os.path.exists(path + "-shm"):
            return None
        time.sleep(0.001)
    return f"{path}-wal is gone, and with it what was written last" if _index_says_more(path + "-shm") else None


def _index_says_more(index: str) -> bool:
    """Whether the index of a log that is gone tells of pages that were not yet copied into the store.

    An index that merely could not be deleted at the last close tells of none. Where the two numbers stand is said in
    SQLite's "WAL-mode File Format", section 2. (To open and close it is safe only because the log is gone: nobody in
    this process can have locks on it.)
    """
    try:
        with open(index, "rb") as file:
            header = file.read(100)
    except OSError:
        return False
    in_log, copied = (int.from_bytes(header[at : at + 4], sys.byteorder) for at in (16, 96))
    return len(header) == 100 and in_log > copied


def identity(path: str) -> tuple[int, int] | None:
    """Which file stands at a path now; None where there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def log_bytes(path: str) -> int:
    """The size of the write-ahead log of the store at ``path``."""
    try:
        return os.stat(path + "-wal").st_size
    except OSError:
        return 0


def check_schema(db: sqlite3.Connection, path: str, *, is_old: bool = False) -> None:
    """Refuse a store whose tables, indexes and views are not ours; a table or an index beside them does no harm.

    The text decides: it is what SQLite executes, whatever the other columns of its schema table say. A store that
    ``is_old`` may have views of its own time, and is compared in full after its upgrade.
    """
    found = {sql for (sql,) in db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    inert = (*_INERT, "CREATE VIEW ") if is_old else _INERT
    for sql in found - schema.OBJECTS:
        if not sql.startswith(inert):
            raise StoreError(
                f"{path} holds something that batchq did not make and that could add or change jobs: "
                f"{' '.join(sql.split())[:60]!r}; drop it, or go back to a backup"
            )
    if not is_old and (missing := schema.OBJECTS - found):
        names = ", ".join(sorted(" ".join(sql.split()[1:3]) for sql in missing)[:3])
        raise StoreError(f"{path} is not as batchq made it ({names} was changed or dropped); go back to a backup")


def extras(db: sqlite3.Connection) -> list[str]:
    """The names of the tables and indexes that somebody added to the store."""
    rows = db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*'")
    return sorted(name for name, sql in rows if sql not in schema.OBJECTS and "_sqlite_migrations" not in sql)


def check_recovered(db: sqlite3.Connection, path: str) -> None:
    """After a crash: refuse a store to which its log does not belong, as far as half a second of checking shows it.

    SQLite believes every log of the right form that lies beside a database, also that of another one.
    """
    deadline = time.monotonic() + _CHECK
    db.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    try:
        ((verdict,),) = db.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_INTERRUPT":
            return
        raise
    finally:
        db.set_progress_handler(None, 0)
    if verdict != "ok":
        raise LedgerError(f"the store {path} is damaged ({verdict}): does {path}-wal belong to it? go back to a backup")
