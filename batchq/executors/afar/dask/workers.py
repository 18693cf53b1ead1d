"""The workers of a cluster, with the claims that each has."""

import math
from collections.abc import Iterable

from batchq.jobs.attempt import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Flight:
    """One claim at a worker."""

    def __init__(self, claim: Claim, worker: "Worker") -> None:
        self.claim = claim
        self.worker = worker
        self.future: Any = None
        self.has_begun = claim.started_at is not None


class Worker:
    """One worker: its threads are its slots."""

    def __init__(self, address: str, threads: int) -> None:
        self.address = address
        self.threads = threads
        self.flights: dict[str, Flight] = {}
        self.is_asked = False  # for news, without an answer yet

    def used(self) -> int:
        """Count the threads that its claims take."""
        return sum(flight.claim.slots for flight in self.flights.values())


def roomiest(workers: Iterable[Worker], claim: Claim, depth: float) -> Worker | None:
    """Find the worker with the smallest load that has room for a claim: only claims of one slot wait at workers."""
    best, least = None, math.inf
    for worker in workers:
        used = worker.used()
        room = worker.threads * depth if claim.slots == 1 else worker.threads
        if used + claim.slots <= room and used / worker.threads < least:
            best, least = worker, used / worker.threads
    return best
