"""``batchq report``, ``list``, ``show`` and ``logs``: looking at a store, without ever changing it."""

import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from batchq import clock
from batchq.cli.app import Db, Json, app, named_by, store_for
from batchq.cli.choosing import after_dashes, chosen, selecting
from batchq.cli.noting import note
from batchq.errors import UsageError
from batchq.jobs.lifecycle import FINAL
from batchq.jobs.selection import Selection, of_ids, parse
from batchq.report.layout import Look, look
from batchq.store.answering import answers
from batchq.store.file.bell import Bell
from batchq.store.file.connection import Store
from batchq.store.looking import queries, tallies
from batchq.store.looking.rows import Job, Output
from batchq.store.snapshots import snapshot

NEWEST = 50  #: jobs that ``list`` shows when no selection is given
PAGE = 1000
FOLLOW = 0.25  #: seconds between looks of 'logs -f' where nobody rings,
SOON = 0.02  #: and at least, however often somebody writes
TOLD = 10  #: failures in the table of a report
TOLD_IN_JSON = 1000

Color = Annotated[Literal["auto", "always", "never"], typer.Option(help="Whether to colour the text.")]


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
        most = TOLD_IN_JSON if as_json else TOLD
        told = summary.build(store, selection, at=clock.now(), failures=most, db=named_by(store, db))
        is_bad = exit_code and (told.counts.get("failed") or answers.is_any_on_hold(store, selection))
        _print(asjson.report(told) if as_json else table.report(told, _look(color)))
    if is_bad:
        raise typer.Exit(1)


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
        pages = iter([queries.newest(store, selection, limit)]) if cut and limit else _pages(store, selection)
        if json:
            texts = asjson.listing(pages, total)
        else:
            texts = table.listing(pages, _look(color), clock.now())
        for text in texts:
            _print(text)
    if cut:
        note(f"list: the newest {limit:,} of {total:,} jobs; --limit 0 shows all")
    elif not total and not json:
        note("list: no jobs")


@app.command()
def show(
    context: typer.Context,
    job: Annotated[str | None, typer.Argument(metavar="ID", help="The id of one job.")] = None,
    json: Json = False,
    color: Color = "auto",
    db: Db = None,
) -> None:
    """Show all about one job: its work, its limits, every attempt, and the last lines that it printed."""
    from batchq.report import asjson, detail, digest

    words = [*([] if job is None else [job]), *after_dashes(context)]
    ids = parse(words).ids
    if len(ids) != 1 or ids[0][0] != ids[0][1]:
        raise UsageError("show takes the id of one job, as in 'batchq show 3'")
    with store_for(db, reading=True) as store, snapshot(store):
        found = queries.job(store, ids[0][0])
        outputs = {stream: queries.output(store, found.job.id, None, stream) for stream in ("stdout", "stderr")}
        program = digest.program(named_by(store, db))
        _print(asjson.detail(found) if json else detail.detail(found, outputs, _look(color), program))


@app.command()
@selecting
def logs(
    selection: Selection,
    *,
    attempt: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of this attempt (default: the last one).")
    ] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Only what went to stdout.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="Only what went to stderr.")] = False,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the job is over; for one job.")] = False,
    db: Db = None,
) -> None:
    """Print what jobs printed: stdout, then stderr. Raw bytes, except on a terminal, which they could harm.

    Where a job printed more than is kept, a line in brackets stands for the bytes that are missing.
    """
    if selection.is_empty:
        raise UsageError("say which jobs: ids, --failed, --batch NAME or last")
    streams = [name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted] or ["stdout", "stderr"]
    with store_for(db, reading=True) as store:
        selection = chosen(store, selection, "logs")
        queries.require(store, selection)
        if follow:
            _follow(store, selection, streams)
            return
        for page in _pages(store, selection):
            for job in page:
                _print_output(store, job, attempt, streams, alone=selection == of_ids([job.id]))


