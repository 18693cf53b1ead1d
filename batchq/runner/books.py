"""The news of a run for its ledger, and the exchange that records it: results, started attempts, output, logs, processes.

While the store does not answer, all news is kept and nothing is claimed.
"""

from collections.abc import Mapping

from batchq.errors import BatchqError
from batchq.executors.seam import Executor, Started
from batchq.jobs.attempt import SUCCEEDED, Claim, Ended, Printed
from batchq.notes import note
from batchq.runner import pacing
from batchq.runner.judging import Judge
from batchq.runner.leaders import Leaders
from batchq.runner.logbook import Logbook
from batchq.runner.outage import Outage
from batchq.runner.pacing import State
from batchq.runner.tally import Tally
from batchq.store.file import checkpoints
from batchq.store.file.connection import Store
from batchq.store.running import exchange
from batchq.store.running.exchange import Exchange
from batchq.store.running.runners import Runner


class Books:
    """The news of one run. ``ended`` has the results; the first has waited ``since`` then (monotonic seconds).

    Recording ``is_urgent`` if a job among them may start only once; so is continuing an exchange that ``is_unfinished``.
    ``running`` has the claims of the run, by token.
    """

    def __init__(self, store: Store, executor: Executor, running: Mapping[str, Claim], tally: Tally) -> None:
        self.ended: list[Ended] = []
        self.since = 0.0
        self.is_urgent = False
        self.is_unfinished = False
        self.begun: dict[str, Claim] = {}  # claims ahead that have started
        self.printed: dict[str, Printed] = {}
        self.logbook = Logbook(tally)
        self.leaders = Leaders(executor, running)
        self.outage = Outage()
        self._store = store
        self._executor = executor
        self._judge = Judge(store)
        self._is_log_stuck = False

    def begin(self, started: Started) -> Claim:
        """Note that a claim made ahead has started; returns the claim with its start."""
        claim = started.claim._replace(started_at=started.at)
        self.begun[claim.token] = claim
        self.leaders.begins(claim)
        return claim

    def end(self, ended: Ended, since: float) -> None:
        """Queue the end of an attempt for recording, waiting ``since`` then, and drop its other news."""
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
        """Queue the output of an attempt; only the newest is kept, so that an outage does not fill the memory."""
        before = self.printed.get(news.claim.token, news)
        self.printed[news.claim.token] = Printed(
            news.claim,
            before.stdout if news.stdout is None else news.stdout,
            before.stderr if news.stderr is None else news.stderr,
            news.turns or before.turns,
        )

    def is_well(self) -> bool:
        """Whether all results are successes."""
        return all(one.outcome.status == SUCCEEDED for one in self.ended)

    def exchange(self, me: Runner, state: State, *, closing: bool, resized: bool) -> Exchange | None:
        """Record all news and claim what ``state`` has room for; None, and no change, if the store does not answer."""
        leaders = self.leaders.due()
        later: list[Ended] = []
        try:
            if pacing.hurries(state):
                judged = self._judge.judge_at_once(self.ended)
            else:
                judged, later = self._judge.judge(self.ended)
            self.ended = [*judged, *later]  # so that nothing is judged again after a busy store
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
                resized=resized,
                leaders=leaders,
                over=self.leaders.finished(judged),
                rooms=self._executor.rooms,
            )
        except BatchqError as error:
            self.outage.meet(error)
            return None
        self.outage.end()
        self.ended, self.begun, self.printed = later, {}, {}
        self.is_urgent, self.is_unfinished = False, done.is_unfinished
        self.logbook.recorded()
        self.leaders.recorded(leaders)
        self.leaders.forget(judged)
        for late in done.refused:
            note(f"job {late.claim.id}: attempt {late.claim.attempt} ended too late: it had already been taken back")
        return done

    def checkpoint(self) -> None:
        """Keep the store's log short; warn once if a long-running reader prevents it."""
        done = checkpoints.checkpoint_if_due(self._store)
        if done is not None and done.is_stuck and not self._is_log_stuck:
            self._is_log_stuck = True
            size = f"{done.log_bytes >> 20} MiB"
            note(f"the log of {self._store.path} grows ({size}): a program keeps the store open for reading")
