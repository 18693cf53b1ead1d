"""``batchq wait``: block until jobs are over; the exit code tells how they ended."""

import select
import sys
import time
from collections import Counter
from typing import Annotated

import typer

from batchq import clock
from batchq.cli import plans
from batchq.cli.app import Db, Json, app, store_for
from batchq.cli.choosing import chosen, selecting
from batchq.cli.noting import note
from batchq.jobs.lifecycle import FINAL
from batchq.jobs.selection import NO_JOB, Selection
from batchq.store import reasons, tallies
from batchq.store.bell import Bell
from batchq.store.connection import Store

LOOK = 0.25  #: seconds between looks where nobody rings
SHARE = 10  #: of the time, looking takes no more than one part in so many
TIMED_OUT = 3


@app.command()
@selecting
def wait(
    selection: Selection,
    *,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Wait no longer; exit 3 with work left.")
    ] = None,
    json: Json = False,
    db: Db = None,
) -> None:
    """Block until the jobs are over: exit 0 if all succeeded, 1 if one failed or was cancelled, 3 at the timeout.

    Without a selection it waits for all jobs that are not over now, and answers for those that end meanwhile.

    \b
    batchq wait last                    the jobs of the newest add
    batchq wait --batch night           a batch
    batchq wait 3-5 --timeout 10m       some jobs, for ten minutes at most
    """
    until = None if timeout is None else time.monotonic() + plans.seconds(timeout, "--timeout")
    since = clock.now()
    with store_for(db, reading=True) as store:
        from batchq.store.queries import require

        selection, gone = _known_by_key(store, chosen(store, selection, "wait"))
        require(store, selection)
        is_over = _wait(store, selection, until)
        counts = reasons.ended_since(store, since) if selection.is_empty else tallies.counts(store, selection)
        counts |= {state: counts.get(state, 0) + jobs for state, jobs in gone.items()}
    code = TIMED_OUT if not is_over else int(bool(counts.get("failed") or counts.get("cancelled")))
    if json:
        from batchq.report import asjson

        sys.stdout.write(asjson.waited(counts, code))
    elif code:
        ended = ", ".join(f"{jobs:,} {state}" for state, jobs in counts.items() if state != "succeeded")
        note(f"wait: {'time is over: ' if code == TIMED_OUT else ''}{ended}")
    if code:
        raise typer.Exit(code)


def _known_by_key(store: Store, selection: Selection) -> tuple[Selection, Counter[str]]:
    """The selection without jobs that were pruned and of which only a key is left, and how many of these ended how."""
    from batchq.store.queries import pruned

    gone: Counter[str] = Counter()
    ids = []
    for low, high in selection.ids:
        found = pruned(store, low) if low == high else None
        if found is None:
            ids.append((low, high))
        else:
            gone[found[0]] += 1
            note(f"wait: job {low} (key {found[1]!r}) was pruned; how it had ended: {found[0]}")
    if not gone:
        return selection, gone
    return selection._replace(ids=tuple(ids) or (() if selection.last else NO_JOB)), gone


def _wait(store: Store, selection: Selection, until: float | None) -> bool:
    """Whether the jobs were over in time."""
    bell = Bell(store.path)
    is_warned = False
    try:
        while True:
            began = time.monotonic()
            counts = tallies.counts(store, selection)
            still = {state: jobs for state, jobs in counts.items() if state not in FINAL}
            if not still:
                return True
            if not is_warned and not reasons.is_anyone_coming(store, selection):
                is_warned = True
                waiting = ", ".join(f"{jobs:,} {state}" for state, jobs in still.items())
                note(f"wait: no run is at work that takes these jobs ({waiting}): start one with 'batchq run'")
            now = time.monotonic()
            if until is not None and now >= until:
                return False
            time.sleep(min(LOOK, (now - began) * SHARE))
            patience = LOOK if until is None else min(LOOK, max(0.0, until - now))
            select.select([] if bell.fd is None else [bell.fd], [], [], patience)
            bell.has_rung()
    finally:
        bell.close()
