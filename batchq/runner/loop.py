"""The one loop of ``batchq run``: hand what ended to the ledger, take what is claimable, let the executor work, wait.

Outcomes are recorded first and told afterwards. The loop ends when nothing is left that this runner may take (drain),
or when it is told to stop; then running jobs may finish within ``grace`` and the rest is given back.
"""

import contextlib
import time
from collections.abc import Callable, Sequence

from batchq import clock
from batchq.errors import BatchqError, BusyError
from batchq.events import Handler
from batchq.executors.seam import Executor
from batchq.jobs.attempt import Claim
from batchq.jobs.reading.spool import Jobs
from batchq.processes.signals import Inbox
from batchq.runner import admission, leaving, pacing
from batchq.runner.attempts import Attempts
from batchq.runner.books import Books
from batchq.runner.pacing import NEVER, Pace, Room, State
from batchq.runner.rescuing import Rescuer
from batchq.runner.stopping import Stopping
from batchq.runner.struck import Struck
from batchq.runner.tally import Plan, Tally
from batchq.runner.telling import Teller
from batchq.runner.withdrawing import Withdrawing
from batchq.store.answering import asking
from batchq.store.file.bell import Bell
from batchq.store.file.connection import Store
from batchq.store.running import forecast
from batchq.store.running.recording import Settled
from batchq.store.running.runners import Runner


def run(
    store: Store,
    executor: Executor,
    plan: Plan,
    liveness: int,
    inbox: Inbox,
    handlers: Sequence[Handler] = (),
    observe: Callable[[Tally], None] = lambda tally: None,
    adding: Jobs | None = None,
) -> Tally:
    """Drain the store as ``plan`` says; what was done.

    ``liveness`` is the byte that this process or its guardian has locked. ``observe`` is called after each step. With
    ``adding`` these jobs are added first, and they alone are run; the list is empty afterwards.
    """
    tally = Tally()
    me = admission.enter(store, executor, plan, liveness, inbox, tally, adding)
    if me is None:
        return tally
    return _Run(store, executor, plan, me, inbox, handlers, observe, tally).drain()


