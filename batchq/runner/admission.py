"""Whether a run may begin while another one with the same selection is at work: ``--if-running``."""

import _sqlite3 as sqlite3
import os
import select
import time

from batchq import clock
from batchq.errors import BatchqError
from batchq.executors.seam import Executor
from batchq.jobs.reading.spool import Jobs
from batchq.jobs.selection import NO_JOB, Range
from batchq.notes import note
from batchq.processes import enclosing, machine, proc
from batchq.processes.signals import Inbox
from batchq.runner.observer import Observer
from batchq.runner.tally import Plan, Tally
from batchq.store.adding import intake
from batchq.store.answering import answers, asking
from batchq.store.file.bell import Bell
from batchq.store.file.connection import Store
from batchq.store.running import runners
from batchq.store.running.runners import Occupied, Runner

LOOK = 0.25  #: seconds between checks whether the other run has ended


def enter(
    store: Store,
    executor: Executor,
    plan: Plan,
    liveness: int,
    inbox: Inbox,
    tally: Tally,
    adding: Jobs | None = None,
    observer: Observer | None = None,
) -> Runner | None:
    """Register this process as a runner; None if ``plan.if_running`` does not allow it, with the reason in ``tally``.

    Checking for another run, adding the jobs of files and registering are one transaction: of two runs that start at
    once only one begins, and jobs that were added have their run. ``adding`` is emptied, because a million jobs need not
    stay in memory.
    """
    is_after_nothing = False
    above: list[int] = []
    if adding is not None:
        intake.find_keys(adding)

    def add(db: sqlite3.Connection) -> tuple[Range, ...]:
        nonlocal is_after_nothing, above
        done = intake.entered(db, adding or [], plan.wanted.files)
        is_after_nothing, above = done.is_after_nothing, done.above
        tally.asked = answers.asked(store, done)
        left = answers.still_open(store, tally.asked.ids)
        if plan.is_keyed and plan.if_running != "join" and done.others and left != NO_JOB:
            job = done.ids[0]
            if (pid := runners.works_on(store, job)) is not None:
                raise Occupied(pid, job)
        return left

    inside = asking.of_tokens(store, tokens) if (tokens := enclosing.tokens()) else ()
    for one in inside:
        store.lock.hold_waits(one.id)
    until = None if plan.patience is None else time.monotonic() + plan.patience
    bell: Bell | None = None
    try:
        while True:
            try:
                me = runners.register(
                    store,
                    plan.wanted,
                    liveness,
                    pid=os.getpid(),
                    host=machine.host(),
                    boot_id=machine.boot_id(),
                    namespace=machine.namespace(),
                    born=proc.started_ticks(os.getpid()),
                    guardian=os.getppid(),
                    slots=executor.slots,
                    widest=executor.widest,
                    executor=executor.name,
                    lease=None if executor.lease is None else round(executor.lease * 1000),
                    now=clock.now(),
                    alone=plan.if_running != "join" and not plan.is_keyed,
                    inside=inside,
                    adding=None if adding is None else add,
                )
            except Occupied as occupied:
                tally.occupied_by, tally.occupied_job = occupied.pid, occupied.job
                tally.asked = None
            else:
                tally.occupied_by = tally.occupied_job = None
                if adding is not None:
                    adding.clear()
                if is_after_nothing:
                    note(intake.AFTER_NOTHING)
                if above:
                    _bring_back(store, above)
                return me
            is_ours = tally.occupied_job in {one.id for one in inside}  # it cannot finish before this run
            if plan.if_running != "wait" or is_ours or (until is not None and time.monotonic() >= until):
                tally.is_turned_away = plan.if_running != "skip"
                return None
            if bell is None and observer is not None and tally.occupied_by is not None:
                observer.occupied(tally.occupied_by)
            bell = bell or Bell(store.path)  # only now: closing a bell takes longer than many runs
            _wait(bell, inbox, until)
            if inbox.received:
                tally.signal = inbox.received.pop(0)
                return None
    finally:
        if bell is not None:
            bell.close()


def _bring_back(store: Store, above: list[int]) -> None:
    from batchq.store import reopening

    try:
        reopening.follow(store, above)
    except BatchqError as error:
        note(str(error))


def _wait(bell: Bell, inbox: Inbox, until: float | None) -> None:
    patience = LOOK if until is None else min(LOOK, max(0.0, until - time.monotonic()))
    watched = [fd for fd in (inbox.fileno(), bell.fd) if fd is not None]
    select.select(watched, [], [], patience)
    inbox.drain()
    bell.has_rung()
