"""Attempts whose own process has ended: each lingers until nothing is alive that it left and that can be ended."""

import math

from batchq.executors.command import Command
from batchq.executors.leftovers import Leftovers, LiveProcesses
from batchq.jobs.attempt import Claim, Ended
from batchq.named import NamedTuple
from batchq.processes.capture import Output
from batchq.processes.kept import Kept


class Lingering(NamedTuple):
    """An attempt whose process has been reaped: a ``command``, or the last task of a worker, which ``ended`` so."""

    claim: Claim
    out: Output
    err: Output
    command: Command | None
    ended: Ended | None


class Cleared(NamedTuple):
    """An attempt of which nothing is left: how many processes had to be ended, and what is said of those that live on."""

    attempt: Lingering
    leftovers: int
    outliving: list[str]


class Aftermath:
    """What ended attempts left. ``kept`` is what stays of it."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._leftovers = Leftovers(kept)
        self._lingering: dict[int, Lingering] = {}

    def used(self) -> int:
        """Count the slots that lingering attempts hold."""
        return sum(one.claim.slots for one in self._lingering.values()) if self._lingering else 0

    def sweep(self, ended: dict[int, Lingering], live: LiveProcesses) -> list[Cleared]:
        """See to what these attempts left (by the process that has ended), and those that linger; which of all are over."""
        for pid, one in ended.items():
            if one.command is not None and one.claim.leftovers == "keep":
                self._kept.keep(one.claim.token, pid)
        self._lingering |= ended
        left = self._leftovers.sweep(self._tokens(), live)
        over = [pid for pid in self._lingering if pid not in left]
        return [Cleared(self._lingering.pop(pid), *self._leftovers.summary(pid)) for pid in over]

    def has_left(self, pid: int, live: LiveProcesses) -> bool:
        """See to what a worker left that had no task; whether that is still alive."""
        return pid in self._leftovers.sweep(self._tokens() | {pid: ""}, live)

    def hurry(self, tokens: set[str]) -> None:
        """Give what these attempts left no more time to end by itself."""
        for pid, one in self._lingering.items():
            if one.claim.token in tokens:
                self._leftovers.hurry(pid)

    def give_up(self, pid: int) -> None:
        """Leave alone a process that SIGKILL does not end."""
        self._leftovers.unkillable.add(pid)

    def due(self) -> float:
        """When (monotonic seconds) to sweep again."""
        at = self._leftovers.next_at()
        return at if at is not None else 0.0 if self._lingering else math.inf

    def may_print(self) -> bool:
        """Whether a process that lives on may hold the output of an attempt that is over."""
        return bool(self._leftovers.unkillable) or self._leftovers.are_hidden

    def stays(self, pid: int) -> bool:
        """Whether a process was left on purpose."""
        return self._kept.has(pid)

    def _tokens(self) -> dict[int, str]:
        return {pid: one.claim.token for pid, one in self._lingering.items()}
