"""The one loop of ``batchq run``: hand what ended to the ledger, take what is claimable, let the executor work, wait.

Outcomes are recorded first and told afterwards. The loop ends when nothing is left that this runner may take (drain),
or when it is told to stop; then running jobs may finish within ``grace`` and the rest is given back.
"""

import contextlib
import math
import time
from collections.abc import Callable, Sequence

from batchq import clock
from batchq.errors import BatchqError, BusyError
from batchq.events import Handler
from batchq.executors.seam import Executor, Lost, Noted, Report, Started
from batchq.jobs.attempt import (
    SUCCEEDED,
    Claim,
    Ended,
    Logged,
    Printed,
)
from batchq.jobs.reading.spool import Jobs
from batchq.processes.signals import Inbox
from batchq.runner import admission, answering
from batchq.runner.judging import Judge
from batchq.runner.logbook import Logbook
from batchq.runner.noting import Noting
from batchq.runner.outage import Outage
from batchq.runner.rescuing import Rescuer
from batchq.runner.stopping import Stopping
from batchq.runner.struck import Struck
from batchq.runner.tally import Plan, Tally
from batchq.runner.telling import Teller, warn
from batchq.runner.withdrawing import Withdrawing
from batchq.store.answering import asking
from batchq.store.file import checkpoints
from batchq.store.file.bell import Bell
from batchq.store.file.connection import Store
from batchq.store.keeping import retention
from batchq.store.running import exchange, outlook, runners
from batchq.store.running.runners import Runner

