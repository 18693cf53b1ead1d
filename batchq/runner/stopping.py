"""Stopping a run before everything is done: by signals, by ``--max-time``, by ``--halt``."""

import math
import signal
import time
from collections.abc import Callable, Mapping

from batchq.executors.seam import Executor
from batchq.executors.struck import Struck
from batchq.jobs.attempt import INTERRUPTED, Claim
from batchq.notes import note
from batchq.processes import tree
from batchq.processes.signals import STOPPING, Inbox
from batchq.runner.tally import Plan, Tally

TERM_TO_KILL = 1.5  #: seconds between TERM and KILL of a job that is requeued


class Stopping:
    """``at`` is when running jobs are stopped (monotonic seconds; infinite: never), None without a stop.

    A stop ``is_hurried`` if they get no grace, and ``is_unannounced`` until the ledger has that this run claims no more.
    ``running`` has the claims of the run, by token. ``struck`` knows which attempts ended by the signal that stops the run.
    ``pause`` is called before SIGTSTP stops this process.
    """

    def __init__(
        self,
        executor: Executor,
        plan: Plan,
        tally: Tally,
        running: Mapping[str, Claim],
        struck: Struck,
        pause: Callable[[], None],
    ) -> None:
        self.at: float | None = None
        self.is_hurried = False
        self.is_unannounced = False
        self.struck = struck
        self._executor = executor
        self._plan = plan
        self._tally = tally
        self._running = running
        self._pause = pause
        self._end = math.inf if plan.max_seconds is None else time.monotonic() + plan.max_seconds

    def receive(self, inbox: Inbox) -> None:
        """Act on received signals: the first stops the run in order, the second at once."""
        tally = self._tally
        while inbox.received:
            number = inbox.received.pop(0)
            if number == signal.SIGUSR1:
                done = tally.succeeded + len(tally.failed)
                note(f"{done} jobs done, {len(tally.failed)} failed, {tally.running} running")
                continue
            if number == signal.SIGTSTP:
                self._pause()
                self._executor.suspend()
                tree.stop_self()
                self._executor.resume()
                continue
            orderly = number in STOPPING and tally.signal is None
            if number in STOPPING:
                self.struck.numbers.add(number)
            if tally.signal is None:
                tally.signal = number if number in (*STOPPING, signal.SIGQUIT) else signal.SIGTERM
            self.stop(self._plan.grace if orderly else 0)
            if not orderly:
                self._executor.stop(list(self._running), INTERRUPTED, 0)
        self.struck.check_signals()

    def keep_time(self) -> None:
        """Stop a run at the end of its ``--max-time``, and jobs at the end of their grace."""
        now = time.monotonic()
        if self.at is None and now >= self._end:
            self._tally.stopped_at = "--max-time"
            self.stop(self._plan.grace)
        if self.at is not None and self._running and now >= self.at:
            self._executor.stop(list(self._running), INTERRUPTED, TERM_TO_KILL)
            self.at = now + TERM_TO_KILL

    def count_failures(self) -> None:
        """Stop when as many jobs have failed as ``--halt`` allows."""
        halt, tally = self._plan.halt, self._tally
        if halt is None or self.at is not None:
            return
        if halt.is_due(len(tally.failed), tally.succeeded + len(tally.failed)):
            tally.stopped_at = "--halt"
            self.stop(0 if halt.now else math.inf)

    def stop(self, grace: float) -> None:
        """Claim no more, requeue claims that have not started, and let the rest run for ``grace`` seconds."""
        if self.at is None:
            self.claim_no_more()
        self.is_hurried = not grace
        self.at = time.monotonic() + grace
        waiting = [token for token, claim in self._running.items() if claim.started_at is None]
        self._executor.stop(waiting, INTERRUPTED, 0)

    def claim_no_more(self) -> None:
        """Announce it with the next exchange, so that ``--if-running skip`` no longer relies on this run."""
        self.is_unannounced = True

    def next_at(self) -> float:
        """When ``keep_time`` has something to do, in monotonic seconds."""
        if self.at is None:
            return self._end
        return self.at if self._running else math.inf
