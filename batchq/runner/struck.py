"""A stop that strikes the jobs as well as the run: a service manager, a reboot or ``pkill`` signals all processes at once.

A job that dies of that very signal is interrupted and given back, and has not failed. It may die before the run hears of
the stop, so an end that looks like that waits for a moment. And a job that has a handler for the signal may end in any way,
with exit code 0 when half of its work is done: if the signal went to all, nobody can tell, so it counts as interrupted.
So does what ends within a moment, for handlers are put away when a program ends.

Nor can anybody tell where the signal came to a job first, and ended a command in a script that went on without it. So
an end waits for a small part of the time that its attempt took, and is in doubt where the stop comes meanwhile.
"""

import math
import time
from collections.abc import Iterable

from batchq.executors.seam import Executor
from batchq.jobs.attempt import CRASHED, FAILED, INTERRUPTED, SUCCEEDED, Ended, Outcome
from batchq.named import NamedTuple
from batchq.processes.signals import SAME, STOPPING, Inbox

PART = 0.01  #: of the time that an attempt took for which its end waits: about so much is repeated by chance
LEAST, MOST = 0.02, 0.05  #: seconds that it waits, as for the company of others
BRIEF = 0.2  #: seconds of an attempt whose end waits for nothing: very short ones are the dear ones


def dies_of(outcome: Outcome, numbers: Iterable[int]) -> bool:
    """Whether an attempt ended by itself as one does that got one of these signals."""
    if outcome.status not in (FAILED, CRASHED) or outcome.is_final:
        return False
    return any(outcome.signal == number or outcome.exit_code == 128 + number for number in numbers)


class Held(NamedTuple):
    """An end that waits. While it is ``new`` a stop that went to all came to it, too (both in monotonic seconds)."""

    ended: Ended
    new_until: float
    until: float

    def is_new(self, now: float) -> bool:
        """Also where a busy machine lets the run hear too late: what waits for no more than that is there until then."""
        return now < self.new_until or self.until == self.new_until


class Struck:
    """``numbers`` are the signals that stop the run."""

    def __init__(self, executor: Executor, inbox: Inbox) -> None:
        self.numbers: set[int] = set()
        self._inbox = inbox
        self._executor = executor
        self._told: set[str] = set()
        self._for_all: set[int] = set()  # which came to all a moment ago
        self._look_at = 0.0
        self._held: list[Held] = []

    def hear(self) -> None:
        """What runs now, or has just ended, has got the signals, too, that came straight to this process."""
        if not self._for_all and not self._inbox.for_all:
            return
        now = time.monotonic()
        if self._inbox.for_all:
            self._for_all, self._inbox.for_all = self._for_all | self._inbox.for_all, set()
            self._look_at = now + SAME
            self._told |= {one.ended.claim.token for one in self._held if one.is_new(now)}
            self._look()
        elif now >= self._look_at:
            self._look()  # once more: who was just waiting for the signal does not seem to, for the kernel
            self._for_all = set()

    def _look(self) -> None:
        for number in self._for_all:
            self._told |= self._executor.listening(number)

    def judge(self, ended: Ended) -> Ended | None:
        """How an attempt ended in truth; None as long as that cannot be told: ``resolved`` will have it."""
        claim, outcome = ended
        is_for_all = bool(self._for_all or self._inbox.for_all)
        if not is_for_all and not self._told and outcome.status == SUCCEEDED and outcome.seconds < BRIEF:
            return ended  # as nearly all do, so nothing more is asked of them
        if is_for_all:
            self._told.add(claim.token)
        now = time.monotonic()
        is_doubtful = claim.token in self._told or dies_of(outcome, STOPPING)
        if is_doubtful and self.numbers:
            return self._in_a_stop(ended)
        new_until = now + _newness(ended)
        if not is_doubtful and new_until == now:
            return ended
        self._held.append(Held(ended, new_until, now + SAME if is_doubtful else new_until))
        return None

    def resolved(self) -> list[Ended]:
        """Those of which it can be told by now."""
        if not self._held or self._inbox.for_all:
            return []
        now = time.monotonic()
        over = [one for one in self._held if self._due(one) <= now]
        self._held = [one for one in self._held if self._due(one) > now]
        return [self._in_a_stop(one.ended) for one in over]

    def is_any_held(self) -> bool:
        """Whether an attempt has ended of which it cannot be told how."""
        return bool(self._held)

    def next_at(self) -> float:
        """When there is something to do, in monotonic seconds."""
        look_at = self._look_at if self._for_all else math.inf
        return min([look_at, *map(self._due, self._held)]) if self._held else look_at

    def _due(self, one: Held) -> float:
        if not self.numbers:
            return one.until
        return 0.0 if one.ended.claim.token in self._told else one.new_until  # it may not have come from all sides yet

    def _in_a_stop(self, ended: Ended) -> Ended:
        claim, outcome = ended
        may_be_half_done = claim.token in self._told and _is_its_own(outcome)
        self._told.discard(claim.token)
        if may_be_half_done or dies_of(outcome, self.numbers):
            return Ended(claim, outcome._replace(status=INTERRUPTED, result=None, failure=None))
        return ended


def _is_its_own(outcome: Outcome) -> bool:
    """Whether an attempt came to its end by itself, in a way that could have been another one but for a signal."""
    return outcome.status in (SUCCEEDED, FAILED, CRASHED) and not outcome.is_final


def _newness(ended: Ended) -> float:
    """For how many seconds an end is new; that of a job that runs at most once is recorded at once instead."""
    claim, outcome = ended
    if outcome.seconds < BRIEF or claim.on_crash == "hold" or not _is_its_own(outcome):
        return 0.0
    return max(LEAST, min(MOST, PART * outcome.seconds))