GROUP = 0.01, 0.05  #: seconds for which results may wait for others, so that one commit records them all: least, most
SHARE = 0.05  #: of the time that may go into recording: results wait the longer, the slower the store is
CROWD = 512  #: results that wait for no more
LOOK = 0.25  #: seconds between looks for new work while a slot is free
LISTEN = (
    0.25  #: seconds after which a run listens for what others write: to end that takes 10 ms, too long for short ones
)
SOON = 0.01  #: seconds between looks at most, however often others write
RESCUE = 0.5  #: seconds between looks for dead runners
PATIENCE = 1.0  #: seconds that one exchange waits for the store, so that signals and timeouts are served meanwhile
HASTE = 0.1  #: seconds that it waits instead once running jobs get no grace: whoever asked for that will not wait long
TIDY = 1.0  #: seconds that a run may spend at its end on what its store need not keep


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
        self.executor = executor
        self.plan = plan
        self.inbox = inbox
        self.teller = Teller(handlers, store.path)
        self.observe = observe
        self.tally = tally
        self.running: dict[str, Claim] = {}
        self.ended: list[Ended] = []
        self.ended_since = 0.0
        self.group = GROUP[0]
        self.begun: dict[str, Claim] = {}  # claims ahead that have started, which the ledger does not know yet
        self.printed: dict[str, Printed] = {}
        self.outage = Outage()
        self.is_urgent = False  # a result that must not wait for others: its job is to start at most once
        self.is_unfinished = False
        self.idle_since = 0.0
        self.look_at = 0.0
        self.rescue_at = 0.0
        self.looked = 0.0
        self.began = time.monotonic()
        self.bell: Bell | None = None
        store.interrupted = lambda: bool(inbox.received)
        self.me = me
        self.rescuer = Rescuer(store, me)
        self.judge = Judge(store)
        self.logbook = Logbook(tally)
        self.struck = Struck(executor, inbox)
        self.stopping = Stopping(executor, plan, tally, self.running, self.struck)
        self.noting = Noting(executor, self.running)
        self.withdrawing = Withdrawing(store, me, executor, plan.grace)
        self.is_log_stuck = False
        self.standstill = asking.Standstill()
        store.patience = PATIENCE
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
            self._take_in(self.executor.poll(self._timeout(), self.group))
            for ended in self.struck.resolved():
                self._end(ended)
            self._hear_bell()
        self.executor.close()
        if self.bell is not None:
            self.bell.close()
        self._leave()
        return self.tally

    # --- one step ------------------------------------------------------------------------------------------------------

    def _exchange(self) -> None:
        """Record and claim, where there is something to record or a reason to look."""
        now = time.monotonic()
        if not self._is_due(now):
            return
        free, ahead = self._room()
        stop = self.stopping
        if stop.at is not None:  # what outlives its grace is not kept waiting for the store
            left = 0 if stop.is_hurried else stop.at - now
            self.store.patience = max(HASTE, min(PATIENCE, left)) if self.running or stop.is_hurried else PATIENCE
        leaders = self.noting.leaders()
        try:
            hurries = stop.at is not None and (stop.at <= now or (stop.at < math.inf and not self.running))
            judged, later = (self.judge.judge_at_once(self.ended), []) if hurries else self.judge.judge(self.ended)
            self.ended = [*judged, *later]  # so that nothing is judged again where the store is busy
            done = exchange.exchange(
                self.store,
                self.me,
                judged,
                free,
                at_most=self._jobs_left(),
                ahead=ahead,
                started=list(self.begun.values()),
                printed=list(self.printed.values()),
                logged=self.logbook.news(),
                closing=stop.is_untold,
                leaders=leaders,
                over=self.noting.over(judged),
            )
        except BatchqError as error:
            self.outage.meet(error)
            return
        self.group = min(max(GROUP[0], (time.monotonic() - now) / SHARE), GROUP[1])
        if self.bell is not None:
            self.bell.has_rung()  # that was us
        self.looked = now
        self.outage.end()
        self.is_unfinished = done.is_unfinished
        self.noting.told(leaders)
        self.noting.forget(judged)
        stop.is_untold = self.is_urgent = False
        self.ended = later
        self.begun = {}
        self.printed = {}
        self.logbook.recorded()
        self.tally.take(done.settled)
        self.teller.jobs_end(done.settled)
        self.withdrawing.forget(done.settled)
        for late in done.refused:
            warn(f"job {late.claim.id}: attempt {late.claim.attempt} ended too late; it had been rescued meanwhile")
        self._start(done.claims)
        self._checkpoint()
        # A short answer means that the store is empty for us: look again later, or when a job has ended.
        is_short = sum(one.slots for one in done.claims) < free or len(done.claims) < ahead
        self.look_at = now + LOOK if is_short else 0.0
        if done.again_at is not None:
            self.look_at = min(self.look_at, now + max(0, done.again_at - clock.now()) / 1000)
        stop.count_failures()

    def _checkpoint(self) -> None:
        """Keep the store's log short; say once when a program that reads the store for long prevents it."""
        try:
            done = checkpoints.checkpoint_if_due(self.store)
        except BatchqError as error:
            self.outage.meet(error)
            return
        if done is not None and done.is_stuck and not self.is_log_stuck:
            self.is_log_stuck = True
            warn(f"the log of {self.store.path} grows ({done.log_bytes >> 20} MiB): some program reads it for long")

    def _is_due(self, now: float) -> bool:
        """Results wait for others, but not while a slot is or soon will be empty; without results it is time to look."""
        if self.outage.error is not None:
            return now >= self.outage.again_at
        if self.stopping.is_untold or self.is_urgent or self._is_unfinished() or now >= self.noting.next_at():
            return True
        if not self.ended:
            if self.printed or self.logbook.is_due(now):
                return True
            return now >= self.look_at and (self._room()[0] > 0 or bool(self.begun))
        if now - self.ended_since >= self.group or len(self.ended) >= CROWD or self.executor.free() > 0:
            return True
        return now >= self.look_at and self._room()[1] > 0

    def _is_unfinished(self) -> bool:
        """Whether jobs below long chains are still to be told of an end: one exchange after the other goes on with it."""
        return self.is_unfinished and self.stopping.at is None

    def _room(self) -> tuple[int, int]:
        """How many claims to take: to start at once, and ahead of that."""
        if self.stopping.at is not None or self.tally.refusal is not None or self._jobs_left() == 0:
            return 0, 0
        free, ahead = self.executor.free(), self.executor.ahead()
        if self.plan.halt is not None:  # nothing may be under way that a failure could still prevent
            ahead = 0
            is_well = all(one.outcome.status == SUCCEEDED for one in self.ended) and not self.struck.is_any_held()
            free = free if is_well else 0
        return free, ahead if self.plan.max_jobs is None else 0

    def _jobs_left(self) -> int | None:
        """How many more jobs may start; None: any number."""
        return None if self.plan.max_jobs is None else self.plan.max_jobs - self.tally.started

    def _start(self, claims: list[Claim]) -> None:
        for claim in claims:
            self.running[claim.token] = claim
            if claim.started_at is not None:
                self.noting.begins(claim)
                self.teller.job_starts(claim)
        self.tally.started += len(claims)
        if self.tally.started == self.plan.max_jobs:
            self.stopping.claim_no_more()
        self.tally.running = len(self.running)
        if claims:
            self.executor.start(claims)

    def _take_in(self, reports: Sequence[Report]) -> None:
        if reports and not self.ended:
            self.ended_since = time.monotonic()
        for report in reports:
            if isinstance(report, Ended):
                if (ended := self.struck.judge(report)) is not None:
                    self._end(ended)
            elif isinstance(report, Lost):
                self._end(Ended(report.claim, self.withdrawing.outcome(report)))
            elif isinstance(report, Started):
                token = report.claim.token
                self.begun[token] = self.running[token] = report.claim._replace(started_at=report.at)
                self.noting.begins(report.claim)
                self.teller.job_starts(report.claim)
            elif isinstance(report, Printed):
                self._print(report)
            elif isinstance(report, Logged):
                self.logbook.note(report)
            elif isinstance(report, Noted):
                warn(report.text)
            else:
                self.tally.refusal = report.reason
                self.stopping.claim_no_more()
        self.tally.running = len(self.running)

    def _end(self, ended: Ended) -> None:
        token = ended.claim.token
        self.running.pop(token, None)
        if self.begun:
            self.begun.pop(token, None)
        if self.printed:
            self.printed.pop(token, None)
        if not self.running:
            self.idle_since = time.monotonic()
        self.is_urgent = self.is_urgent or ended.claim.on_crash == "hold"
        self.ended.append(ended)

    def _print(self, news: Printed) -> None:
        """Of what a job has printed the newest counts: a store that does not answer must not fill the memory."""
        before = self.printed.get(news.claim.token, news)
        self.printed[news.claim.token] = Printed(
            news.claim,
            before.stdout if news.stdout is None else news.stdout,
            before.stderr if news.stderr is None else news.stderr,
        )

    def _timeout(self) -> float:
        """How long to wait for the executor: until results must be recorded, a look is due, or grace is over."""
        now = time.monotonic()
        waits = [RESCUE]
        if self.outage.error is not None:
            waits.append(self.outage.again_at - now)
        elif self.stopping.is_untold or self.is_urgent or self._is_unfinished():
            return 0.0
        elif self.ended:
            waits.append(self.ended_since + self.group - now)
        elif self.begun or self._room()[0]:
            waits.append(self.look_at - now)
        if self.running:
            waits.append(self.withdrawing.look_at - now)
            if self.outage.error is None:
                waits.append(self.noting.next_at() - now)
        waits.append(self.stopping.next_at() - now)
        if (struck_at := self.struck.next_at()) is not None:
            waits.append(struck_at - now)
        return max(0.0, min(waits))

    def _is_over(self) -> bool:
        """Whether nothing runs, and nothing is to be recorded or waited for; or the store has not answered for long."""
        if self.running:
            return False
        if self.ended:
            return self._gives_up()
        if self.stopping.at is not None or self.tally.refusal is not None:
            return True
        if self.outage.error is not None:
            return self._gives_up()
        try:
            return self._is_drained(outlook.look(self.store, self.me))
        except BatchqError as error:
            self.outage.meet(error)
            return False

    def _is_drained(self, left: outlook.Outlook) -> bool:
        if self.plan.max_jobs is not None and self.tally.started >= self.plan.max_jobs:
            self.tally.stopped_at = "--max-jobs" if left.is_work_left else None
            return True
        now = time.monotonic()
        if self._waits_for_itself(left):
            self.tally.is_stuck = True
            self.stopping.claim_no_more()
            return True
        if left.is_work_left or self.plan.watch or self.rescuer.is_busy:
            self.look_at = min(self.look_at, now + LOOK)  # a limit, or the last look was a moment ago
            if left.next_due is not None:
                self.look_at = min(self.look_at, now + max(0, left.next_due - clock.now()) / 1000)
            return False
        self.look_at = now
        return outlook.retire(self.store, self.me)

    def _waits_for_itself(self, left: outlook.Outlook) -> bool:
        """Whether what is left cannot start while this run waits for it, because jobs wait for each other's commands."""
        if not self.me.inside or not left.is_work_left or left.next_due is not None or self.plan.watch:
            return False
        is_so = asking.all_wait(self.store, self.me.inside) and not asking.is_anything_startable(self.store, self.me)
        return self.standstill.lasts(is_so=is_so)

    def _look_after_others(self) -> None:
        """Settle what dead runners left, and end those of our jobs that somebody has cancelled."""
        try:
            if time.monotonic() >= self.rescue_at and self.stopping.at is None:
                self.rescue_at = time.monotonic() + RESCUE
                for settled in self.rescuer.rescue():
                    self.tally.rescued += len(settled)
                    self.tally.take(settled)
                    self.teller.jobs_end(settled)
                    self.look_at = 0.0
                self.tally.beyond_reach = sorted(self.rescuer.beyond_reach)
                self.me = self.me._replace(lost=tuple(self.tally.beyond_reach))
            if self.running:
                self.withdrawing.withdraw()
        except BatchqError as error:
            if not isinstance(error, BusyError):
                self.outage.meet(error)

    def _hear_bell(self) -> None:
        """Somebody has written to the store: there may be work, or a job of ours may have been cancelled."""
        if self.bell is None:
            if self.plan.watch or time.monotonic() - self.began > LISTEN:
                self.bell = Bell(self.store.path)
                if self.bell.fd is not None:
                    self.inbox.listen(self.bell.fd)
        elif self.inbox.heard and self.bell.has_rung():
            soon = self.looked + SOON
            self.look_at = min(self.look_at, soon)
            self.withdrawing.hear(soon)
        self.inbox.heard = False

    # --- the end -------------------------------------------------------------------------------------------------------

    def _gives_up(self) -> bool:
        """Nothing runs, but the store does not answer: is it time to tell what could not be recorded?"""
        if not self.outage.is_too_long(self.idle_since, self.stopping):
            return False
        self.tally.trouble = self.outage.error
        self.tally.unrecorded, self.ended = self.ended, []
        for claim, outcome in self.tally.unrecorded:
            code = "" if outcome.exit_code is None else f", exit code {outcome.exit_code}"
            warn(f"job {claim.id} attempt {claim.attempt} {outcome.status}{code}: could not be recorded")
        return True

    def _leave(self) -> None:
        if not self.tally.unrecorded:  # else this run has not ended in order: the next one takes its jobs back
            try:
                if self.tally.stopped_at == "--max-time" and not outlook.look(self.store, self.me).is_work_left:
                    self.tally.stopped_at = None
                answering.answer(self.store, self.me, self.tally)
                self._tidy()
                runners.leave(self.store, self.me, clock.now())
            except BatchqError as error:
                warn(f"{error}; the end of this run could not be recorded")
        self.teller.run_stops(self.tally, time.monotonic() - self.began)

    def _tidy(self) -> None:
        """Apply the store's retention for a moment, so that it stops growing under a crontab."""
        until = time.monotonic() + TIDY
        self.store.check_references(on=True)
        with contextlib.suppress(BatchqError):  # what is not removed now goes at the end of a later run
            while self.stopping.at is None and retention.tidy(self.store, clock.now()) and time.monotonic() < until:
                continue
