"""The write-ahead log next to a store, and whether it belongs to that store.

SQLite replays any well-formed log that it finds next to a database, even if the file has been replaced by a backup or
by another store. The result is neither of the two. So each log shows to which file it belongs: its first transaction
changes the row ``log_mark`` of the settings from ``a b`` to ``b c``, where ``c`` is random. A checkpoint copies that into
the file. So a log with ``b c`` belongs to a file whose row ends in ``b`` (nothing of the log was copied yet) or in ``c``,
and to no other: an earlier copy ends in an older word, a backup gets a word of its own, another store has another
``store_id``. The check reads the file without its log, and the log without SQLite, so it changes nothing.

The layout of logs is in SQLite's "Database File Format", section 4, that of indexes of logs in "WAL-mode File Format".
"""

import _sqlite3 as sqlite3
import os
import sys
import time

from batchq.errors import LedgerError
from batchq.store.file.location import ALLOW_NETWORK
from batchq.store.file.patience import connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    Verdict = Literal["ours", "foreign", "unknown"]

_LEAF = 0x0A  #: the type of page that holds rows of an index, or of a table without rowid
_NO_MARK = "0" * 16
_CHECK = 0.5  #: seconds that the check after a log without a mark may take


def log_bytes(path: str) -> int:
    """The size of the write-ahead log of the store at ``path``."""
    try:
        return os.stat(path + "-wal").st_size
    except OSError:
        return 0


def lost_log(path: str) -> str | None:
    """Describe the loss if a store was not closed and its log, with the latest writes, is gone; else None."""
    # SQLite makes the log before its index and deletes it after the index, so an index alone is seen only for a moment.
    for _ in range(20):
        if os.path.exists(path + "-wal") or not os.path.exists(path + "-shm"):
            return None
        time.sleep(0.001)
    return f"{path}-wal is gone, and with it what was written last" if _index_says_more(path + "-shm") else None


def _index_says_more(index: str) -> bool:
    """Whether the index of a missing log lists pages that were not yet copied into the store.

    An index that merely could not be deleted at the last close lists none. For the place of the two numbers see SQLite's
    "WAL-mode File Format", section 2. (It is safe to open and close the index only because the log is gone: this process
    cannot have locks on it.)
    """
    try:
        with open(index, "rb") as file:
            header = file.read(100)
    except OSError:
        return False
    in_log, copied = (int.from_bytes(header[at : at + 4], sys.byteorder) for at in (16, 96))
    return len(header) == 100 and in_log > copied


# --- the mark ----------------------------------------------------------------------------------------------------------


def mark(db: sqlite3.Connection) -> None:
    """Mark the log that this transaction begins as belonging to this file."""
    db.execute(
        "INSERT INTO settings VALUES ('log_mark', ?) ON CONFLICT (name)"
        " DO UPDATE SET value = substr(value, 18, 16) || substr(excluded.value, 17)",
        (f"{_NO_MARK} {os.urandom(8).hex()}",),
    )


