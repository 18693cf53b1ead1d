"""``batchq explain``: why a job waits, or why it ended as it did."""

import sys
from typing import Annotated

import typer

from batchq import clock
from batchq.cli.app import Db, Json, app, named_by, store_for
from batchq.cli.choosing import after_dashes
from batchq.errors import UsageError
from batchq.jobs.selection import parse
from batchq.visible import visible


@app.command()
def explain(
    context: typer.Context,
    job: Annotated[str | None, typer.Argument(metavar="ID", help="The id of one job.")] = None,
    json: Json = False,
    db: Db = None,
) -> None:
    """Say why a job waits (parents, limits, rates, pauses, its time, no run at work), or why it ended as it did."""
    from batchq.report import asjson, explanation
    from batchq.report.digest import program, title
    from batchq.runner import rescuing
    from batchq.store.looking import reasons

    ids = parse([*([] if job is None else [job]), *after_dashes(context)]).ids
    if len(ids) != 1 or ids[0][0] != ids[0][1]:
        raise UsageError("explain takes the id of one job, as in 'batchq explain 3'")
    with store_for(db, reading=True) as store:
        facts = reasons.gather(store, ids[0][0], rescuing.here(store))
        batchq = program(named_by(store, db))
        found = facts.detail.job
        told = explanation.explain(facts, clock.now(), batchq)
        if json:
            sys.stdout.write(asjson.explanation(found, told))
            return
        sys.stdout.write(visible(f"{title(found)} is {found.standing}\n") + "".join(f"  {one.text}\n" for one in told))
