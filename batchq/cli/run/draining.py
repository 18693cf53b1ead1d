"""``batchq run``: wire store, executor and runner together under a guardian, and report the result."""

import os
import sys

from batchq import folder, runner
from batchq.cli import place
from batchq.cli.request import Request
from batchq.cli.run import additions, audience, executing, handlers, output, plans, preparing
from batchq.cli.run.output import OutputOptions
from batchq.errors import BatchqError, BusyError, CreateError, LedgerError, MissingError
from batchq.events import Handler
from batchq.executors.seam import Executor
from batchq.notes import note, note_outer_store, warn
from batchq.processes import enclosing, guardian, proc
from batchq.processes.kept import Kept
from batchq.processes.signals import Inbox
from batchq.runner import Plan
from batchq.store import names
from batchq.store.answering import asking
from batchq.store.file.connection import Store
from batchq.store.file.location import allow_network, is_named, locate, passed_over, require_local
from batchq.store.file.locks import LockFile
from batchq.store.file.opening import open_at
from batchq.store.keeping import extent, filed, notice
from batchq.store.running import forecast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.cli.run.notifying import Notifier
    from batchq.executors.tee import Tee
    from batchq.jobs.reading.spool import Jobs


def run(**given: "Any") -> int:
    """Run jobs until none is left that can run; return the exit code. Raises BatchqError before anything has run."""
    request = additions.requested(given)
    if request.dry_run:
        from batchq.cli.add import storing

        storing.rehearse(request, "run")
        return 0
    path = locate(request.db)
    note_outer_store(path, passed_over(request.db))
    allow_network(request.allow_network_fs)
    require_local(path)
    is_adding = additions.adds(request)
    plan = plans.plan(request, is_adding=is_adding)
    executing.check(request)
    only_news = plans.is_only_news(request.mail_on)
    slots = plans.affordable(plans.slots(request.jobs))
    for option, targets in (
        ("--perform", [] if request.perform is None else [request.perform]),
        ("--handler", request.handler),
    ):
        for target in targets:
            handlers.check_target(option, target)
    is_teed = additions.is_teed(request)
    adding = additions.jobs_of(request) if is_adding else None
    if adding is not None:
        plan = additions.known_as(plan, request, adding)
    mark, target, kept_output = _open(path, request, create=is_adding)
    if not request.quiet:
        place.note_default("running jobs of", path, request.db)
    lock = LockFile(path)
    liveness = lock.hold_liveness()  # before the fork: the guardian holds it until its last descendant is dead
    home = _home()
    log_dir = _folder(request.log_dir)
    if proc.LINUX and not proc.CAN_TRACE:
        note(
            "warning: /proc shows another process namespace: what a job starts outside its process group can be neither"
            " seen nor killed here (unshare --mount-proc)"
        )
    live = sys.stderr.isatty() and not request.quiet
    is_short = sys.stderr.isatty() and not request.json and not is_named(request.db)
    named = None if is_short else path
    options = OutputOptions(request.quiet, request.verbose, request.json, live, named, only_news, is_teed, folder=home)

    notifier = _notifier(target, path, lock) if target else None

    def body(kept: Kept) -> int:
        inbox = Inbox()
        try:
            called = handlers.made_of(request.events, request.handler, home)
            called += [] if notifier is None else [notifier]
            tee = audience.tee(request, is_teed=is_teed)
            executor = executing.executor(
                request,
                slots,
                inbox,
                db=path,
                mark=mark,
                liveness=liveness,
                home=home,
                grace=plan.grace,
                logs=log_dir,
                kept=kept,
                listeners=[] if tee is None else [tee],
                keep_output=kept_output,
                prepare=preparing.prepare_to_compare if only_news else preparing.prepare,
            )
            trust_owner = request.trust_owner
            return _run(
                path, plan, liveness, inbox, executor, called, options, adding, notifier, tee, trust_owner=trust_owner
            )
        except BatchqError as error:
            if isinstance(error, BusyError) and inbox.received:
                return audience.status(inbox.received[0])
            note(str(error))
            if notifier is not None:
                notifier.trouble(str(error))
            return error.exit_code

    def forget() -> None:
        if adding is not None:
            adding.clear()

    if notifier is None:
        return guardian.guarded(body, str(liveness), forget)
    status = guardian.guarded(body, str(liveness), forget, notifier.pid)
    notifier.finish(status, options, trust_owner=request.trust_owner)
    return status


def _open(path: str, request: Request, *, create: bool) -> tuple[str, str | None, int]:
    """Open the store before the fork, so that errors come early. Return its mark in the names of logs, the target to
    notify, and how much output it keeps."""
    is_new = create and not os.path.exists(path)
    with open_at(path, create=create, trust_owner=request.trust_owner) as store:
        warn(store.warnings)
        if is_new and not request.quiet:
            note(f"made the store {path}")
        return filed.mark(store), _target(store, request.notify), extent.keep_output(store)


def _notifier(target: str, path: str, lock: LockFile) -> "Notifier":
    from batchq.cli.run.notifying import Notifier

    return Notifier(target, path, lock)


def _target(store: Store, given: str | None) -> str | None:
    """Return ``--notify``, or the target of the store; a run inside a job of the store leaves that to the outer run."""
    if given is not None:
        return given
    found = notice.target(store)
    return None if found is None or asking.of_tokens(store, enclosing.tokens()) else found


def _run(
    path: str,
    plan: Plan,
    liveness: int,
    inbox: Inbox,
    executor: Executor,
    called: list[Handler],
    options: OutputOptions,
    adding: "Jobs | None",
    notifier: "Notifier | None",
    tee: "Tee | None",
    *,
    trust_owner: bool,
) -> int:
    with open_at(path, trust_owner=trust_owner) as store:
        never_seen = names.never_seen(store, plan.wanted.queue, plan.wanted.batch)
        for one in never_seen if not options.quiet else []:  # at the start: a run with --watch may last
            note(one.sentence)
        if adding is not None or forecast.is_anything_queued(store):
            executor.prepare()  # before the run waits for a busy store
        with audience.observing(store, options, tee) as observer:
            tally = runner.run(store, executor, plan, liveness, inbox, called, observer, adding)
        tally.never_seen = never_seen
        if notifier is not None:
            notifier.end(store, plan, tally, options)
        code = tally.exit_code() if tally.signal is None else audience.status(tally.signal)
        if tee is not None:
            code, options = audience.drained(tee, inbox, tally, code), options._replace(shown=tee.shown())
        try:
            output.print_result(store, plan, tally, options)
            sys.stdout.flush()
        except BrokenPipeError:
            return code  # the reader has enough
        except OSError as error:
            note(f"cannot write the output: {error.strerror}")
            return code if tally.signal is not None else LedgerError.exit_code
        except BatchqError as error:  # the store cannot even be read
            note(str(error))
            return code or LedgerError.exit_code
    return code


def _home() -> str:
    """Return the folder to import ``--perform`` and ``--handler`` from; a run without them does not need it to exist."""
    try:
        return folder.current()
    except MissingError:
        return "/"


def _folder(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise CreateError(f"--log-dir {path}: {error.strerror}") from None
    return folder.absolute(path)
