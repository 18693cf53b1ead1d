"""``batchq show`` and ``explain``: show single jobs; they never change the store."""

import sys
from collections.abc import Iterator

from batchq import clock
from batchq.cli.choosing import chosen, named_by, only, store_for
from batchq.cli.look.printing import look_of_stdout, print_text, print_texts
from batchq.errors import UsageError
from batchq.jobs.selection import Selection
from batchq.store.file.connection import Store
from batchq.store.looking import details, outputs, queries
from batchq.store.snapshots import snapshot
from batchq.visible import visible


def show(selection: Selection, *, json: bool, color: str, db: str | None) -> None:
    """Print all about each of the selected jobs."""
    from batchq.report import asjson, detail
    from batchq.report.program import program

    one = only(selection)
    with store_for(db, reading=True) as store, snapshot(store):
        jobs = (details.job(store, id) for id in _ids(store, selection, "show"))
        if json:
            print_texts([asjson.detail(next(jobs))] if one else asjson.details(jobs), is_utf8=True)
            return
        look, batchq = look_of_stdout(color), program(_named(store, db))
        for number, found in enumerate(jobs):
            printed = {stream: outputs.read(store, found.job.id, None, stream) for stream in ("stdout", "stderr")}
            parents = details.parents_of(store, found.job.id, detail.PARENTS + 1)
            print_text("\n" * bool(number) + detail.detail(found, parents, printed, look, batchq))


def _ids(store: Store, selection: Selection, verb: str) -> Iterator[int]:
    """Yield the ids of the selected jobs. Raises UsageError if nothing was selected, and MissingError."""
    if selection.is_empty:
        raise UsageError(f"{verb}: say which jobs: ids, --failed, --batch NAME or last (--all is every job)")
    selection = chosen(store, selection, verb)
    queries.require(store, selection)
    for page in queries.pages(store, selection):
        yield from [job.id for job in page]


def explain(selection: Selection, *, json: bool, db: str | None) -> None:
    """Print why each of the selected jobs waits, or why it ended as it did."""
    from batchq.report import asjson, explanation
    from batchq.report.digest import title
    from batchq.report.program import program
    from batchq.runner import rescuing
    from batchq.store.looking import reasons

    one = only(selection)
    with store_for(db, reading=True) as store:
        here, batchq = rescuing.here(store), program(store.path if json else _named(store, db))
        facts = (reasons.gather(store, id, here) for id in _ids(store, selection, "explain"))
        explained = ((found.detail.job, explanation.explain(found, clock.now(), batchq)) for found in facts)
        if json:
            document = asjson.explanation(*next(explained)) if one else asjson.explanations(explained)
            sys.stdout.write(document)
            return
        for job, answers in explained:
            lines = [f"{title(job)} is {job.standing}", *(f"  {answer.text}" for answer in answers)]
            sys.stdout.write("".join(f"{line}\n" for line in [visible(lines[0]), *lines[1:]]))


def _named(store: Store, db: str | None) -> str | None:
    return named_by(store, db, shown=sys.stdout.isatty())
