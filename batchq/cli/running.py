"""``batchq run``: wire store, executor and runner together under a guardian, and tell how it went."""

import os
import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import typer

from batchq import runner
from batchq.cli import plans, sources, storing, telling
from batchq.cli.app import Db, Global, Json, NetworkFs, app, note
from batchq.cli.request import AddRequest
from batchq.cli.telling import Telling
from batchq.errors import BatchqError, BusyError, CreateError, LedgerError, UsageError
from batchq.events import Handler, NdjsonFile, log_event
from batchq.executors.local import LocalExecutor
from batchq.executors.seam import Executor
from batchq.jobs.selection import Range
from batchq.jobs.work import target_of
from batchq.processes import guardian, machine
from batchq.processes.signals import Inbox
from batchq.runner import Plan, Tally
from batchq.store import intake, outlook, runners
from batchq.store.connection import Store, open_at
from batchq.store.location import allow_network, locate, require_local
from batchq.store.locks import LockFile
from batchq.store.runners import Wanted

if TYPE_CHECKING:
    from batchq.report.progress import Progress


@app.command()
def run(
    context: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE|-]...", help="Add these jobs, run exactly them, and answer for exactly them."),
    ] = None,
    jobs: Annotated[
        str, typer.Option("-j", "--jobs", metavar="N", help="Jobs at once; 0 or 100%: one for each core.")
    ] = "0",
    queue: Annotated[str | None, typer.Option(help="Only this queue.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only this batch.")] = None,
    max_jobs: Annotated[int | None, typer.Option(min=1, help="Start so many, then stop.")] = None,
    max_time: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Start nothing more after so long, then stop.")
    ] = None,
    halt: Annotated[
        str, typer.Option(metavar="WHEN", help="never, or soon|now[,fail=N|N%]: stop at so many failed jobs.")
    ] = "never",
    if_running: Annotated[
        str, typer.Option(metavar="WHAT", help="If these jobs are being run already: join, skip, wait[=60s] or fail.")
    ] = "join",
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and take new work as soon as it is added.")] = False,
    perform: Annotated[
        str | None, typer.Option(metavar="MODULE:FUNCTION", help="What does the jobs that are a payload.")
    ] = None,
    events: Annotated[str | None, typer.Option(metavar="FILE|-", help="Append each event as a line of JSON.")] = None,
    handler: Annotated[
        list[str] | None, typer.Option(metavar="MODULE:FUNCTION", help="Call this with each event.")
    ] = None,
    grace: Annotated[str, typer.Option(metavar="DURATION", help="How long jobs may finish when told to stop.")] = "10s",
    log_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Keep all output here, one file an attempt.")
    ] = None,
    worker_jobs: Annotated[int, typer.Option(min=0, help="Replace a worker after so many callables; 0: never.")] = 0,
    limit_processes: Annotated[
        int | None, typer.Option(min=1, help="How many processes your user may have while this runs (not for root).")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing; the exit code tells.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Log each job, and what was left alone.")] = False,
    as_json: Json = False,
    allow_network_fs: NetworkFs = False,
    db: Db = None,
) -> None:
    """Run what is claimable until nothing is left; exit 1 if a job failed.

    \b
    batchq run -j 4                 what is queued, four jobs at once
    batchq run etl.toml             add the jobs of a file, run them, answer for them
    batchq run --watch              stay, and take new work as it comes
    batchq run --if-running skip    from cron: do nothing if a run is at work that takes all
    """
    path = locate(db or Global.db)
    allow_network(allow_network_fs)
    require_local(path)
    mode, patience = plans.if_running(if_running)
    plan = Plan(
        Wanted(queue, batch, perform is not None),
        max_jobs,
        plans.seconds(grace, "--grace"),
        None if max_time is None else plans.seconds(max_time, "--max-time"),
        plans.halt(halt),
        watch,
        mode,
        patience,
    )
    slots = plans.affordable(plans.slots(jobs))
    for option, targets in (("--perform", [perform] if perform is not None else []), ("--handler", handler or [])):
        for target in targets:
            _check_target(option, target)
    words = [*(files or []), *(getattr(context.obj, "words", None) or [])]
    if words and (queue is not None or batch is not None or watch):
        raise UsageError(
            "FILE and --queue, --batch or --watch exclude each other: the jobs of FILE are run, and no others"
        )
    ids = _open(path, words, db, quiet=quiet)
    plan = plan._replace(wanted=plan.wanted._replace(ids=ids))
    lock = LockFile(path)
    liveness = lock.hold_liveness()  # before the fork: the guardian holds it until its last descendant is dead
    home = os.getcwd()
    logs = _folder(log_dir)
    told = Telling(quiet, verbose, as_json, sys.stderr.isatty() and not quiet and not verbose, db or Global.db)

    def body(scratch: str) -> int:
        inbox = Inbox()
        try:
            handlers = _handlers(events, handler or [], verbose, home)
            if limit_processes is not None:
                machine.limit_processes(limit_processes)
            executor = LocalExecutor(
                slots,
                inbox,
                scratch,
                db=path,
                cookie=str(liveness),
                perform=perform,
                home=home,
                grace=plan.grace,
                logs=logs,
                worker_jobs=worker_jobs,
            )
            return _run(path, plan, liveness, inbox, executor, handlers, told)
        except BatchqError as error:
            if isinstance(error, BusyError) and inbox.received:
                return 128 + inbox.received[0]
            note(str(error))
            return error.exit_code

    raise typer.Exit(guardian.guarded(body))