class _Run:
    def __init__(
        self,
        store: Store,
        executor: Executor,
        plan: Plan,
        me: Runner,
        inbox: Inbox,
        handlers: Sequence[Handler],
        observe: Callable[[Tally], None],
        tally: Tally,
    ) -> None:
        self.store = store
        self.me = me
        self.executor = executor
        self.plan = plan
        self.inbox = inbox
        self.observe = observe
        self.tally = tally
        self.teller = Teller(handlers, store.path)
        self.running: dict[str, Claim] = {}  # by token
        self.books = Books(store, executor, self.running, tally)
        self.pace = Pace()
        self.began = time.monotonic()
        self.bell: Bell | None = None
        self.rescuer = Rescuer(store, me)
        self.struck = Struck(executor, inbox)
        self.stopping = Stopping(executor, plan, tally, self.running, self.struck)
        self.withdrawing = Withdrawing(store, me, executor, plan.grace)
        self.attempts = Attempts(
            executor, plan, tally, self.teller, self.books, self.stopping, self.withdrawing, self.running
        )
        self.standstill = asking.Standstill()
        store.patience = pacing.PATIENCE
        store.interrupted = lambda: bool(inbox.received)
        store.check_references(on=False)  # to itself, and to jobs that it holds: checking takes a tenth of an exchange

    def drain(self) -> Tally:
        self.tally.slots = self.executor.slots
        self.teller.run_starts(self.executor.slots, self.executor.name)
        while True:
            self.stopping.hear(self.inbox)
            self.stopping.keep_time()
            self._look_after_others()
            self._exchange()
            with contextlib.suppress(BatchqError):  # a picture of a store that does not answer
                self.observe(self.tally)
            self.teller.push()
            if self._is_over():
                break
            self.attempts.take_in(self.executor.poll(pacing.timeout(self._state(), self.pace), self.pace.group))
            self._hear_bell()
        self.executor.close()
        if self.bell is not None:
            self.bell.close()
        if not self.tally.unrecorded:  # else this run has not ended in order: the next one takes its jobs back
            leaving.leave(self.store, self.me, self.tally, is_stopped=self.stopping.at is not None)
        self.teller.run_stops(self.tally, time.monotonic() - self.began)
        return self.tally

    def _state(self) -> State:
        """What this run has in hand now, for ``pacing`` to decide upon."""
        books, stop = self.books, self.stopping
        idle = self.executor.free()
        return State(
            now=time.monotonic(),
            room=self._room(idle),
            idle=idle,
            is_running=bool(self.running),
            results=len(books.ended),
            since=books.since,
            has_output=bool(books.printed),
            has_begun=bool(books.begun),
            is_urgent=books.is_urgent or stop.is_untold or (books.is_unfinished and stop.at is None),
            retry_at=books.outage.again_at,
            report_at=min(books.noting.next_at(), books.logbook.due_at()),
            wake_at=min(stop.next_at(), self.struck.next_at(), self.withdrawing.look_at if self.running else NEVER),
            stop_at=stop.at,
            is_hurried=stop.is_hurried,
        )

    def _room(self, idle: int) -> Room:
        plan, tally = self.plan, self.tally
        return pacing.room(
            idle,
            self.executor.ahead(),
            None if plan.max_jobs is None else plan.max_jobs - tally.started,
            is_open=self.stopping.at is None and tally.refusal is None,
            is_careful=plan.halt is not None,
            is_in_doubt=plan.halt is not None and (self.struck.is_any_held() or not self.books.is_well()),
        )

    # --- one step ------------------------------------------------------------------------------------------------------

    def _exchange(self) -> None:
        """Record and claim, where there is something to record or a reason to look."""
        state = self._state()
        if not pacing.due(state, self.pace):
            return
        self.store.patience = pacing.patience(state)
        done = self.books.exchange(self.me, state, closing=self.stopping.is_untold)
        if done is None:
            return
        self.pace = self.pace.exchanged(state, time.monotonic(), done.claims, clock.seconds_to(done.again_at))
        if self.bell is not None:
            self.bell.has_rung()  # that was us
        self.stopping.is_untold = False
        self._count(done.settled)
        self.withdrawing.forget(done.settled)
        self.attempts.start(done.claims)
        self.books.checkpoint()
        self.stopping.count_failures()

    def _count(self, settled: Sequence[Settled]) -> None:
        self.tally.take(settled)
        self.teller.jobs_end(settled)

    def _look_after_others(self) -> None:
        """Settle what dead runners left, and end those of our jobs that somebody has cancelled."""
        now = time.monotonic()
        try:
            if self.stopping.at is None and now >= self.pace.rescue_at:
                self.pace = self.pace.rescued(now)
                for settled in self.rescuer.rescue():
                    self.tally.rescued += len(settled)
                    self._count(settled)
                    self.pace = self.pace.looking_by(now)
                self.tally.beyond_reach = sorted(self.rescuer.beyond_reach)
                self.me = self.me._replace(lost=tuple(self.tally.beyond_reach))
            if self.running:
                self.withdrawing.withdraw()
        except BatchqError as error:
            if not isinstance(error, BusyError):
                self.books.outage.meet(error)

    def _hear_bell(self) -> None:
        """Somebody has written to the store: there may be work, or a job of ours may have been cancelled."""
        if self.bell is None:
            if self.plan.watch or time.monotonic() - self.began > pacing.LISTEN:
                self.bell = Bell(self.store.path)
                if self.bell.fd is not None:
                    self.inbox.listen(self.bell.fd)
        elif self.inbox.was_notified and self.bell.has_rung():
            soon = self.pace.looked + pacing.SOON
            self.pace = self.pace.looking_by(soon)
            self.withdrawing.hear(soon)
        self.inbox.was_notified = False

    # --- the end -------------------------------------------------------------------------------------------------------

    def _is_over(self) -> bool:
        """Whether nothing runs, and nothing is to be recorded or waited for; or the store has not answered for long."""
        if self.running:
            return False
        if self.books.ended:
            return self._gives_up()
        if self.stopping.at is not None or self.tally.refusal is not None:
            return True
        if self.books.outage.error is not None:
            return self._gives_up()
        try:
            return self._is_drained(forecast.look(self.store, self.me))
        except BatchqError as error:
            self.books.outage.meet(error)
            return False

    def _is_drained(self, left: forecast.Forecast) -> bool:
        if self.plan.max_jobs is not None and self.tally.started >= self.plan.max_jobs:
            self.tally.stopped_at = "--max-jobs" if left.is_work_left else None
            return True
        if self._waits_for_itself(left):
            self.tally.is_stuck = True
            self.stopping.claim_no_more()
            return True
        now = time.monotonic()
        if left.is_work_left or self.plan.watch or self.rescuer.is_busy:
            self.pace = self.pace.looking_by(now + pacing.LOOK)  # a limit, or the last look was a moment ago
            if (due_in := clock.seconds_to(left.next_due)) is not None:
                self.pace = self.pace.looking_by(now + due_in)
            return False
        self.pace = self.pace.looking_by(now)
        return forecast.retire(self.store, self.me)

    def _waits_for_itself(self, left: forecast.Forecast) -> bool:
        """Whether what is left cannot start while this run waits for it, because jobs wait for each other's commands."""
        if not self.me.inside or not left.is_work_left or left.next_due is not None or self.plan.watch:
            return False
        is_so = asking.all_wait(self.store, self.me.inside) and not asking.is_anything_startable(self.store, self.me)
        return self.standstill.lasts(is_so=is_so)

    def _gives_up(self) -> bool:
        """Nothing runs, but the store does not answer: is it time to report what could not be recorded?"""
        if not self.books.outage.is_too_long(self.attempts.idle_since, self.stopping.at):
            return False
        leaving.abandon(self.tally, self.books.ended, self.books.outage.error)
        self.books.ended = []
        return True
