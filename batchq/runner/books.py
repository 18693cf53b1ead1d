"""What a run has to report to its ledger, and the exchange that does it: results, begun attempts, output, logs, processes.

While the store does not answer all of it is kept, and nothing is claimed.
"""

from collections.abc import Mapping

from batchq.errors import BatchqError
from batchq.executors.seam import Executor, Started
from batchq.jobs.attempt import SUCCEEDED, Claim, Ended, Printed
from batchq.notes import note
from batchq.runner import pacing
from batchq.runner.judging import Judge
from batchq.runner.logbook import Logbook
from batchq.runner.noting import Noting
from batchq.runner.outage import Outage
from batchq.runner.pacing import State
from batchq.runner.tally import Tally
from batchq.store.file import checkpoints
from batchq.store.file.connection import Store
from batchq.store.running import exchange
from batchq.store.running.exchange import Exchange
from batchq.store.running.runners import Runner


class Books:
    """The news of one run. ``ended`` are results, the first of them ``since`` that moment (monotonic seconds).

    It ``is_urgent`` to record them if a job among them starts at most once, and to go on with an exchange that
    ``is_unfinished``. ``running`` are the claims of the run, by token.
    """

    def __init__(self, store: Store, executor: Executor, running: Mapping[str, Claim], tally: Tally) -> None:
        self.ended: list[Ended] = []
        self.since = 0.0
        self.is_urgent = False
        self.is_unfinished = False
        self.begun: dict[str, Claim] = {}  # claims ahead that have started
        self.printed: dict[str, Printed] = {}
        self.logbook = Logbook(tally)
        self.noting = Noting(executor, running)
        self.outage = Outage()
        self._store = store
        self._judge = Judge(store)
        self._is_log_stuck = False

    def begin(self, started: Started) -> Claim:
        """A claim ahead has begun; the claim with its start."""
        claim = started.claim._replace(started_at=started.at)
        self.begun[claim.token] = claim
        self.noting.begins(claim)
        return claim

    def end(self, ended: Ended, since: float) -> None:
        """An attempt has ended, and waits to be recorded ``since`` that moment: nothing else of it counts any more."""
        token = ended.claim.token
        if self.begun:
            self.begun.pop(token, None)
        if self.printed:
            self.printed.pop(token, None)
        if not self.ended:
            self.since = since
        self.is_urgent = self.is_urgent or ended.claim.on_crash == "hold"
        self.ended.append(ended)

    def print(self, news: Printed) -> None:
        """An attempt has printed; only the newest is kept, so that a store that does not answer fills no memory."""
        before = self.printed.get(news.claim.token, news)
        self.printed[news.claim.token] = Printed(
            news.claim,
            before.stdout if news.stdout is None else news.stdout,
            before.stderr if news.stderr is None else news.stderr,
        )

    def is_well(self) -> bool:
        """Whether all results are successes."""
        return all(one.outcome.status == SUCCEEDED for one in self.ended)

    def exchange(self, me: Runner, state: State, *, closing: bool) -> Exchange | None:
        """Record all news and claim what ``state`` has room for; None if the store does not answer: nothing happened."""
        leaders = self.noting.leaders()
        later: list[Ended] = []
        try:
            if pacing.hurries(state):
                judged = self._judge.judge_at_once(self.ended)
            else:
                judged, later = self._judge.judge(self.ended)
            self.ended = [*judged, *later]  # so that nothing is judged again where the store is busy
            done = exchange.exchange(
                self._store,
                me,
                judged,
                state.room.free,
                at_most=state.room.most,
                ahead=state.room.ahead,
                started=list(self.begun.values()),
                printed=list(self.printed.values()),
                logged=self.logbook.news(),
                closing=closing,
                leaders=leaders,
                over=self.noting.over(judged),
            )
        except BatchqError as error:
            self.outage.meet(error)
            return None
        self.outage.end()
        self.ended, self.begun, self.printed = later, {}, {}
        self.is_urgent, self.is_unfinished = False, done.is_unfinished
        self.logbook.recorded()
        self.noting.told(leaders)
        self.noting.forget(judged)
        for late in done.refused:
            note(f"job {late.claim.id}: attempt {late.claim.attempt} ended too late; it had been rescued meanwhile")
        return done

    def checkpoint(self) -> None:
        """Keep the store's log short; warn once if a program that reads the store for long prevents it."""
        done = checkpoints.checkpoint_if_due(self._store)
        if done is not None and done.is_stuck and not self._is_log_stuck:
            self._is_log_stuck = True
            note(f"the log of {self._store.path} grows ({done.log_bytes >> 20} MiB): some program reads it for long")
