"""The first processes of attempts, as the ledger is told of them: so that a rescue finds also what hides its environment.

Whoever writes over its title, or starts with an empty environment, cannot be known by its variables. Jobs that end at once
are not told: that would cost them more than it is worth.
"""

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence

from batchq.executors.seam import Executor
from batchq.jobs.attempt import Claim, Ended, Leader
from batchq.processes import proc

YOUTH = 0.03  #: seconds that a job must have run


class Noting:
    """For one run; ``running`` are its claims by token."""

    def __init__(self, executor: Executor, running: Mapping[str, Claim]) -> None:
        self._executor = executor
        self._running = running
        self._young: deque[tuple[float, str]] = deque()
        self._noted: set[str] = set()

    def begins(self, claim: Claim) -> None:
        """An attempt has been started."""
        self._young.append((time.monotonic() + YOUTH, claim.token))

    def next_at(self) -> float:
        """When there is something to tell, in monotonic seconds."""
        while self._young and self._young[0][1] not in self._running:
            self._young.popleft()
        return self._young[0][0] if self._young else math.inf

    def leaders(self) -> list[Leader]:
        """What is to be told now: each is told again until it is ``told``."""
        now = time.monotonic()
        if self.next_at() > now:
            return []
        pids = self._executor.processes()
        found = []
        for at, token in self._young:
            if at <= now and token in self._running and token in pids:
                found.append(Leader(self._running[token], pids[token], proc.started_ticks(pids[token])))
        return found

    def told(self, leaders: Sequence[Leader]) -> None:
        """The ledger knows these; what was due and is not among them waits for its turn, and is asked for again."""
        known = {one.claim.token for one in leaders}
        self._noted |= known
        now = time.monotonic()
        while self._young and self._young[0][0] <= now:
            _, token = self._young.popleft()
            if token not in known and token in self._running:
                self._young.append((now + YOUTH, token))

    def over(self, ended: Sequence[Ended]) -> list[Claim]:
        """The attempts among these of which the ledger knows a process."""
        return [claim for claim, _ in ended if claim.token in self._noted] if self._noted else []

    def forget(self, ended: Sequence[Ended]) -> None:
        """The ledger knows that these are over."""
        if self._noted:
            self._noted.difference_update(claim.token for claim, _ in ended)
