"""Turn the words and options of a SELECTION into one value, and open the store that it refers to."""

from batchq.cli import place
from batchq.cli.options import SELECTION
from batchq.jobs.selection import NO_JOB, Selection, of_ids, parse
from batchq.notes import note, warn
from batchq.store import names
from batchq.store import selecting as selected
from batchq.store.file.connection import Store
from batchq.store.file.location import is_named
from batchq.store.file.opening import open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def selection_of(values: "dict[str, Any]") -> "dict[str, Any]":
    """Replace the values of SELECTION with a single one, ``selection``. Raises UsageError."""
    taken = {one.name: values[one.name] for one in SELECTION}
    return {"selection": parse(**taken)} | {name: value for name, value in values.items() if name not in taken}


def only(selection: Selection) -> int | None:
    """Return the id if the selection is the id of one job, and nothing else."""
    (low, _), *_ = selection.ids or NO_JOB
    return low if low and selection == of_ids([low]) else None


def chosen(store: Store, selection: Selection, verb: str) -> Selection:
    """Look up ``last``, globs and the jobs of a run, once for the whole command.

    Notes report a newest add that stored nothing, a run without jobs, and a queue or batch that the store has never seen.
    """
    for one in names.never_seen(store, selection.queue, selection.batch):
        note(one.sentence)
    found = selected.resolved(store, selection)
    if found.last and found.meant == NO_JOB:
        note(f"{verb}: nothing was added by the newest add")
    if found.ran == NO_JOB:
        note(f"{verb}: {_without_jobs(found.run)}")
    return found


def _without_jobs(run: int | None) -> str:
    return f"run {run} ran no job, or its jobs have run again since" if run else "there has been no run"


def store_for(db: str | None, *, reading: bool = False) -> Store:
    """Open the store named by ``--db`` or found by the usual lookup, and print its warnings.

    With ``reading``, it need not be writable. Without, a note on a terminal names the user's own store, used by default.
    """
    store = open_store(db, reading=reading)
    warn(store.warnings)
    if not reading:
        place.note_default("this changes", store.path, db)
    return store


def named_by(store: Store, db: str | None, *, shown: bool) -> str | None:
    """Return the path that printed commands pass to ``--db``, so that they can be pasted anywhere.

    None where a short command is right, too: if it is ``shown`` on a terminal, and the usual lookup finds the store.
    """
    return None if shown and not is_named(db) else store.path
