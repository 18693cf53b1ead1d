"""What all executors share whose jobs run elsewhere: a backlog, the wait for reports, and no process on this machine."""

import math
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence

from batchq.executors.seam import Lost, Report
from batchq.jobs.attempt import Claim
from batchq.processes.signals import Inbox


class Elsewhere:
    """``_fill`` sends what there is room for; ``_step`` waits for one event and adds to ``_reports``.

    It ``is_sure`` that nothing of an earlier client of the same run is at work any more.
    """

    is_sure = True

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._backlog: deque[Claim] = deque()
        self._reports: list[Report] = []

    @property
    def widest(self) -> int:
        """How many slots a job can have at most."""
        raise NotImplementedError

    @property
    def hoped(self) -> int:
        """What that may become again."""
        return self.widest

    def prepare(self) -> None:
        """Do nothing: the places get ready by themselves."""

    def free(self) -> int:
        """Count the claims that would start at once."""
        raise NotImplementedError

    def rooms(self) -> list[int] | None:
        """Return how many slots are free at each place; None: all are at one."""
        return None

    def ahead(self) -> int:
        """Count the claims that would be taken in advance."""
        raise NotImplementedError

    def start(self, claims: Sequence[Claim]) -> None:
        """Send the claims for which there is room; the rest waits here, except what no place can have."""
        self._backlog += claims
        self._send()

    def poll(self, timeout: float | None, gather: float = 0.0) -> list[Report]:
        """Wait for reports."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not self._reports and not self._is_awaited():
            self._step(until)
            if time.monotonic() >= until:
                break
        until = min(until, time.monotonic() + gather)
        while time.monotonic() < until and self._reports and self._is_full() and not self._is_awaited():
            self._step(until)
        reports, self._reports = self._reports, []
        return reports

    def whereabouts(self) -> Mapping[str, str]:
        """Map the token of each attempt that runs now to its host, as far as that is known."""
        raise NotImplementedError

    def listening(self, number: int) -> set[str]:
        """Return nothing: a signal to all processes here reaches no job."""
        return set()

    def _is_full(self) -> bool:
        return not self.free() and not self.ahead()

    def _is_awaited(self) -> bool:
        """Whether the caller must have its turn: a signal, or something to read on the descriptor that it watches."""
        return bool(self._inbox.received) or self._inbox.was_notified

    def _requeue(self, chosen: Collection[str]) -> None:
        """Return those claims that still wait here."""
        self._reports += [Lost(claim, started=False) for claim in self._backlog if claim.token in chosen]
        self._backlog = deque(claim for claim in self._backlog if claim.token not in chosen)

    def _wide(self) -> list[Claim]:
        """Return the claims of several slots that wait here, in their order."""
        return [claim for claim in self._backlog if claim.slots > 1]

    def _send(self) -> None:
        """Send what there is room for; return what no place can have any more: it would keep all others waiting."""
        self._requeue({claim.token for claim in self._backlog if claim.slots > max(1, self.widest)})
        self._fill()

    def _fill(self) -> None:
        raise NotImplementedError

    def _step(self, until: float) -> None:
        raise NotImplementedError
