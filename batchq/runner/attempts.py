"""The attempts of a run, from claim to end: what the executor reports is passed on to the parts that need it."""

import time
from collections.abc import Sequence

from batchq.executors.seam import Executor, Lost, Noted, Report, Started
from batchq.jobs.attempt import Claim, Ended, Logged, Printed
from batchq.notes import note
from batchq.runner.books import Books
from batchq.runner.stopping import Stopping
from batchq.runner.struck import Struck
from batchq.runner.tally import Plan, Tally
from batchq.runner.telling import Teller
from batchq.runner.withdrawing import Withdrawing


class Attempts:
    """``running`` are the claims that have not ended, by token; none has been running since ``idle_since``."""

    def __init__(
        self,
        executor: Executor,
        plan: Plan,
        tally: Tally,
        teller: Teller,
        books: Books,
        stopping: Stopping,
        withdrawing: Withdrawing,
        running: dict[str, Claim],
    ) -> None:
        self.running = running
        self.idle_since = 0.0
        self._executor = executor
        self._plan = plan
        self._tally = tally
        self._teller = teller
        self._books = books
        self._stopping = stopping
        self._struck: Struck = stopping.struck
        self._withdrawing = withdrawing

    def start(self, claims: list[Claim]) -> None:
        """Hand over what was claimed."""
        for claim in claims:
            self.running[claim.token] = claim
            if claim.started_at is not None:
                self._books.noting.begins(claim)
                self._teller.job_starts(claim)
        self._tally.started += len(claims)
        if self._tally.started == self._plan.max_jobs:
            self._stopping.claim_no_more()
        self._tally.running = len(self.running)
        if claims:
            self._executor.start(claims)

    def take_in(self, reports: Sequence[Report]) -> None:
        """Pass on what the executor has reported."""
        now = time.monotonic()
        for report in reports:
            if isinstance(report, Ended):
                if (ended := self._struck.judge(report)) is not None:
                    self._end(ended, now)
            elif isinstance(report, Lost):
                self._end(Ended(report.claim, self._withdrawing.outcome(report)), now)
            elif isinstance(report, Started):
                claim = self.running[report.claim.token] = self._books.begin(report)
                self._teller.job_starts(claim)
            elif isinstance(report, Printed):
                self._books.print(report)
            elif isinstance(report, Logged):
                self._books.logbook.note(report)
            elif isinstance(report, Noted):
                note(report.text)
            else:
                self._tally.refusal = report.reason
                self._stopping.claim_no_more()
        for ended in self._struck.resolved():
            self._end(ended, since=0.0)  # it has waited for others already
        self._tally.running = len(self.running)

    def _end(self, ended: Ended, since: float) -> None:
        self.running.pop(ended.claim.token, None)
        if not self.running:
            self.idle_since = time.monotonic()
        self._books.end(ended, since)
