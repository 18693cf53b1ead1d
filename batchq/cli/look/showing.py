"""``batchq show``, ``logs`` and ``explain``: show single jobs; they never change the store."""

import select
import sys
import time
from collections.abc import Iterator

from batchq import clock
from batchq.cli.choosing import chosen, named_by, only, store_for
from batchq.cli.look.printing import look_of_stdout, print_new, print_output, print_text, print_texts
from batchq.errors import UsageError
from batchq.jobs.lifecycle import FINAL
from batchq.jobs.selection import Selection, of_ids
from batchq.store.file.connection import Store
from batchq.store.looking import outputs, queries
from batchq.store.snapshots import snapshot
from batchq.visible import visible

FOLLOW = 0.25  #: seconds between polls of 'logs -f' while the bell does not ring,
SOON = 0.02  #: and at least, even if it rings all the time


def show(selection: Selection, *, json: bool, color: str, db: str | None) -> None:
    """Print all about each of the selected jobs."""
    from batchq.report import asjson, detail
    from batchq.report.program import program

    one = only(selection)
    with store_for(db, reading=True) as store, snapshot(store):
        jobs = (queries.job(store, id) for id in _ids(store, selection, "show"))
        if json:
            print_texts([asjson.detail(next(jobs))] if one else asjson.details(jobs), is_utf8=True)
            return
        look, batchq = look_of_stdout(color), program(named_by(store, db))
        for number, found in enumerate(jobs):
            printed = {stream: outputs.read(store, found.job.id, None, stream) for stream in ("stdout", "stderr")}
            print_text("\n" * bool(number) + detail.detail(found, printed, look, batchq))


def _ids(store: Store, selection: Selection, verb: str) -> Iterator[int]:
    """Yield the ids of the selected jobs. Raises UsageError if nothing was selected, and MissingError."""
    if selection.is_empty:
        raise UsageError(f"{verb}: say which jobs: ids, --failed, --batch NAME or last (--all is every job)")
    selection = chosen(store, selection, verb)
    queries.require(store, selection)
    for page in queries.pages(store, selection):
        yield from [job.id for job in page]


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


def explain(selection: Selection, *, json: bool, db: str | None) -> None:
    """Print why each of the selected jobs waits, or why it ended as it did."""
    from batchq.report import asjson, explanation
    from batchq.report.digest import title
    from batchq.report.program import program
    from batchq.runner import rescuing
    from batchq.store.looking import reasons

    one = only(selection)
    with store_for(db, reading=True) as store:
        here, batchq = rescuing.here(store), program(named_by(store, db))
        facts = (reasons.gather(store, id, here) for id in _ids(store, selection, "explain"))
        explained = ((found.detail.job, explanation.explain(found, clock.now(), batchq)) for found in facts)
        if json:
            document = asjson.explanation(*next(explained)) if one else asjson.explanations(explained)
            sys.stdout.write(document)
            return
        for job, answers in explained:
            lines = [f"{title(job)} is {job.standing}", *(f"  {answer.text}" for answer in answers)]
            sys.stdout.write("".join(f"{line}\n" for line in [visible(lines[0]), *lines[1:]]))


def _follow(store: Store, selection: Selection, streams: list[str]) -> None:
    """Print the output of one job as it reaches the store (at most a second late), attempt after attempt."""
    if not (job := only(selection)):
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
