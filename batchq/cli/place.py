"""Which store it is, for a person on a terminal; a script, and cron, read none of this."""

import os
import sys

from batchq.notes import note
from batchq.paths import from_home
from batchq.store.file import location

_NONE_NEAR = "no batchq.db here or above"


def shown(path: str, db: str | None) -> str:
    """How a store is called on a terminal: ``~/.local/share/batchq/batchq.db (no batchq.db here or above)``."""
    return f"{from_home(path)} ({_NONE_NEAR})" if is_by_default(path, db) else from_home(path)


def is_by_default(path: str, db: str | None) -> bool:
    """Whether it is the user's own store, used because no other was named or found: it may surprise."""
    return not location.is_named(db) and location.is_own(path)


def is_here(path: str) -> bool:
    """Whether it is ``batchq.db`` of this folder, which nobody has to be reminded of."""
    return path == os.path.join(os.getcwd(), location.NAME)


def note_default(what: str, path: str, db: str | None) -> None:
    """Note on a terminal that a command uses the user's own store by default."""
    if sys.stderr.isatty() and is_by_default(path, db):
        note(f"{what} {shown(path, db)}")