def _open(path: str, files: list[str], db: str | None, *, quiet: bool) -> tuple[Range, ...] | None:
    """Refuse what is no store before anything is forked; add the jobs of ``files``, if any, and return their ids."""
    if not files:
        with open_at(path) as store:
            storing.warn(store.warnings)
        return None
    request = AddRequest()
    request.files, request.db = files, db or Global.db
    specs = sources.specs_of(request)
    is_new = not os.path.exists(path)
    with open_at(path, create=True) as store:
        storing.warn(store.warnings)
        if is_new and not quiet:
            note(f"made the store {path}")
        return runners.still_open(store, intake.add(store, specs).ids)


def _run(
    path: str,
    plan: Plan,
    liveness: int,
    inbox: Inbox,
    executor: Executor,
    handlers: list[Handler],
    told: Telling,
) -> int:
    with open_at(path) as store:
        if told.live:
            from batchq.report.progress import Progress

            with Progress() as bar:
                tally = runner.run(
                    store, executor, plan, liveness, inbox, handlers, lambda now: _draw(bar, store, plan, now)
                )
        else:
            tally = runner.run(store, executor, plan, liveness, inbox, handlers)
        code = tally.exit_code()
        try:
            telling.tell(store, plan, tally, told)
            sys.stdout.flush()
        except BrokenPipeError:
            return code  # whoever read has enough
        except OSError as error:
            note(f"cannot write the output: {error.strerror}")
            return code if tally.signal is not None else LedgerError.exit_code
    return code


def _draw(bar: "Progress", store: Store, plan: Plan, now: Tally) -> None:
    if bar.is_due():
        failed = len(now.failed)
        waiting = outlook.waiting(store, plan.wanted)
        bar.show(ended=now.succeeded + failed, failed=failed, running=now.running, waiting=waiting)


def _folder(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise CreateError(f"--log-dir {path}: {error.strerror}") from None
    return os.path.abspath(path)


def _check_target(option: str, target: str) -> None:
    try:
        target_of(target)
    except ValueError as error:
        raise UsageError(f"{option} {target!r} {error}") from None


def _handlers(events: str | None, targets: list[str], verbose: bool, home: str) -> list[Handler]:
    import importlib

    handlers: list[Handler] = []
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
        handlers.append(log_event)
    if events is not None:
        try:
            handlers.append(NdjsonFile(events))
        except OSError as error:
            raise UsageError(f"--events {events}: {error.strerror}") from None
    sys.path[:0] = [home] if targets else []
    for target in targets:
        module, _, name = target.partition(":")
        try:
            handlers.append(attrgetter(name)(importlib.import_module(module)))
        except Exception as error:  # whatever the module does when it is imported
            raise UsageError(f"--handler {target}: {type(error).__name__}: {error}") from None
    return handlers
