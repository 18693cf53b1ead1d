"""``batchq report`` and ``batchq list``: show many jobs; they never change the store."""

import sys
from collections.abc import Iterable

from batchq import clock
from batchq.cli import place
from batchq.cli.choosing import chosen, named_by, store_for
from batchq.cli.look.printing import look_of_stdout, print_texts
from batchq.errors import UsageError
from batchq.jobs.selection import Selection
from batchq.notes import note
from batchq.report import formats
from batchq.report.formats import Format, Scope
from batchq.report.layout import Look, count
from batchq.store.file.connection import Store
from batchq.store.looking import queries, tallies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.report.columns import Chosen
    from batchq.store.looking.sorting import Key

NEWEST = 50  #: jobs that ``list`` shows when no selection is given


def report(
    selection: Selection,
    *,
    exit_code: bool,
    format: str | None,
    output: str | None,
    json: bool,
    color: str,
    db: str | None,
) -> int:
    """Print or write what happened; return 1 with ``exit_code`` if a job has failed or is held by batchq."""
    into = formats.chosen(format, output, json=json)
    with store_for(db, reading=True) as store:
        scope = Scope(store, chosen(store, selection, "report"), clock.now(), _named(into, store, output, db))
        if into.takes == formats.JOBS:
            queries.require(store, scope.selection)
            texts = into.render(scope)
            try:
                _emit(into, texts, output, store)
            finally:
                texts.close()  # if the reader has enough: the transaction in which it reads ends before the store is closed
            has_failed = exit_code and any(queries.failed_ids(store, scope.selection))
        else:
            has_failed = _report(into, scope, output, color)
        return int(exit_code and bool(has_failed or _is_any_on_hold(store, scope.selection)))


def _report(into: Format, scope: Scope, output: str | None, color: str) -> bool:
    """Print or write a Summary; return whether it has a failed job."""
    from batchq.report import summary

    is_drawn = into.takes == formats.DRAWN
    is_estimated = into.name in formats.FOR_PEOPLE
    found = summary.build(
        scope.store, scope.selection, at=scope.at, failures=into.failures, db=scope.db, drawn=is_drawn,
        estimated=is_estimated,
    )  # fmt: skip
    given = (found, _look_of(output, color)) if into.name == "table" else (found,)
    _emit(into, [into.render(*given)], output, scope.store)
    return "failed" in found.counts


def _named(into: Format, store: Store, output: str | None, db: str | None) -> str | None:
    """Return the path in the commands of a report: what is kept, in a file or a mail, always names the store."""
    is_shown = into.name in formats.FOR_PEOPLE and _is_stdout(output) and sys.stdout.isatty()
    return named_by(store, db, shown=is_shown)


def _note_none(path: str, selection: Selection) -> None:
    """Note that no job is listed: by which store, and whether another one nearby has some, which is perhaps meant."""
    if not selection.is_empty and not selection.everything:
        note(f"list: no such jobs in {path}")
        return
    from batchq.report.program import program
    from batchq.store.looking import neighbours

    note(f"list: no jobs in {path}")
    for other, jobs in neighbours.with_jobs(path):
        note(f"list: {count(jobs, 'job')} in {other}: '{program(other)} list'")


def _look_of(output: str | None, color: str) -> Look:
    return look_of_stdout(color) if _is_stdout(output) else Look(colour=color == "always")


def _is_stdout(output: str | None) -> bool:
    return output is None or output in formats.STDOUT


def _emit(into: Format, texts: Iterable[str], output: str | None, store: Store) -> None:
    """Print the texts, or write them to the file ``output``."""
    if output is None or _is_stdout(output):
        print_texts(texts, is_utf8=into.name not in formats.FOR_PEOPLE)
        return
    from batchq.report import writing

    writing.write(output, texts, store, into.mode)


def _is_any_on_hold(store: Store, selection: Selection) -> bool:
    from batchq.store.answering import answers  # it loads the recording of results, which a plain report does not need

    return bool(answers.chosen_on_hold(store, selection))


def list_jobs(
    selection: Selection,
    *,
    limit: int | None,
    sort: str | None,
    columns: str | None,
    wide: bool,
    format: str | None,
    output: str | None,
    json: bool,
    color: str,
    db: str | None,
) -> None:
    """Print or write the selected jobs, page by page."""
    into = formats.chosen(format, output, json=json, names=formats.OF_LISTS)
    order, asked = _asked(sort, columns)
    if asked and into.name == "joblog":
        raise UsageError("--columns and --format joblog exclude each other: a job log always has the same columns")
    if limit is None and selection.is_empty:
        limit = NEWEST
    with store_for(db, reading=True) as store:
        selection = chosen(store, selection, "list")
        queries.require(store, selection)
        total = sum(tallies.counts(store, selection).values())
        cut = limit is not None and 0 < limit < total
        scope = Scope(store, selection, clock.now(), store.path, limit if cut else None, order, asked)
        if into.name == "table":
            from batchq.report import listing

            look, shown = _look_of(output, color), [one.column for one in asked]
            texts: Iterable[str] = listing.listing(scope.pages(), look, scope.at, shown, wide=wide)
        elif into.name == "json":
            from batchq.report import asjson

            texts = asjson.listing(scope, total)
        else:
            texts = into.render(scope)
        _emit(into, texts, output, store)
    if cut:
        note(f"list: the {'first' if order else 'newest'} {limit:,} of {total:,} jobs; --limit 0 shows all")
    elif into.name == "table":
        if not total:
            _note_none(scope.store.path, selection)
        elif _is_stdout(output):
            place.note_default("list: the jobs of", scope.store.path, db)


def _asked(sort: str | None, columns: str | None) -> "tuple[tuple[Key, ...], tuple[Chosen, ...]]":
    """Return what --sort and --columns ask for. Raises UsageError."""
    if sort is None and columns is None:
        return (), ()
    from batchq.report.columns import chosen, order

    return (() if sort is None else order(sort)), (() if columns is None else chosen(columns))
