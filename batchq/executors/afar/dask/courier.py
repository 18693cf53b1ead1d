"""Brings claims to the workers of a cluster, and takes back what nobody waits for any more."""

import json
import time
from collections import deque
from collections.abc import Sequence

from batchq.executors.afar import protocol
from batchq.executors.afar.dask.cluster import Cluster
from batchq.executors.afar.dask.workers import Flight, Workers
from batchq.jobs.attempt import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Courier:
    """Between ``workers``, where it is decided which has what, and ``cluster``. The sites at the workers get ``setup``."""

    def __init__(self, cluster: Cluster, workers: Workers, setup: "dict[str, Any]") -> None:
        self._cluster = cluster
        self._workers = workers
        self._head = json.dumps(setup | {"folder": None})

    def send(self, backlog: deque[Claim]) -> list[Claim]:
        """Send what there is room for; return the claims that could not be sent, because the scheduler is gone."""
        unsent: list[Claim] = []
        for address, flights in self._workers.place(backlog).items():
            worker = flights[0].worker
            worker.speak(time.monotonic())
            chosen = json.dumps(worker.process)
            invocations = [f"[{self._head},{json.dumps(protocol.packed(one.claim))},{chosen}]" for one in flights]
            try:
                futures = self._cluster.submit(address, [one.claim.token for one in flights], invocations)
            except Exception:  # nothing of it was sent
                for one in flights:
                    self.forget(one)
                unsent += [one.claim for one in flights]
                continue
            for one, future in zip(flights, futures, strict=True):
                one.future = future
        return unsent

    def withdraw(self, flights: Sequence[Flight]) -> None:
        """Have no worker run these, not even again: so their tasks are withdrawn."""
        self._cluster.withdraw([one.future for one in flights if one.future is not None])
        for one in flights:
            self.forget(one)

    def forget(self, flight: Flight) -> None:
        """Forget a claim that has come back."""
        self._workers.forget(flight)
        if flight.future is not None:
            flight.future.release()
            flight.future = None