def _follow(store: Store, selection: Selection, streams: list[str]) -> None:
    """Print what one job prints as it comes into the store (at most a second late), attempt after attempt."""
    if not (job := _only(selection)):
        raise UsageError("--follow takes the id of one job, as in 'batchq logs -f 3'")
    shown: dict[tuple[int, str], int] = {}
    first = queries.job(store, job).job.attempt
    bell = Bell(store.path)
    while True:
        now = queries.job(store, job).job
        for attempt in range(first or 1, now.attempt + 1):
            for stream in streams:
                output = queries.output(store, job, attempt, stream)
                _print_new(output, shown.get((attempt, stream), 0))
                shown[attempt, stream] = output.total
        first = now.attempt  # also if there are later ones by now: this one may still have had something to say
        if now.state in FINAL:
            return
        time.sleep(SOON)
        select.select([] if bell.fd is None else [bell.fd], [], [], FOLLOW)
        bell.has_rung()


def _print_new(output: Output, seen: int) -> None:
    """What ``output`` has beyond the first ``seen`` bytes; a line in brackets for what was not kept of that."""
    kept = output.total - len(output.tail)  # where the tail begins
    lost = max(0, kept - max(seen, len(output.head)))
    marker = f"\n[batchq: {lost:,} bytes are missing here]\n".encode() if lost else b""
    data = output.head[seen:] + marker + output.tail[max(0, seen - kept) :]
    if not data:
        return
    if sys.stdout.isatty():
        from batchq.visible import visible

        data = visible(data).encode()
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _only(selection: Selection) -> int | None:
    ids = selection.ids
    return ids[0][0] if len(ids) == 1 and selection == of_ids([ids[0][0]]) else None


def _print_output(store: Store, job: Job, attempt: int | None, streams: list[str], *, alone: bool) -> None:
    outputs = {stream: queries.output(store, job.id, attempt, stream) for stream in streams}
    printed = {stream: output for stream, output in outputs.items() if output.total}
    if not printed and alone:
        nothing = f"printed nothing to {' or '.join(streams)}" + (" yet" if job.state == "running" else "")
        note(f"logs: job {job.id} {nothing if job.attempt else 'has not started yet'}")
    for stream, output in printed.items():
        if sys.stdout.isatty():
            _print_safely(job, stream, output, titled=not alone or len(printed) > 1)
        else:
            _print_raw(output)
        if output.cut:
            note(
                f"logs: {_missing(output)} of the {stream} of job {job.id}: only its beginning and its end are kept"
                f"{_elsewhere(job, output, stream)}"
            )


def _elsewhere(job: Job, output: Output, stream: str) -> str:
    """Where all of it is, if it is."""
    paths = [log.path for log in job.logs if log.stream in (stream, "both") and not log.trouble]
    if not paths or output.attempt != job.attempt:
        return ""
    from batchq.visible import visible

    return f"; all of it is in {visible(paths[0], one_line=True)}"


def _print_raw(output: Output) -> None:
    sys.stdout.flush()
    marker = f"\n[batchq: {_missing(output)} here]\n".encode() if output.cut else b""
    sys.stdout.buffer.write(output.head + marker + output.tail)
    sys.stdout.buffer.flush()


def _print_safely(job: Job, stream: str, output: Output, *, titled: bool) -> None:
    from batchq.report.digest import title
    from batchq.visible import visible

    marker = f"\n[batchq: {_missing(output)} here]\n" if output.cut else ""
    # Head and tail are one text where nothing is missing: a character may lie across the seam.
    parts = [output.head, output.tail] if output.cut else [output.head + output.tail]
    text = marker.join(visible(part) for part in parts)
    heading = f"==> {title(job)}, attempt {output.attempt}: {stream} <==\n" if titled else ""
    _print(heading + text + ("" if text.endswith("\n") else "\n"))


def _missing(output: Output) -> str:
    return f"{output.cut:,} bytes are missing"


def _pages(store: Store, selection: Selection) -> Iterator[list[Job]]:
    after = 0
    while page := queries.jobs(store, selection, PAGE, after):
        yield page
        after = page[-1].id


def _print(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    if encoding.lower() != "utf-8":  # a crontab's locale may know no more than ASCII, and names may hold anything
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(text)


def _look(color: str) -> Look:
    return look(sys.stdout, color, os.environ)
