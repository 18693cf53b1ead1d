"""The files that have all output of jobs, as the ledger knows them: where they are, and removing those of removed jobs."""

import _sqlite3 as sqlite3
import json
import os
import stat
from collections.abc import Sequence

from batchq.errors import LedgerError
from batchq.store.connection import Store
from batchq.store.patience import damaged


def mark(store: Store) -> str:
    """What is part of the name of each log of this store, and of no other."""
    rows = store.fetch("SELECT value FROM settings WHERE name = 'store_id'")
    if not rows:
        raise LedgerError(damaged(store.path, "its settings are gone"))
    ((id,),) = rows
    return "".join(one for one in str(id)[:8] if one.isascii() and one.isalnum())  # a foreign store may hold anything


def folder(store: Store) -> str:
    """Where the logs of jobs are that leave something running, unless ``--log-dir`` says so."""
    return f"{store.path}-logs"


def of_jobs(db: sqlite3.Connection, ids: Sequence[int]) -> list[tuple[int, str]]:
    """The job and the path of each log of these jobs."""
    rows = db.execute("SELECT job, path FROM logs WHERE job IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
    return [(job, os.fsdecode(path)) for job, path in rows]


def remove(store: Store, logs: Sequence[tuple[int, str]]) -> int:
    """Remove the files that are beyond doubt logs of these jobs: plain, ours, of the name that they got; how many.

    The folder of this store goes with the last of them.
    """
    if not logs:
        return 0
    own = mark(store)
    removed = sum(_remove(path, job, own) for job, path in logs)
    try:
        os.rmdir(folder(store))
    except OSError:
        pass  # there is something in it, or it was never there
    return removed


def _remove(path: str, job: int, own: str) -> bool:
    number, _, rest = os.path.basename(path).partition("-")
    attempt, _, named = rest.partition("-")
    if number != str(job) or not attempt.isdecimal() or named.partition(".")[0] != own:
        return False
    try:
        facts = os.lstat(path)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
            return False
        os.unlink(path)
    except OSError:
        return False  # it went before, or its folder is not to be changed
    return True


def strays(store: Store) -> list[str]:
    """Files in the folder of this store that are logs of no job: left by a prune that did not come to its end."""
    try:
        names = os.listdir(folder(store))
    except OSError:
        return []
    known = {os.path.basename(os.fsdecode(path)) for (path,) in store.fetch("SELECT path FROM logs")}
    return sorted(name for name in names if name not in known)
