"""The one loop of ``batchq run``: record results, claim jobs, let the executor work, wait.

Outcomes are recorded first and reported afterwards. The loop ends when nothing is left that this runner may take (drain),
or when it is stopped; then running jobs may finish within ``grace`` and the rest is requeued.
"""

import contextlib
import time
from collections.abc import Sequence

from batchq import clock
from batchq.errors import BatchqError, BusyError
from batchq.events import Handler
from batchq.executors.seam import Executor
from batchq.executors.struck import Struck
from batchq.jobs.attempt import Claim
from batchq.jobs.reading.spool import Jobs
from batchq.processes.signals import Inbox
from batchq.runner import admission, leaving, pacing
from batchq.runner.attempts import Attempts
from batchq.runner.books import Books
from batchq.runner.cancellations import Cancellations
from batchq.runner.emitter import Emitter
from batchq.runner.observer import Observer, Scene
from batchq.runner.pacing import NEVER, Pace, Room, State
from batchq.runner.rescuing import Rescuer
from batchq.runner.stopping import Stopping
from batchq.runner.tally import Plan, Tally
from batchq.runner.widest import Widest
from batchq.store.answering import asking
from batchq.store.file.bell import Bell
from batchq.store.file.connection import Store
from batchq.store.running import forecast
from batchq.store.running.runners import Runner


def run(
    store: Store,
    executor: Executor,
    plan: Plan,
    liveness: int,
    inbox: Inbox,
    handlers: Sequence[Handler] = (),
    observer: Observer | None = None,
    adding: Jobs | None = None,
) -> Tally:
    """Drain the store according to ``plan``, and return what was done.

    ``liveness`` is the byte that this process or its guardian has locked. ``observer`` sees what happens. Jobs in
    ``adding`` are added first, and only they are run; the list is empty afterwards.
    """
    tally = Tally()
    me = admission.enter(store, executor, plan, liveness, inbox, tally, adding, observer)
    if me is None:
        return tally
    tally.run = me.id
    return _Run(store, executor, plan, me, inbox, handlers, observer or Observer(), tally).drain()


