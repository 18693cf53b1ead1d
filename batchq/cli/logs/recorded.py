"""``batchq logs``: print what jobs printed; it never changes the store."""

import sys

from batchq.cli.choosing import chosen, named_by, store_for
from batchq.cli.logs.printer import Manner, Printer
from batchq.errors import MissingError, UsageError
from batchq.jobs.selection import NO_JOB, Selection, merged
from batchq.notes import note
from batchq.store.file.connection import Store
from batchq.store.looking import queries
from batchq.store.looking.rows import Job

NOT_FOUND = 1  #: as of grep: no line was found


def logs(
    selection: Selection,
    *,
    follow: bool,
    lines: int | None,
    pattern: str | None,
    prefix: bool,
    raw: bool,
    stdout: bool,
    stderr: bool,
    attempt: int | None,
    all_attempts: bool,
    db: str | None,
) -> int:
    """Print the output of the selected jobs; return 1 if lines were looked for and none was found."""
    if selection.is_empty and not follow and pattern is None:
        raise UsageError("say which jobs: ids, --failed, --batch NAME or last; with -f alone, what runs")
    if follow and (attempt or all_attempts):
        raise UsageError(f"--follow and {'--attempt' if attempt else '--all-attempts'} exclude each other")
    if attempt and all_attempts:
        raise UsageError("--attempt and --all-attempts exclude each other")
    if raw and prefix:
        raise UsageError("--raw and --prefix exclude each other")
    streams = [name for name, is_chosen in (("stdout", stdout), ("stderr", stderr)) if is_chosen]
    with store_for(db, reading=True) as store:
        found = chosen(store, selection, "logs")
        queries.require(store, found)
        only = the_only_one(found)
        manner = Manner.of(
            several=only is None or all_attempts, prefix=prefix, raw=raw, follow=follow, lines=lines, pattern=pattern,
            streams=streams, is_terminal=sys.stdout.isatty(),
        )  # fmt: skip
        with Printer(store, manner) as printer:
            if follow:
                from batchq.cli.logs import following

                following.follow(store, found, printer, named_by(store, db, shown=sys.stderr.isatty()))
            else:
                _print(store, found, only, printer, attempt, all_attempts=all_attempts)
        if printer.pattern is not None and not printer.lines:
            _note_nothing_found(printer.pattern.text)
            return NOT_FOUND
    return 0


def the_only_one(selection: Selection) -> int | None:
    """The job, if one is selected by its id or as the only job of the newest add, and not by what else it is."""
    ids = list(merged(one for one in selection.ranges if (one,) != NO_JOB))
    is_by_id = selection._replace(ids=(), last=False, meant=None) == Selection()
    return ids[0][0] if is_by_id and len(ids) == 1 and ids[0][0] == ids[0][1] else None


def _print(
    store: Store, selection: Selection, only: int | None, printer: Printer, attempt: int | None, *, all_attempts: bool
) -> None:
    jobs = without = 0
    job: Job | None = None
    for page in queries.pages(store, selection):
        for job in page:
            jobs += 1
            if attempt is not None and attempt > job.attempt:
                if only is not None:
                    raise _no_attempt(job, attempt)
                without += 1
                continue
            for number in range(1, job.attempt + 1) if all_attempts else [attempt or job.attempt]:
                printer.job(job, number)
    printer.note_what_is_missing(job if only is not None else None, jobs)
    if without:
        note(f"logs: {without:,} of these jobs {'has' if without == 1 else 'have'} no attempt {attempt}")


def _no_attempt(job: Job, attempt: int) -> MissingError:
    had = {0: "it never started", 1: "it had one"}.get(job.attempt, f"it had {job.attempt}")
    return MissingError(f"job {job.id} has no attempt {attempt}: {had}")


def _note_nothing_found(pattern: str) -> None:
    """Explain to a person what was searched, because --grep of other commands searches something else."""
    if sys.stderr.isatty():
        note(
            f"logs: no line matches {pattern!r}; --grep looks for it in what jobs printed,"
            " --grep-jobs in their commands and names"
        )
