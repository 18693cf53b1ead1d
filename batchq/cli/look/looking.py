"""``batchq report`` and ``batchq list``: looking at many jobs, without ever changing the store."""

from typing import Annotated, Literal

import typer

from batchq import clock
from batchq.cli.app import Color, Db, Json, app, named_by, store_for
from batchq.cli.choosing import chosen, selecting
from batchq.cli.look.printing import look_of_stdout, print_text
from batchq.cli.noting import note
from batchq.jobs.selection import Selection
from batchq.store.file.connection import Store
from batchq.store.looking import queries, tallies

NEWEST = 50  #: jobs that ``list`` shows when no selection is given
SHOWN = 10  #: failures in the table of a report
SHOWN_IN_JSON = 1000


@app.command()
@selecting
def report(
    selection: Selection,
    *,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if one has failed or batchq holds it.")
    ] = False,
    format: Annotated[Literal["table", "json"], typer.Option(help="For people or for programs.")] = "table",
    json: Json = False,
    color: Color = "auto",
    db: Db = None,
) -> None:
    """Say what happened: how many jobs, which failed and why, the slowest, and what is still open.

    \b
    batchq report               everything in the store
    batchq report last          the jobs of the newest add
    batchq report --since 2h    what was added, ran or ended in the last two hours
    """
    from batchq.report import asjson, summary, table

    as_json = json or format == "json"
    with store_for(db, reading=True) as store:
        selection = chosen(store, selection, "report")
        most = SHOWN_IN_JSON if as_json else SHOWN
        told = summary.build(store, selection, at=clock.now(), failures=most, db=named_by(store, db))
        is_bad = exit_code and (told.counts.get("failed") or _is_any_on_hold(store, selection))
        print_text(asjson.report(told) if as_json else table.report(told, look_of_stdout(color)))
    if is_bad:
        raise typer.Exit(1)


def _is_any_on_hold(store: Store, selection: Selection) -> bool:
    from batchq.store.answering import answers  # with all that records ends, which a plain report does not need

    return answers.is_any_on_hold(store, selection)


@app.command("list")
@selecting
def list_jobs(
    selection: Selection,
    *,
    limit: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Only the newest so many; 0 is no limit.")
    ] = None,
    json: Json = False,
    color: Color = "auto",
    db: Db = None,
) -> None:
    """List jobs, one a line, in the order of their ids: all that are selected, or else the newest 50."""
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