class _Run:
    def __init__(
        self,
        store: Store,
        executor: Executor,
        plan: Plan,
        me: Runner,
        inbox: Inbox,
        handlers: Sequence[Handler],
        observer: Observer,
        tally: Tally,
    ) -> None:
        self.store = store
        self.me = me
        self.executor = executor
        self.plan = plan
        self.inbox = inbox
        self.observer = observer
        self.tally = tally
        self.emitter = Emitter(handlers, store.path)
        self.running: dict[str, Claim] = {}  # by token
        self.books = Books(store, executor, self.running, tally)
        self.pace = Pace()
        self.began = time.monotonic()
        self.bell: Bell | None = None
        self.rescuer = Rescuer(store, me)
        self.widest = Widest(store, executor)
        self.struck = Struck(executor, inbox)
        self.stopping = Stopping(executor, plan, tally, self.running, self.struck, observer.pause)
        self.cancellations = Cancellations(store, me, executor, plan.grace)
        self.attempts = Attempts(
            executor, plan, tally, self.emitter, self.books, self.stopping, self.cancellations, self.running, observer
        )
        self.standstill = asking.Standstill()
        store.patience = pacing.PATIENCE
        store.interrupted = lambda: bool(inbox.received)
        store.check_references(on=False)  # they are to itself and jobs it holds: checking takes a tenth of an exchange

    def drain(self) -> Tally:
        self.tally.is_elsewhere = self.executor.lease is not None
        self.emitter.run_starts(self.executor.slots, self.executor.name)
        self.observer.begin(Scene(self.me, self.plan, self.tally, self.running, self.stopping, self.executor))
        while True:
            self.stopping.receive(self.inbox)
            self.stopping.keep_time()
            self._look_after_others()
            self._exchange()
            with contextlib.suppress(BatchqError):  # raised by an observer whose store does not answer
                self.observer.step()
            self.emitter.push()
            if self._is_finished():
                break
            self.attempts.take_in(self.executor.poll(pacing.timeout(self._state(), self.pace), self.pace.group))
            self._check_bell()
        self.executor.close()
        if self.bell is not None:
            self.bell.close()
        if not self.tally.unrecorded:  # else the next run must take its jobs back
            leaving.leave(self.store, self.me, self.plan, self.tally, is_stopped=self.stopping.at is not None)
        self.tally.seconds = time.monotonic() - self.began
        self.emitter.run_stops(self.tally)
        return self.tally

    def _state(self) -> State:
        """The state of this run now, from which ``pacing`` decides."""
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
            is_urgent=books.is_urgent
            or stop.is_unannounced
            or self.widest.is_new
            or (books.is_unfinished and stop.at is None),
            retry_at=books.outage.again_at,
            report_at=min(books.leaders.next_at(), books.logbook.due_at()),
            wake_at=min(stop.next_at(), self.struck.next_at(), self.cancellations.look_at if self.running else NEVER),
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

    def _exchange(self) -> None:
        """Record and claim, if an exchange is due."""
        self.me = self.widest.now(self.me)
        state = self._state()
        if not pacing.due(state, self.pace):
            return
        self.store.patience = pacing.patience(state)
        done = self.books.exchange(self.me, state, closing=self.stopping.is_unannounced, resized=self.widest.is_new)
        if done is None:
            return
        self.pace = self.pace.exchanged(state, time.monotonic(), done.claims, clock.seconds_to(done.again_at))
        if self.bell is not None:
            self.bell.has_rung()  # that was us
        self.stopping.is_unannounced = False
        self.tally.take(done.settled)
        self.emitter.jobs_end(done.settled)
        self.observer.settled(done.settled)
        self.cancellations.forget(done.settled)
        self.attempts.start(done.claims)
        self.books.checkpoint()
        self.stopping.count_failures()
        with contextlib.suppress(BatchqError):  # tells people; another exchange meets the trouble
            self.widest.recorded(self.me)

    def _look_after_others(self) -> None:
        """Settle the jobs of dead runners, and stop those of our jobs that were cancelled."""
        now = time.monotonic()
        try:
            if self.stopping.at is None and now >= self.pace.rescue_at:
                self.pace = self.pace.rescued(now)
                for settled in self.rescuer.rescue():
                    self.tally.rescued += len(settled)
                    self.tally.take(settled)
                    self.emitter.jobs_end(settled)
                    self.observer.settled(settled)
                    self.pace = self.pace.looking_by(now)
                self.tally.beyond_reach = sorted(self.rescuer.beyond_reach)
                self.me = self.me._replace(lost=tuple(self.tally.beyond_reach))
            if self.running:
                self.cancellations.stop_cancelled()
        except BatchqError as error:
            if not isinstance(error, BusyError):
                self.books.outage.meet(error)

    def _check_bell(self) -> None:
        """Look soon if somebody has written to the store: there may be new work, or a job of ours may be cancelled."""
        if self.bell is None:
            if self.plan.watch or time.monotonic() - self.began > pacing.LISTEN:
                self.bell = Bell(self.store.path)
                if self.bell.fd is not None:
                    self.inbox.listen(self.bell.fd)
        elif self.inbox.was_notified and self.bell.has_rung():
            soon = self.pace.looked + pacing.SOON
            self.pace = self.pace.looking_by(soon)
            self.cancellations.alert(soon)
        self.inbox.was_notified = False

    def _is_finished(self) -> bool:
        """Whether nothing runs and nothing must be recorded or waited for, or the store has not answered for too long."""
        if self.running:
            return False
        if self.books.ended:
            return self._gives_up()
        if self.stopping.at is not None or self.tally.refusal is not None:
            return True
        if self.books.outage.error is not None:
            return self._gives_up()
        try:
            return self._is_drained(forecast.look(self.store, self.widest.hoped(self.me)))
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
            self.pace = self.pace.looking_by(now + pacing.LOOK)  # held up by a limit, or added since the last look
            if self.executor.hoped > self.me.widest:
                self.widest.tell(self.me)
            if (due_in := clock.seconds_to(left.next_due)) is not None:
                self.pace = self.pace.looking_by(now + due_in)
            return False
        self.pace = self.pace.looking_by(now)
        return forecast.retire(self.store, self.widest.hoped(self.me))

    def _waits_for_itself(self, left: forecast.Forecast) -> bool:
        """Whether the remaining jobs cannot start while this run waits, because jobs wait for each other's commands."""
        if not self.me.inside or not left.is_work_left or left.next_due is not None or self.plan.watch:
            return False
        is_so = asking.all_wait(self.store, self.me.inside) and not asking.is_anything_startable(self.store, self.me)
        return self.standstill.lasts(is_so=is_so)

    def _gives_up(self) -> bool:
        """Whether nothing runs and the store has been away for too long; then report what could not be recorded."""
        if not self.books.outage.is_too_long(self.attempts.idle_since, self.stopping.at):
            return False
        leaving.abandon(self.tally, self.books.ended, self.books.outage.error)
        self.books.ended = []
        return True
