"""A stop that strikes the jobs as well as the run: a service manager, a reboot or ``pkill`` signals all processes at once.

A job that dies of that very signal is interrupted and given back, and has not failed. It may die before the run hears of
the stop, so an end that looks like that waits for a moment. And a job that has a handler for the signal may end in any way,
with exit code 0 when half of its work is done: if the signal went to all, nobody can tell, so it counts as interrupted.
So does what ends within a moment, for handlers are put away when a program ends.
"""

import time
from collections.abc import Iterable

from batchq.executors.seam import Executor
from batchq.jobs.attempt import CRASHED, FAILED, INTERRUPTED, SUCCEEDED, Ended, Outcome
from batchq.processes.signals import SAME, STOPPING, Inbox


def dies_of(outcome: Outcome, numbers: Iterable[int]) -> bool:
    """Whether an attempt ended by itself as one does that got one of these signals."""
    if outcome.status not in (FAILED, CRASHED) or outcome.is_final:
        return False
    return any(outcome.signal == number or outcome.exit_code == 128 + number for number in numbers)


class Struck:
    """``numbers`` are the signals that stop the run."""

    def __init__(self, executor: Executor, inbox: Inbox) -> None:
        self.numbers: set[int] = set()
        self._inbox = inbox
        self._executor = executor
        self._told: set[str] = set()
        self._all_told_until = 0.0
        self._doubtful: list[tuple[float, Ended]] = []

    def hear(self) -> None:
        """The jobs that run now have got the signals, too, that came straight to this process."""
        if self._inbox.for_all:
            self._all_told_until = time.monotonic() + SAME
            numbers, self._inbox.for_all = self._inbox.for_all, set()
            for number in numbers:
                self._told |= self._executor.listening(number)

    def judge(self, ended: Ended) -> Ended | None:
        """How an attempt ended in truth; None as long as that cannot be told: ``resolved`` will have it."""
        is_quiet = not self._told and not self._all_told_until and not self._inbox.for_all
        if is_quiet and ended.outcome.status == SUCCEEDED:
            return ended  # as nearly all do, so nothing more is asked of them
        if self._inbox.for_all or (self._all_told_until and time.monotonic() < self._all_told_until):
            self._told.add(ended.claim.token)
        if not dies_of(ended.outcome, STOPPING) and ended.claim.token not in self._told:
            return ended
        if self.numbers:
            return self._in_a_stop(ended)
        self._doubtful.append((time.monotonic() + SAME, ended))
        return None

    def resolved(self) -> list[Ended]:
        """Those of which it can be told by now."""
        if not self._doubtful:
            return []
        now = time.monotonic()
        over = [one for at, one in self._doubtful if self.numbers or at <= now]
        self._doubtful = [] if self.numbers else [(at, one) for at, one in self._doubtful if at > now]
        return [self._in_a_stop(one) for one in over]

    def next_at(self) -> float | None:
        """When the next can be told, in monotonic seconds."""
        return min((at for at, _ in self._doubtful), default=None)

    def _in_a_stop(self, ended: Ended) -> Ended:
        claim, outcome = ended
        may_be_half_done = (
            claim.token in self._told and outcome.status in (SUCCEEDED, FAILED, CRASHED) and not outcome.is_final
        )
        self._told.discard(claim.token)
        if may_be_half_done or dies_of(outcome, self.numbers):
            return Ended(claim, outcome._replace(status=INTERRUPTED, result=None, failure=None))
        return ended
