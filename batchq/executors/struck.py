"""A stop that strikes the jobs as well as the run: a service manager, a reboot or ``pkill`` signals all processes at once.

A job that dies of that signal is interrupted and requeued; it has not failed. It may die before the run receives the stop,
so an end that looks like that waits for a moment. A job with a handler for the signal may end in any way, even with exit
code 0 after half of its work. If the signal went to all, nobody can tell, so it counts as interrupted. So does any attempt
that ends within a moment, because programs remove their handlers when they end.

The signal may also reach a job first and kill a command in a script that continues without it. So an end waits for a small
part of the time that its attempt took, and counts as interrupted if the stop comes meanwhile. A site, which Slurm stops in
this way, does not wait for that: a slot would be empty meanwhile.
"""

import math
import time
from collections.abc import Iterable

from batchq.executors.seam import Executor
from batchq.jobs.attempt import CRASHED, FAILED, INTERRUPTED, SUCCEEDED, Ended, Outcome
from batchq.named import NamedTuple
from batchq.processes.signals import SAME, STOPPING, Inbox

PART = 0.01  #: of the time of an attempt that its end waits: about that share is repeated needlessly
LEAST, MOST = 0.02, 0.05  #: seconds that it waits, like results that wait for others
BRIEF = 0.2  #: shorter attempts do not wait: for them waiting would cost the most


def dies_of(outcome: Outcome, numbers: Iterable[int]) -> bool:
    """Whether an attempt ended by itself in the way that one of these signals would end it."""
    if outcome.status not in (FAILED, CRASHED) or outcome.is_final:
        return False
    return any(outcome.signal == number or outcome.exit_code == 128 + number for number in numbers)


class Held(NamedTuple):
    """An end that waits ``until`` then; a stop of all before ``new_until`` reached it, too (monotonic seconds)."""

    ended: Ended
    new_until: float
    until: float

    def is_new(self, now: float) -> bool:
        """Whether a stop now counts for it. If it waits only for that, it does, even if a busy machine is late."""
        return now < self.new_until or self.until == self.new_until


class Struck:
    """``numbers`` are the signals that stop the run, or the site. With ``delays`` every end waits if it may be new."""

    def __init__(self, executor: Executor, inbox: Inbox, *, delays: bool = True) -> None:
        self.numbers: set[int] = set()
        self._delays = delays
        self._inbox = inbox
        self._executor = executor
        self._reached: set[str] = set()
        self._for_all: set[int] = set()  # sent to all processes a moment ago
        self._look_at = 0.0
        self._held: list[Held] = []

    def check_signals(self) -> None:
        """Note which attempts, running or just ended, were also reached by signals sent to all processes."""
        if not self._for_all and not self._inbox.for_all:
            return
        now = time.monotonic()
        if self._inbox.for_all:
            self._for_all, self._inbox.for_all = self._for_all | self._inbox.for_all, set()
            self._look_at = now + SAME
            self._reached |= {one.ended.claim.token for one in self._held if one.is_new(now)}
            self._look()
        elif now >= self._look_at:
            self._look()  # again: the kernel does not show a process that is just taking the signal
            self._for_all = set()

    def _look(self) -> None:
        for number in self._for_all:
            self._reached |= self._executor.listening(number)

    def judge(self, ended: Ended) -> Ended | None:
        """The end of an attempt as it counts; None while that is open: then ``resolved`` returns it later."""
        claim, outcome = ended
        is_for_all = bool(self._for_all or self._inbox.for_all)
        if not is_for_all and not self._reached and outcome.status == SUCCEEDED and outcome.seconds < BRIEF:
            return ended  # the fast path: nearly all end like this
        if is_for_all:
            self._reached.add(claim.token)
        now = time.monotonic()
        is_doubtful = claim.token in self._reached or dies_of(outcome, STOPPING)
        if is_doubtful and self.numbers:
            return self._in_a_stop(ended)
        new_until = now + _newness(ended) * self._delays
        if not is_doubtful and new_until == now:
            return ended
        self._held.append(Held(ended, new_until, now + SAME if is_doubtful else new_until))
        return None

    def resolved(self) -> list[Ended]:
        """The ends that have been decided by now."""
        if not self._held or self._inbox.for_all:
            return []
        now = time.monotonic()
        decided = [one for one in self._held if self._due(one) <= now]
        self._held = [one for one in self._held if self._due(one) > now]
        return [self._in_a_stop(one.ended) for one in decided]

    def is_any_held(self) -> bool:
        """Whether the end of some attempt is still open."""
        return bool(self._held)

    def next_at(self) -> float:
        """When there is something to do, in monotonic seconds."""
        look_at = self._look_at if self._for_all else math.inf
        return min([look_at, *map(self._due, self._held)]) if self._held else look_at

    def _due(self, one: Held) -> float:
        if not self.numbers:
            return one.until
        return (
            0.0 if one.ended.claim.token in self._reached else one.new_until
        )  # the signal may not have reached all yet

    def _in_a_stop(self, ended: Ended) -> Ended:
        claim, outcome = ended
        may_be_half_done = claim.token in self._reached and _is_its_own(outcome)
        self._reached.discard(claim.token)
        if may_be_half_done or dies_of(outcome, self.numbers):
            return Ended(claim, outcome._replace(status=INTERRUPTED, result=None, failure=None))
        return ended


def _is_its_own(outcome: Outcome) -> bool:
    """Whether an attempt ended by itself, in a way that a signal could have changed."""
    return outcome.status in (SUCCEEDED, FAILED, CRASHED) and not outcome.is_final


def _newness(ended: Ended) -> float:
    """For how many seconds an end is new; zero for a job that runs at most once, whose end is recorded at once."""
    claim, outcome = ended
    if outcome.seconds < BRIEF or claim.on_crash == "hold" or not _is_its_own(outcome):
        return 0.0
    return max(LEAST, min(MOST, PART * outcome.seconds))
