"""``batchq backup`` and ``batchq restore``."""

from batchq.cli.choosing import store_for
from batchq.notes import note
from batchq.store.file.location import locate


def backup(file: str, *, quiet: bool, db: str | None) -> None:
    """Copy the store, as it is now, to ``file``."""
    from batchq.store.keeping.backup import backup as copy

    with store_for(db, reading=True) as store:
        size = copy(store, file)
    if not quiet:
        note(f"backup: {size:,} bytes in {file}")


def restore(file: str, *, quiet: bool, db: str | None) -> None:
    """Put the backup ``file`` in the place of the store, which is kept next to it."""
    from batchq.store.keeping.restoring import restore as put

    path = locate(db)
    done = put(path, file)
    if done.was_in_use:
        note(
            "restore: the store that was there is in use; its runs start nothing more, and end with 74 when their jobs"
            " are over"
        )
    if not quiet:
        kept = "" if done.kept_as is None else f"; what was there is kept as {done.kept_as}"
        note(f"restore: {path} is the backup {file} now, {done.bytes:,} bytes{kept}")
