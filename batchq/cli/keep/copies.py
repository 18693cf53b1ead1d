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
    """Replace the store with the backup ``file``; the old store is kept next to it."""
    from batchq.store.keeping.restoring import restore as put

    path = locate(db)
    done = put(path, file)
    if done.was_in_use:
        note(
            "restore: the old store is in use; its runs start no more jobs, and exit with 74 when their running jobs"
            " have finished"
        )
    if not quiet:
        kept = "" if done.kept_as is None else f"; the old store is kept as {done.kept_as}"
        note(f"restore: {path} is now the backup {file}, {done.bytes:,} bytes{kept}")
