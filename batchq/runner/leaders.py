"""The first processes of attempts, recorded so that a rescue also finds processes that hide their environment; of attempts
elsewhere the host, so that their ends name it even if this run dies.

A process that overwrites its title, or starts with an empty environment, cannot be recognized by its variables. Jobs that
end at once are not recorded: that would cost more than it is worth.
"""

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence

from batchq.executors.seam import Executor
from batchq.jobs.attempt import Claim, Ended, Leader
from batchq.processes import proc

YOUTH = 0.03  #: seconds that a job must have run to be recorded
AFAR = 0.5  #: seconds until the host of a job elsewhere may be known


class Leaders:
    """The leaders of one run; ``running`` has its claims by token."""

    def __init__(self, executor: Executor, running: Mapping[str, Claim]) -> None:
        self._executor = executor
        self._running = running
        self._young: deque[tuple[float, str]] = deque()
        self._recorded: set[str] = set()

    def begins(self, claim: Claim) -> None:
        """Add an attempt that has started."""
        self._young.append((time.monotonic() + YOUTH, claim.token))

    def next_at(self) -> float:
        """When there is something to record, in monotonic seconds."""
        while self._young and self._young[0][1] not in self._running:
            self._young.popleft()
        return self._young[0][0] if self._young else math.inf

    def due(self) -> list[Leader]:
        """The processes to record now, repeated until ``recorded`` confirms them."""
        now = time.monotonic()
        if self.next_at() > now:
            return []
        known = self._executor.whereabouts()
        found = []
        for at, token in self._young:
            if at <= now and token in self._running and token in known:
                where = known[token]
                process = (where, proc.started_ticks(where)) if isinstance(where, int) else (None, None, where)
                found.append(Leader(self._running[token], *process))
        return found

    def recorded(self, leaders: Sequence[Leader]) -> None:
        """Confirm that the ledger has these; others that were due wait for their next turn."""
        known = {one.claim.token for one in leaders}
        self._recorded |= known
        now = time.monotonic()
        while self._young and self._young[0][0] <= now:
            _, token = self._young.popleft()
            if token not in known and token in self._running:
                self._young.append((now + (YOUTH if self._executor.lease is None else AFAR), token))

    def finished(self, ended: Sequence[Ended]) -> list[Claim]:
        """The attempts among these that have a recorded process."""
        return [claim for claim, _ in ended if claim.token in self._recorded] if self._recorded else []

    def forget(self, ended: Sequence[Ended]) -> None:
        """Forget attempts whose end the ledger has."""
        if self._recorded:
            self._recorded.difference_update(claim.token for claim, _ in ended)
