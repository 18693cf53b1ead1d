"""``batchq show``, ``logs`` and ``explain``: show one job or a few; they never change the store."""

import select
import sys
import time

from batchq import clock
from batchq.cli.choosing import chosen, job_of, named_by, store_for
from batchq.cli.look.printing import look_of_stdout, print_new, print_output, print_text
from batchq.errors import UsageError
from batchq.jobs.lifecycle import FINAL
from batchq.jobs.selection import Selection, of_ids
from batchq.store.file.connection import Store
from batchq.store.looking import outputs, queries
from batchq.store.snapshots import snapshot
from batchq.visible import visible

FOLLOW = 0.25  #: seconds between polls of 'logs -f' while the bell does not ring,
SOON = 0.02  #: and at least, even if it rings all the time


def show(job: str | None, *, json: bool, color: str, db: str | None) -> None:
    """Print all about one job."""
    from batchq.report import asjson, detail
    from batchq.report.program import program

    id = job_of("show", job)
    with store_for(db, reading=True) as store, snapshot(store):
        found = queries.job(store, id)
        printed = {stream: outputs.read(store, found.job.id, None, stream) for stream in ("stdout", "stderr")}
        print_text(
            asjson.detail(found)
            if json
            else detail.detail(found, printed, look_of_stdout(color), program(named_by(store, db)))
        )


def logs(
    selection: Selection, *, attempt: int | None, stdout: bool, stderr: bool, follow: bool, db: str | None
) -> None:
    """Print the output of the selected jobs: raw bytes, except on a terminal."""
    if selection.is_empty:
        raise UsageError("say which jobs: ids, --failed, --batch NAME or last")
    streams = [name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted] or ["stdout", "stderr"]
    with store_for(db, reading=True) as store:
        selection = chosen(store, selection, "logs")
        queries.require(store, selection)
        if follow:
            _follow(store, selection, streams)
            return
        for page in queries.pages(store, selection):
            for job in page:
                print_output(store, job, attempt, streams, alone=selection == of_ids([job.id]))


def explain(job: str | None, *, json: bool, db: str | None) -> None:
    """Print why one job waits, or why it ended as it did."""
    from batchq.report import asjson, explanation
    from batchq.report.digest import title
    from batchq.report.program import program
    from batchq.runner import rescuing
    from batchq.store.looking import reasons

    id = job_of("explain", job)
    with store_for(db, reading=True) as store:
        facts = reasons.gather(store, id, rescuing.here(store))
        batchq = program(named_by(store, db))
        found = facts.detail.job
        answers = explanation.explain(facts, clock.now(), batchq)
        if json:
            sys.stdout.write(asjson.explanation(found, answers))
            return
        sys.stdout.write(
            visible(f"{title(found)} is {found.standing}\n") + "".join(f"  {one.text}\n" for one in answers)
        )


def _follow(store: Store, selection: Selection, streams: list[str]) -> None:
    """Print the output of one job as it reaches the store (at most a second late), attempt after attempt."""
    if not (job := _only(selection)):
        raise UsageError("--follow takes the id of one job, as in 'batchq logs -f 3'")
    from batchq.store.file.bell import Bell

    shown: dict[tuple[int, str], int] = {}
    first = queries.job(store, job).job.attempt
    bell = Bell(store.path)
    while True:
        now = queries.job(store, job).job
        for attempt in range(first or 1, now.attempt + 1):
            for stream in streams:
                output = outputs.read(store, job, attempt, stream)
                print_new(output, shown.get((attempt, stream), 0))
                shown[attempt, stream] = output.total
        first = now.attempt  # even if a later one has begun: this one may have printed more since
        if now.state in FINAL:
            return
        time.sleep(SOON)
        select.select([] if bell.fd is None else [bell.fd], [], [], FOLLOW)
        bell.has_rung()


def _only(selection: Selection) -> int | None:
    ids = selection.ids
    return ids[0][0] if len(ids) == 1 and selection == of_ids([ids[0][0]]) else None
