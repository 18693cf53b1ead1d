"""The workers of a cluster, with the claims that each has: where the next claim goes, and what the end of a worker means.

Decisions only: nothing here speaks with the cluster.
"""

import math
from collections import deque
from collections.abc import Iterable

from batchq.jobs import vacancy
from batchq.jobs.attempt import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AT_HAND = 0.1  #: seconds of work that wait at a worker, so that it never waits for the run
MOST_AHEAD = 16  #: claims for each thread of a worker that wait there at most
SETTLE = 0.1  #: seconds after the end of a worker in which results that are on their way still count
SILENT = 3.0  #: seconds without an answer after which a worker that leaves may only be stalled
TO_END = 2.0  #: seconds that a site may take to end its jobs after its lease


class Flight:
    """One claim at a worker."""

    def __init__(self, claim: Claim, worker: "Worker") -> None:
        self.claim = claim
        self.worker = worker
        self.future: Any = None
        self.has_begun = claim.started_at is not None


class Worker:
    """One worker: its threads are its slots. ``is_asked`` for news while no answer has come. ``is_held_up`` since claims
    waited there for too long, until one of its jobs ends: none wait there meanwhile.

    ``name`` is what Dask calls it, by default its address; ``machine`` and ``process`` are known when it has answered, and
    ``host`` is where its attempts run, named when it gets the first.
    """

    def __init__(self, address: str, threads: int, name: str) -> None:
        self.address = address
        self.threads = threads
        self.name = name
        self.machine = self.process = self.host = ""
        self.flights: dict[str, Flight] = {}
        self.is_asked = self.is_held_up = False
        self._spoken_at = 0.0
        self._silent_since: float | None = None

    def used(self) -> int:
        """Count the threads that its claims take."""
        return sum(flight.claim.slots for flight in self.flights.values())

    def capacity(self, depth: float) -> float:
        """Return how many claims of one slot it may have, if each thread may have ``depth``."""
        return self.threads * (1.0 if self.is_held_up else depth)

    def speak(self, now: float, *, asks: bool = False) -> None:
        """Note that it is sent something, which is a sign of life for its site; ``asks`` if it has to answer."""
        self._spoken_at = now
        if asks:
            self.is_asked = True
            if self._silent_since is None:
                self._silent_since = now

    def hear(self, *, is_alive: bool) -> None:
        """Note that the question was answered, or by somebody else: it ``is_alive`` no longer, or cannot be reached."""
        self.is_asked = False
        if is_alive:
            self._silent_since = None

    def over_at(self, now: float, lease: float) -> float:
        """Return when surely nothing of a worker that leaves the cluster at ``now`` runs any more.

        The jobs of a process that has ended are killed at once. A stalled process (SIGSTOP, a machine that hangs) leaves
        the cluster, too, and its site works on until its lease ends, which began with the last sign of life from here.
        """
        if self._silent_since is None or now - self._silent_since < SILENT:
            return now + SETTLE
        return max(now + SETTLE, self._spoken_at + lease + TO_END)


