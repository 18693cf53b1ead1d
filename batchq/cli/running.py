"""``batchq run``: wire store, executor and runner together under a guardian, and tell how it went."""

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from batchq import clock, runner
from batchq.cli.app import Db, Global, Json, NetworkFs, app, note
from batchq.errors import BatchqError, BusyError, CreateError, LedgerError, UsageError
from batchq.events import Handler, NdjsonFile, log_event
from batchq.executors.local import LocalExecutor
from batchq.executors.seam import Executor
from batchq.processes import guardian, machine
from batchq.processes.signals import Inbox
from batchq.runner import Plan, Tally
from batchq.store import ledger
from batchq.store.connection import Store, open_at
from batchq.store.ledger import Wanted
from batchq.store.location import allow_network, locate, require_local
from batchq.store.locks import LockFile

if TYPE_CHECKING:
    from batchq.report.progress import Progress


class Telling(NamedTuple):
    """How a run is told: ``live`` draws a bar; ``db`` is what the user named the store, for the command to retry."""

    quiet: bool
    verbose: bool
    as_json: bool
    live: bool
    db: str | None


@app.command()
def run(
    jobs: Annotated[
        str, typer.Option("-j", "--jobs", metavar="N", help="Jobs at once; 0 or 100%: one for each core.")
    ] = "0",
    queue: Annotated[str | None, typer.Option(help="Only this queue.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only this batch.")] = None,
    max_jobs: Annotated[int | None, typer.Option(min=1, help="Start so many, then stop.")] = None,
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
    """Run what is claimable until nothing is left; exit 1 if a job failed."""
    path = locate(db or Global.db)
    allow_network(allow_network_fs)
    require_local(path)
    with open_at(path) as store:  # refuses what is no store before anything is forked
        for warning in store.warnings:
            note(f"warning: {warning}")
    plan = Plan(Wanted(queue, batch, perform is not None), max_jobs, _seconds(grace))
    slots = _slots(jobs)
    _check_target(perform)
    lock = LockFile(path)
    liveness = lock.hold_liveness()  # before the fork: the guardian holds it until its last descendant is dead
    home = os.getcwd()
    logs = _folder(log_dir)
    telling = Telling(quiet, verbose, as_json, sys.stderr.isatty() and not quiet and not verbose, db or Global.db)

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
            return _run(path, plan, liveness, inbox, executor, handlers, telling)
        except BatchqError as error:
            if isinstance(error, BusyError) and inbox.received:
                return 128 + inbox.received[0]
            note(str(error))
            return error.exit_code

    raise typer.Exit(guardian.guarded(body))


def _run(
    path: str,
    plan: Plan,
    liveness: int,
    inbox: Inbox,
    executor: Executor,
    handlers: list[Handler],
    telling: Telling,
) -> int:
    with open_at(path) as store:
        if telling.live:
            from batchq.report.progress import Progress

            with Progress() as bar:
                tally = runner.run(
                    store, executor, plan, liveness, inbox, handlers, lambda now: _draw(bar, store, plan, now)
                )
        else:
            tally = runner.run(store, executor, plan, liveness, inbox, handlers)
        code = tally.exit_code()
        try:
            _tell(store, plan, tally, telling)
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
        waiting = ledger.waiting(store, plan.wanted)
        bar.show(ended=now.succeeded + failed, failed=failed, running=now.running, waiting=waiting)


def _tell(store: Store, plan: Plan, tally: Tally, telling: Telling) -> None:
    if telling.as_json:
        facts = {
            "schema": 1, "kind": "run", "status": tally.exit_code(), "succeeded": tally.succeeded, "failed": tally.failed,
            "retried": tally.retried, "interrupted": tally.interrupted, "rescued": tally.rescued,
        }  # fmt: skip
        sys.stdout.write(json.dumps(facts) + "\n")
    if telling.quiet:
        return
    if tally.refusal is not None:
        note(tally.refusal)
    if telling.live or telling.verbose:
        for line in _left_alone(tally):
            note(line)
    if tally.failed:
        from batchq.jobs.selection import Selection
        from batchq.report.digest import IN_FULL, digest, retry_command
        from batchq.store import queries

        failed = list(tally.failed)
        shown = queries.failures(store, failed[:IN_FULL], IN_FULL)
        again = retry_command(failed, Selection(batch=plan.wanted.batch, queue=plan.wanted.queue), telling.db)
        sys.stderr.write(digest(shown, len(tally.failed), again))


def _left_alone(tally: Tally) -> list[str]:
    words = {
        "held": "held: see 'batchq list --state held', let them go with 'batchq release'",
        "scheduled": "scheduled for later",
        "blocked": "blocked by jobs that are not over",
        "payload": "jobs with a payload: run them with --perform MODULE:FUNCTION",
    }
    lines = [f"left alone: {count} {words[state]}" for state, count in sorted(tally.left_alone.items()) if count]
    return lines if tally.stopped_at is None else [*lines, f"stopped at {tally.stopped_at} with work left"]


def _slots(text: str) -> int:
    cores = machine.cores()
    try:
        if text.endswith("%"):
            return max(1, round(cores * float(text[:-1]) / 100))
        slots = int(text)
    except ValueError:
        slots = -1
    if not 0 <= slots <= 10_000:
        raise UsageError(f"-j {text!r} is no number of jobs: write 4, 50% or 0 (as many as there are cores)")
    return slots or cores


def _folder(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise CreateError(f"--log-dir {path}: {error.strerror}") from None
    return os.path.abspath(path)


def _seconds(text: str) -> float:
    try:
        return clock.duration(text) / 1000
    except ValueError as error:
        raise UsageError(f"--grace {error}") from None


def _check_target(target: str | None) -> None:
    if target is None:
        return
    module, colon, name = target.partition(":")
    if not colon or not all(part.isidentifier() for part in f"{module}.{name}".split(".")):
        raise UsageError(f"--perform {target!r} must be MODULE:FUNCTION")


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
    for target in targets:
        module, _, name = target.partition(":")
        sys.path.insert(0, home)
        try:
            handlers.append(getattr(importlib.import_module(module), name))
        except (ImportError, AttributeError, ValueError) as error:
            raise UsageError(f"--handler {target}: {error}") from None
    return handlers
