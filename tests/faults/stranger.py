"""A program that is not batchq and writes to a store."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def writing(store: Path) -> Iterator[None]:
    """Hold the write lock of the store, and change nothing."""
    with closing(sqlite3.connect(store, timeout=30, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")