class Workers:
    """All workers by address. ``strangers`` have not been found fit yet; ``unfit`` are those with another batchq."""

    def __init__(self) -> None:
        self.fit: dict[str, Worker] = {}
        self.strangers: dict[str, Worker] = {}
        self.flights: dict[str, Flight] = {}
        self._unfit: dict[str, str] = {}
        self._pace: float | None = None
        self._waiting: set[str] = set()

    # --- room ----------------------------------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """The threads of all workers."""
        return sum(one.threads for one in self.fit.values())

    @property
    def widest(self) -> int:
        """The threads of the largest worker."""
        return max([1, *(one.threads for one in self.fit.values())])

    def used(self) -> int:
        """Count the threads that all claims at workers take."""
        return sum(one.used() for one in self.fit.values())

    def rooms(self) -> list[int]:
        """The free threads of each worker."""
        return [one.threads - one.used() for one in self.fit.values()]

    def ahead(self, waiting: int) -> int:
        """Count the claims that the workers would take in advance: of short jobs, next to those that are ``waiting``."""
        if self._pace is None or not self.fit:
            return 0
        depth = self._depth()
        wanted = int(sum(one.capacity(depth) - one.threads for one in self.fit.values()))
        return wanted - waiting if waiting <= wanted // 2 else 0

    def learn(self, seconds: float) -> None:
        """Learn how long jobs take from one more of them."""
        self._pace = seconds if self._pace is None else max(seconds, 0.7 * self._pace + 0.3 * seconds)

    def place(self, backlog: deque[Claim]) -> dict[str, list[Flight]]:
        """Take what there is room for from the backlog; return the new flights by the address of their worker.

        Wide claims come first, in the way in which the ``rooms`` were counted for them: others find room anywhere.
        """
        parcels: dict[str, list[Flight]] = {}
        workers, rooms = [*self.fit.values()], self.rooms()
        for claim in [one for one in backlog if one.slots > 1]:
            if (number := vacancy.take(rooms, claim.slots)) is not None:
                backlog.remove(claim)
                self._board(claim, workers[number], parcels)
        depth = self._depth()
        while backlog and backlog[0].slots == 1 and (worker := roomiest(workers, depth)) is not None:
            self._board(backlog.popleft(), worker, parcels)
        return parcels

    def _board(self, claim: Claim, worker: Worker, parcels: dict[str, list[Flight]]) -> None:
        flight = Flight(claim, worker)
        worker.host = worker.host or host_of(worker, self.fit.values())
        self.flights[claim.token] = worker.flights[claim.token] = flight
        parcels.setdefault(worker.address, []).append(flight)

    def late(self) -> dict[str, list[str]]:
        """Return the claims that have waited since the last call while now a worker is idle, by the address of theirs.

        These workers are held up: otherwise half of what comes back would be sent there again.
        """
        before, self._waiting = self._waiting, {token for token, one in self.flights.items() if not one.has_begun}
        found: dict[str, list[str]] = {}
        if any(worker.used() < worker.threads for worker in self.fit.values()):
            for token in sorted(before & self._waiting):
                worker = self.flights[token].worker
                worker.is_held_up = True
                found.setdefault(worker.address, []).append(token)
        return found

    def forget(self, flight: Flight) -> None:
        """Forget a claim that has come back."""
        self.flights.pop(flight.claim.token, None)
        flight.worker.flights.pop(flight.claim.token, None)
        if flight.has_begun:
            flight.worker.is_held_up = False

    def _depth(self) -> float:
        """Return how many claims of one slot each thread may have."""
        return 1.0 if self._pace is None else 1 + min(MOST_AHEAD, AT_HAND / max(self._pace, 1e-6))

    # --- come and go ---------------------------------------------------------------------------------------------------

    def find(self, found: "dict[str, Any]") -> tuple[list[str], list[Worker]]:
        """Compare with those that the scheduler knows; return the addresses of new ones, and those that are gone."""
        self.strangers = {address: one for address, one in self.strangers.items() if address in found}
        new = [address for address in found if address not in self.fit and address not in self.strangers]
        for address in new:
            self.strangers[address] = Worker(address, found[address]["nthreads"], str(found[address]["name"]))
        return new, [one for one in self.fit.values() if one.address not in found]

    def admit(self, address: str, process: str | None) -> None:
        """Let a stranger have claims that was met in this process; one that did not answer is met anew at the next look."""
        if (worker := self.strangers.pop(address, None)) is not None and process is not None:
            worker.process = process
            self.fit[address] = worker

    def reject(self, address: str, version: "Any", mine: str) -> str | None:
        """Note that a stranger has another batchq than ``mine``, or none; return why no worker at all can be used."""
        self._unfit[address] = f"batchq {version}" if isinstance(version, str) else "no batchq"
        if self.fit or not self.strangers.keys() <= self._unfit.keys():
            return None
        return f"no worker of the cluster has batchq {mine}: {address} has {self._unfit[address]}"

    def lose(self, worker: Worker) -> bool:
        """Note that a worker is gone; False if that is known."""
        if self.fit.get(worker.address) is not worker:
            return False
        del self.fit[worker.address]
        return True


class Dying:
    """Workers that are gone, each until its claims can be settled."""

    def __init__(self) -> None:
        self._workers: list[tuple[float, Worker, bool]] = []

    def add(self, worker: Worker, at: float, *, is_expected: bool) -> None:
        """Keep a worker until ``at``; ``is_expected`` if somebody took it from the cluster."""
        self._workers.append((at, worker, is_expected))

    def first(self) -> float:
        """Return when the next one is due."""
        return min((at for at, _, _ in self._workers), default=math.inf)

    def due(self, now: float = math.inf) -> "list[tuple[Worker, bool]]":
        """Return those that are due, and whether that was expected; without ``now`` all."""
        due = [(worker, is_expected) for at, worker, is_expected in self._workers if at <= now]
        self._workers = [one for one in self._workers if one[0] > now]
        return due


def host_of(worker: Worker, workers: Iterable[Worker]) -> str:
    """Name where attempts run: the machine, and which worker there unless it is the only one of that machine."""
    if all(one is worker or one.machine != worker.machine for one in workers):
        return worker.machine
    port = worker.address.rpartition(":")[2]
    return f"{worker.machine}:{port}" if worker.name == worker.address else f"{worker.machine}/{worker.name}"


def roomiest(workers: Iterable[Worker], depth: float) -> Worker | None:
    """Find the worker with the smallest load that has room for a claim of one slot, which may wait there."""
    best, least = None, math.inf
    for worker in workers:
        used = worker.used()
        if used + 1 <= worker.capacity(depth) and used / worker.threads < least:
            best, least = worker, used / worker.threads
    return best
