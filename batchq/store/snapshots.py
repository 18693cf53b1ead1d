"""Reading several things as they are in one moment."""

import _sqlite3 as sqlite3
from contextlib import contextmanager

from batchq.store.file.connection import Store, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def snapshot(store: Store) -> "Iterator[None]":
    """What is read in this block is of one moment, whatever runs meanwhile; keep it short: it delays checkpoints."""
    store.fetch("BEGIN")
    try:
        yield
    except sqlite3.Error as error:  # of what was read without ``fetch``
        raise translated(error, store.path) from error
    finally:
        store.db.rollback()
