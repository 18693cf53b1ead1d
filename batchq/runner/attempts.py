"""The attempts of a run, from claim to end: passes each report of the executor to the parts that need it."""

import time
from collections.abc import Sequence

from batchq.executors.seam import Executor, Left, Lost, Noted, Refused, Report, Started
from batchq.executors.struck import Struck
from batchq.jobs.attempt import Claim, Ended, Logged, Printed
from batchq.notes import note
from batchq.runner.books import Books
from batchq.runner.cancellations import Cancellations
from batchq.runner.emitter import Emitter
from batchq.runner.observer import Observer
from batchq.runner.stopping import Stopping
from batchq.runner.tally import Plan, Tally


class Attempts:
    """``running`` has the claims that have not ended, by token; if empty, it has been since ``idle_since``."""

    def __init__(
        self,
        executor: Executor,
        plan: Plan,
        tally: Tally,
        emitter: Emitter,
        books: Books,
        stopping: Stopping,
        cancellations: Cancellations,
        running: dict[str, Claim],
        observer: Observer,
    ) -> None:
        self.running = running
        self.idle_since = 0.0
        self._executor = executor
        self._plan = plan
        self._tally = tally
        self._emitter = emitter
        self._books = books
        self._stopping = stopping
        self._struck: Struck = stopping.struck
        self._cancellations = cancellations
        self._observer = observer

    def start(self, claims: list[Claim]) -> None:
        """Pass new claims to the executor."""
        self._observer.claimed(claims)
        for claim in claims:
            self.running[claim.token] = claim
            if claim.started_at is not None:
                self._books.leaders.begins(claim)
                self._emitter.job_starts(claim)
                self._observer.started(claim)
        self._tally.started += len(claims)
        if self._tally.started == self._plan.max_jobs:
            self._stopping.claim_no_more()
        self._tally.running = len(self.running)
        if claims:
            self._executor.start(claims)

    def take_in(self, reports: Sequence[Report]) -> None:
        """Pass on the reports of the executor."""
        now = time.monotonic()
        refusal = next((one for one in reports if isinstance(one, Refused)), self._tally.refusal)
        for report in reports:
            if isinstance(report, Ended):
                if (ended := self._struck.judge(report)) is not None:
                    self._end(ended, now)
            elif isinstance(report, Lost):
                outcome = self._cancellations.outcome(report, refusal, is_stopped=bool(self._struck.numbers))
                self._end(Ended(report.claim, outcome), now)
            elif isinstance(report, Left):
                self._leave(report.claim)
            elif isinstance(report, Started):
                claim = self.running[report.claim.token] = self._books.begin(report)
                self._emitter.job_starts(claim)
                self._observer.started(claim)
            elif isinstance(report, Printed):
                self._books.print(report)
                self._observer.printed(report)
            elif isinstance(report, Logged):
                self._books.logbook.note(report)
            elif isinstance(report, Noted):
                note(report.text)
            else:
                self._tally.refusal = report
                self._stopping.claim_no_more()
        for ended in self._struck.resolved():
            self._end(ended, since=0.0)  # it has waited long enough already
        self._tally.running = len(self.running)

    def _leave(self, claim: Claim) -> None:
        """Drop an attempt that stays marked as running, so that the next run makes sure of its end."""
        self.running.pop(claim.token, None)
        if not self.running:
            self.idle_since = time.monotonic()
        self._tally.left.append(claim.id)

    def _end(self, ended: Ended, since: float) -> None:
        self.running.pop(ended.claim.token, None)
        if not self.running:
            self.idle_since = time.monotonic()
        self._books.end(ended, since)
