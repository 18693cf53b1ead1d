"""How much of the output of jobs a store keeps: its own default, for jobs without a ``keep_output``."""

from batchq.jobs.attempt import KEPT
from batchq.jobs.values import OUTPUT_LIMIT
from batchq.store.file.connection import Store


def keep_output(store: Store) -> int:
    """Return how many bytes of each stream are kept of a job that has no number of its own."""
    rows = store.fetch("SELECT value FROM settings WHERE name = 'keep_output'")
    text = str(rows[0][0]) if rows else ""
    is_size = text.isascii() and text.isdecimal() and len(text) < 19  # else another program wrote it
    return min(int(text), OUTPUT_LIMIT) if is_size else KEPT


def set_keep_output(store: Store, size: int | None) -> None:
    """Keep that many bytes in the runs that begin from now on; None: as many as a new store."""
    with store.writing() as db:
        db.execute("DELETE FROM settings WHERE name = 'keep_output'")
        if size is not None:
            db.execute("INSERT INTO settings VALUES ('keep_output', ?)", (str(size),))