class Marks:
    """The marks in the file at ``path``, read without its log. Raises sqlite3.Error if it cannot be read."""

    def __init__(self, path: str) -> None:
        db = connect(path, "ro&immutable=1")
        try:
            ((self.page,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'settings'").fetchall()
            found = dict(db.execute("SELECT name, value FROM settings").fetchall())
        finally:
            db.close()
        self.store = str(found.get("store_id"))
        self.now = str(found.get("log_mark", _NO_MARK))[-16:]


def is_ours(path: str, db: sqlite3.Connection) -> bool:
    """Whether the file is still the one that ``db`` has open, however often its log was copied into it meanwhile."""
    found = dict(db.execute("SELECT name, value FROM settings WHERE name IN ('store_id', 'log_mark')").fetchall())
    try:
        file = Marks(path)
    except (sqlite3.Error, ValueError):
        return False
    return file.store == str(found.get("store_id")) and file.now in str(found.get("log_mark", _NO_MARK)).split()


def check(path: str) -> bool:
    """Raise LedgerError if the log next to a store that nobody has open belongs to another file; nothing is changed.

    Returns whether it certainly belongs to this one: a log without a mark (an older batchq or another program began it)
    or a file torn by a power loss leave that open. A store has a log and never a journal.
    """
    if _has_journal(path):
        raise LedgerError(
            f"{path}-journal does not belong to {path}, which has a log instead; nothing was changed. Move it away"
        )
    if not log_bytes(path):
        return True
    verdict = _verdict(path)
    if verdict == "foreign":
        raise LedgerError(
            f"{path}-wal does not belong to {path}: one of them was put there after a crash; nothing was changed."
            f" 'batchq restore FILE' puts a backup in place and keeps both; to go on with {path} as it is, move"
            f" {path}-wal away"
        )
    return verdict == "ours"


def _has_journal(path: str) -> bool:
    """Whether SQLite would replay a journal next to a file that normally has none."""
    try:
        with open(path + "-journal", "rb") as journal:
            if journal.read(1) in (b"", b"\0"):
                return False
        with open(path, "rb") as file:  # closing it drops no locks: nobody has it open
            return file.read(20)[18:] == b"\2\2" and not os.environ.get(ALLOW_NETWORK)
    except OSError:
        return False


def _verdict(path: str) -> "Verdict":
    try:
        file = Marks(path)
    except (sqlite3.Error, ValueError):
        return "unknown"
    from itertools import islice

    from batchq.store.file import frames  # needed only after a crash

    verdict = _verdict_of(file, frames.pages(path + "-wal", file.page))
    if verdict == "foreign":  # unless torn: SQLite replays only complete transactions, and finding these takes long
        whole = islice(frames.pages(path + "-wal", file.page), frames.whole(path + "-wal"))
        verdict = _verdict_of(file, whole)
    return verdict


def _verdict_of(file: Marks, pages: "Iterable[tuple[int, bytes]]") -> "Verdict":
    known: set[str] = set()
    has_frames = False
    for page, content in pages:
        has_frames = True
        if page == file.page and (found := _settings(content)) is not None:
            if found.get("store_id") != file.store:
                return "foreign"
            known.update(found.get("log_mark", "").split())
    if not has_frames:
        return "ours"  # SQLite finds nothing in it, either
    if not known:
        return "unknown"
    return "ours" if file.now in known else "foreign"


def _settings(page: bytes) -> dict[str, str] | None:
    """Read the settings with text values from a page of that table; None if it is not such a page."""
    found = {}
    try:
        if page[0] != _LEAF:
            return None
        for cell in range(int.from_bytes(page[3:5], "big")):
            start = int.from_bytes(page[8 + 2 * cell : 10 + 2 * cell], "big")
            _, at = _varint(page, start)
            header, at = _varint(page, at)
            end = at + header - 1
            kinds = []
            while at < end:
                kind, at = _varint(page, at)
                kinds.append(kind)
            if len(kinds) == 2 and all(kind >= 13 and kind % 2 for kind in kinds):  # two texts
                name, value = ((kind - 13) // 2 for kind in kinds)
                found[page[end : end + name].decode()] = page[end + name : end + name + value].decode(errors="replace")
    except (IndexError, UnicodeDecodeError):
        return None
    return found


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """Read a number of one to nine bytes; return it and the position after it."""
    number = 0
    for place in range(at, at + 8):
        number = number << 7 | page[place] & 0x7F
        if page[place] < 0x80:
            return number, place + 1
    return number << 8 | page[at + 8], at + 9


def check_recovered(db: sqlite3.Connection, path: str) -> None:
    """Raise LedgerError if a log of another file has damaged the store, as far as half a second of checking shows."""
    deadline = time.monotonic() + _CHECK
    db.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    try:
        ((verdict,),) = db.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_INTERRUPT":
            return
        raise
    finally:
        db.set_progress_handler(None, 0)
    if verdict != "ok":
        raise LedgerError(
            f"the store {path} is damaged ({first_finding(verdict)}): does {path}-wal belong to it? Go back to a backup"
            " with 'batchq restore FILE'"
        )


def first_finding(text: str) -> str:
    """The first finding of a check of SQLite, which may have many lines below a headline."""
    return next(line for line in [*text.splitlines(), text] if not line.startswith("***"))
