"""The log files with the whole output of jobs, as the ledger lists them: find them, and remove those of removed jobs."""

import _sqlite3 as sqlite3
import json
import os
import stat
from binascii import crc32
from collections.abc import Sequence

from batchq.errors import LedgerError
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.file.patience import damaged


class Removed(NamedTuple):
    """How many logs were removed, and how many were left because they were written for a store at another path."""

    files: int
    of_others: int


def mark(store: Store) -> str:
    """The part of a log's name that only logs of this store have: its copies, at other paths, have another."""
    rows = store.fetch("SELECT value FROM settings WHERE name = 'store_id'")
    if not rows:
        raise LedgerError(damaged(store.path, "its settings are gone"))
    ((id,),) = rows
    return f"{crc32(os.fsencode(f'{id} {store.path}')):08x}"


def folder(store: Store) -> str:
    """The folder for logs of jobs that leave processes running, unless ``--log-dir`` names another."""
    return f"{store.path}-logs"


def of_jobs(db: sqlite3.Connection, ids: Sequence[int]) -> list[tuple[int, str]]:
    """The job and the path of each log of these jobs."""
    rows = db.execute("SELECT job, path FROM logs WHERE job IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
    return [(job, os.fsdecode(path)) for job, path in rows]


def remove(store: Store, logs: Sequence[tuple[int, str]]) -> Removed:
    """Remove the files that are certainly logs of these jobs: plain, ours, and with the name that they got here.

    The log folder of this store is removed with the last of them. Logs that a copied store lists belong to the original.
    """
    if not logs:
        return Removed(0, 0)
    own = mark(store)
    removed = of_others = 0
    for job, path in logs:
        if (marked := _marked(path, job)) == own:
            removed += _remove(path)
        else:
            of_others += marked is not None
    try:
        os.rmdir(folder(store))
    except OSError:
        pass  # there is something in it, or it was never there
    return Removed(removed, of_others)


def _marked(path: str, job: int) -> str | None:
    """The mark in the name of a plain file of ours that is a log of this job; None for any other."""
    number, _, rest = os.path.basename(path).partition("-")
    attempt, _, named = rest.partition("-")
    if number != str(job) or not attempt.isdecimal():
        return None
    try:
        facts = os.lstat(path)
    except (OSError, ValueError):
        return None  # it was removed before
    return named.partition(".")[0] if stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() else None


def _remove(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False  # its folder may not be changed
    return True


def strays(store: Store) -> list[str]:
    """Files in the log folder of this store that belong to no job: left by a prune that was interrupted."""
    try:
        names = os.listdir(folder(store))
    except OSError:
        return []
    known = {os.path.basename(os.fsdecode(path)) for (path,) in store.fetch("SELECT path FROM logs")}
    return sorted(name for name in names if name not in known)
