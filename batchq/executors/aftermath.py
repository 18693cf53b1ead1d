"""Attempts whose own process has ended: each lingers until all its leftovers that can be killed are gone."""

import math
from collections.abc import Sequence

from batchq.executors.command import Command
from batchq.executors.leftovers import Leftovers, LiveProcesses
from batchq.jobs.attempt import Claim, Ended
from batchq.named import NamedTuple
from batchq.processes.capture import Output
from batchq.processes.kept import Kept


class Lingering(NamedTuple):
    """An attempt whose process has been reaped: a ``command``, or the last task of a worker, with how it ``ended``.
    ``numbers`` are those of its slots."""

    claim: Claim
    output: Output
    command: Command | None
    ended: Ended | None
    numbers: Sequence[int]


class Cleared(NamedTuple):
    """An attempt without leftovers: how many processes had to be killed, and why others (``outliving``) are still alive."""

    attempt: Lingering
    leftovers: int
    outliving: list[str]


class Aftermath:
    """The leftovers of ended attempts. ``kept`` are those that stay."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._leftovers = Leftovers(kept)
        self._lingering: dict[int, Lingering] = {}

    def used(self) -> int:
        """Count the slots that lingering attempts hold."""
        return sum(one.claim.slots for one in self._lingering.values()) if self._lingering else 0

    def numbers(self) -> list[int]:
        """List the numbers of these slots."""
        return [number for one in self._lingering.values() for number in one.numbers] if self._lingering else []

    def sweep(self, ended: dict[int, Lingering], live: LiveProcesses) -> list[Cleared]:
        """Handle the leftovers of these attempts (by ended process) and of lingering ones; return those that are done."""
        for pid, one in ended.items():
            if one.command is not None and one.claim.leftovers == "keep":
                self._kept.keep(one.claim.token, pid)
        self._lingering |= ended
        left = self._leftovers.sweep(self._tokens(), live)
        cleared = [pid for pid in self._lingering if pid not in left]
        return [Cleared(self._lingering.pop(pid), *self._leftovers.summary(pid)) for pid in cleared]

    def has_left(self, pid: int, live: LiveProcesses) -> bool:
        """Handle the leftovers of a worker that had no task; return whether any is still alive."""
        return pid in self._leftovers.sweep(self._tokens() | {pid: ""}, live)

    def hurry(self, tokens: set[str]) -> None:
        """Give the leftovers of these attempts no more time to end by themselves."""
        for pid, one in self._lingering.items():
            if one.claim.token in tokens:
                self._leftovers.hurry(pid)

    def give_up(self, pid: int) -> None:
        """Ignore a process that SIGKILL does not end."""
        self._leftovers.unkillable.add(pid)

    def due(self) -> float:
        """Return when (monotonic seconds) to sweep again."""
        at = self._leftovers.next_at()
        return at if at is not None else 0.0 if self._lingering else math.inf

    def may_print(self) -> bool:
        """Whether a surviving process may hold the output of a finished attempt."""
        return bool(self._leftovers.unkillable) or self._leftovers.are_hidden

    def stays(self, pid: int) -> bool:
        """Whether a process was left on purpose."""
        return self._kept.has(pid)

    def _tokens(self) -> dict[int, str]:
        return {pid: one.claim.token for pid, one in self._lingering.items()}
