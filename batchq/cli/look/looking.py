"""``batchq report`` and ``batchq list``: show many jobs; they never change the store."""

from batchq import clock
from batchq.cli.choosing import chosen, named_by, store_for
from batchq.cli.look.printing import look_of_stdout, print_text
from batchq.jobs.selection import Selection
from batchq.notes import note
from batchq.store.file.connection import Store
from batchq.store.looking import queries, tallies

NEWEST = 50  #: jobs that ``list`` shows when no selection is given
SHOWN = 10  #: failures in the table of a report
SHOWN_IN_JSON = 1000


def report(selection: Selection, *, exit_code: bool, format: str, json: bool, color: str, db: str | None) -> int:
    """Print what happened; return 1 with ``exit_code`` if a job has failed or is held by batchq."""
    from batchq.report import asjson, summary, table

    as_json = json or format == "json"
    with store_for(db, reading=True) as store:
        selection = chosen(store, selection, "report")
        most = SHOWN_IN_JSON if as_json else SHOWN
        found = summary.build(store, selection, at=clock.now(), failures=most, db=named_by(store, db))
        is_bad = exit_code and (found.counts.get("failed") or _is_any_on_hold(store, selection))
        print_text(asjson.report(found) if as_json else table.report(found, look_of_stdout(color)))
    return int(bool(is_bad))


def _is_any_on_hold(store: Store, selection: Selection) -> bool:
    from batchq.store.answering import answers  # it loads the recording of results, which a plain report does not need

    return answers.is_any_on_hold(store, selection)


def list_jobs(selection: Selection, *, limit: int | None, json: bool, color: str, db: str | None) -> None:
    """Print the selected jobs, one per line, page by page."""
    from batchq.report import asjson, table

    if limit is None and selection.is_empty:
        limit = NEWEST
    with store_for(db, reading=True) as store:
        selection = chosen(store, selection, "list")
        queries.require(store, selection)
        total = sum(tallies.counts(store, selection).values())
        cut = bool(limit) and limit is not None and total > limit
        pages = iter([queries.newest(store, selection, limit)]) if cut and limit else queries.pages(store, selection)
        if json:
            texts = asjson.listing(pages, total)
        else:
            texts = table.listing(pages, look_of_stdout(color), clock.now())
        for text in texts:
            print_text(text)
    if cut:
        note(f"list: the newest {limit:,} of {total:,} jobs; --limit 0 shows all")
    elif not total and not json:
        note("list: no jobs")
