"""What a pool has been given and has not begun, while it runs nothing: people are told what their run waits for.

A ``Future`` does not say whether anybody is there to run it: a pool whose workers have died looks like one whose workers
wait in the queue of a cluster. So nothing is decided here but when to say it.
"""

import math
from collections.abc import Collection

from batchq.executors.afar.futures.flights import Flight
from batchq.executors.afar.wording import jobs
from batchq.executors.seam import Noted

SILENT = 30.0  #: seconds after which it is said; then doubled: the queue of a cluster may take days


class Silence:
    """How long a pool has run nothing of what it has."""

    def __init__(self) -> None:
        self._since = math.inf
        self._times = 1
        self._was_told = False

    def end(self) -> None:
        """Note that something has come back."""
        self._since = math.inf
        self._was_told = False

    def last(self, flights: Collection[Flight], now: float) -> list[Noted]:
        """Say, once, that it lasts; it ends when a worker has begun one of them."""
        if not flights or any(flight.is_at_work for flight in flights):
            self.end()
            return []
        self._since = min(self._since, now)
        if self._was_told or now < self._since + SILENT * self._times:
            return []
        self._was_told, self._times = True, self._times * 2
        ago = f"{now - self._since:.0f} s ago"
        return [
            Noted(f"the pool has not begun {jobs(len(flights))} that it got {ago}, and runs no other: waiting for it")
        ]
