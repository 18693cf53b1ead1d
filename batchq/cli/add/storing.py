"""``batchq add`` and ``batchq init``."""

import os
import sys

from batchq.cli.add import sources
from batchq.cli.request import Request
from batchq.errors import CreateError, StoreError
from batchq.notes import note, note_outer_store, warn
from batchq.store.adding import intake
from batchq.store.file.location import allow_network, locate, passed_over
from batchq.store.file.opening import open_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.jobs.reading.spool import Jobs

AT_ONCE = 10_000  #: ids written at a time


def init(path: str | None, allow_network_fs: bool, db: str | None) -> None:
    """Create a store. Raises CreateError if there is one already."""
    allow_network(allow_network_fs)
    where, before = locate(path or db or os.environ.get("BATCHQ_DB") or "batchq.db"), _in_use(None)
    if os.path.exists(where):
        open_at(where, reading=True).close()
        raise CreateError(f"there is a store at {where} already")
    open_at(where, create=True, trust_owner=False).close()
    note(f"made the store {where}")
    _note_left_behind(where, before)


def _in_use(db: str | None) -> str | None:
    """Return the store that commands in this folder find."""
    try:
        return locate(db)
    except StoreError:  # another user's
        return None


def _note_left_behind(path: str, before: str | None) -> None:
    """Note that the store which commands in this folder used until now has jobs: from now on they find another one."""
    if before is None or before == path or _in_use(None) != path:
        return
    from batchq.report.program import program
    from batchq.store.looking.neighbours import jobs_of

    if jobs := jobs_of(before):
        are = "job is" if jobs == 1 else "jobs are"
        note(f"{jobs:,} {are} in {before}, which was used here until now; '{program(before)} list' shows them")


def add(**given: "Any") -> None:
    """Store the jobs of one command line and print their ids, one per line; with ``dry_run``, print what would be stored.

    With ``json``, one document is printed instead. If it raises BatchqError, nothing has been stored.
    """
    if given["words"] and "/" in given["words"][0]:  # a script may have options of its own
        from batchq.cli.add import directives

        given = directives.merged(given)
    request = Request(given)
    if request.dry_run:
        rehearse(request)
        return
    allow_network(request.allow_network_fs)
    specs = sources.specs_of(request)
    path = locate(request.db)
    note_outer_store(path, passed_over(request.db))
    is_new = not os.path.exists(path)
    with open_at(path, create=True, trust_owner=request.trust_owner) as store:
        done = intake.add(store, specs)
        warn(store.warnings)
    if is_new and not request.quiet:
        note(f"made the store {path}")
    if request.json:
        _print_added(specs, done, request, "add")
    elif done.ids and not request.quiet:
        _print_ids(done.ids) if not sys.stdout.isatty() else _print_sentence(done, path, request.db)
    elif not request.quiet and sys.stderr.isatty():
        note("nothing added: the input has no jobs")
    _note_after_nothing(done)


def rehearse(request: Request, verb: str = "add") -> None:
    """Print what the command line of ``batchq VERB`` would store, and store nothing."""
    allow_network(request.allow_network_fs)
    specs = sources.specs_of(request, verb)
    path = locate(request.db)
    note_outer_store(path, passed_over(request.db))
    rehearsed = _rehearsed(path, specs, trust_owner=request.trust_owner)
    _print_added(specs, rehearsed, request, verb)
    _note_after_nothing(rehearsed)


def _print_ids(ids: list[int]) -> None:
    for start in range(0, len(ids), AT_ONCE):
        sys.stdout.write("\n".join(map(str, ids[start : start + AT_ONCE])) + "\n")


def _print_sentence(done: intake.Added, path: str, db: str | None) -> None:
    from batchq.cli import place
    from batchq.report import added

    sys.stdout.write(added.sentence(done, "" if place.is_here(path) else place.shown(path, db)))


def _note_after_nothing(done: intake.Added) -> None:
    if done.is_after_nothing:
        note(f"add: {intake.AFTER_NOTHING}")


def _rehearsed(path: str, specs: "Jobs", *, trust_owner: bool) -> intake.Added:
    if os.path.exists(path):
        with open_at(path, trust_owner=trust_owner) as store:
            warn(store.warnings)
            return intake.rehearse(store, specs)
    folder = os.path.dirname(path)
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise CreateError(f"cannot create the store {path}: {folder} is not a writable folder")
    import tempfile

    # Not in the real place, but parents, cycles and keys within the add are still checked.
    with tempfile.TemporaryDirectory() as stage, open_at(f"{stage}/batchq.db", create=True) as store:
        return intake.rehearse(store, specs)


def _print_added(specs: "Jobs", done: intake.Added, request: Request, verb: str) -> None:
    from batchq.report import added

    if request.json:
        for text in added.document(specs, done, is_rehearsal=request.dry_run):
            sys.stdout.write(text)
        return
    if request.quiet:
        return
    from batchq.report.layout import look

    for text in added.listing(specs, done, look(sys.stdout, "auto", os.environ)):
        sys.stdout.write(text)
    sys.stdout.flush()  # the note belongs below the listing
    note(f"{verb}: {added.totals(done)}; this is a dry run, and nothing was stored")
