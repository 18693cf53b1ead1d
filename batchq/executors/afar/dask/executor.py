"""The executor whose jobs run at the workers of a Dask cluster.

The run itself chooses the worker of each claim. So it knows what the end of a worker costs, no setting of the scheduler
runs an attempt twice, and a worker that retires takes nothing elsewhere.
"""

import json
import math
import select
import time
from collections.abc import Iterable
from importlib import metadata

from batchq import clock
from batchq.executors.afar import protocol
from batchq.executors.afar.dask.cluster import Cluster
from batchq.executors.afar.dask.workers import Flight, Worker, roomiest
from batchq.executors.afar.elsewhere import Elsewhere
from batchq.executors.afar.unfit import in_one_line, is_of_setup
from batchq.executors.seam import Lost, Noted, Refused, Started
from batchq.jobs.attempt import INTERRUPTED, Ended, Outcome
from batchq.processes.signals import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SETTLE = 0.1  #: seconds after the end of a worker in which results that are on their way still count
AT_HAND = 0.1  #: seconds of work that wait at a worker, so that it never waits for the run
MOST_AHEAD = 16  #: claims for each thread of a worker that wait there at most
NEWS = 1.0  #: seconds between requests for the output of running jobs, which are also the sign of life for the lease
LOOK = 5.0  #: seconds between looks at which workers there are
ALONE = 10.0  #: seconds without a worker after which that is noted


class DaskExecutor(Elsewhere):
    """Runs claims at the workers of ``cluster``; a scheduler that is gone is waited for ``reconnect`` seconds."""

    name = "dask"

    def __init__(self, cluster: Cluster, inbox: Inbox, setup: "dict[str, Any]", reconnect: float) -> None:
        self.lease: float | None = setup["lease"]
        self._cluster = cluster
        super().__init__(inbox)
        self._head = json.dumps(setup | {"folder": None})
        self._reconnect = reconnect
        self._workers: dict[str, Worker] = {}
        self._strangers: dict[str, int] = {}  # threads of workers that have not been found fit yet
        self._unfit: dict[str, str] = {}
        self._flights: dict[str, Flight] = {}
        self._dying: list[tuple[float, Worker, bool]] = []
        self._pace: float | None = None
        self._adrift_since: float | None = None
        self._is_over = False
        self._look_at = self._news_at = 0.0
        self._alone_at = time.monotonic() + ALONE
        self._poller = select.poll()
        for one in (cluster.fileno(), inbox.fileno()):
            self._poller.register(one, select.POLLIN)
        until = time.monotonic() + 2.0
        while time.monotonic() < until and not self._reports and not inbox.received:
            self._step(until)
            if self._workers and not self._strangers:
                break

    @property
    def slots(self) -> int:
        """The threads of all workers, at least 1."""
        return max(1, sum(one.threads for one in self._workers.values()))

    @property
    def widest(self) -> int:
        """The threads of the largest worker."""
        return max([1, *(one.threads for one in self._workers.values())])

    def free(self) -> int:
        """Count the claims that would start at once."""
        if self._adrift_since is not None or not self._workers:
            return 0
        return max(0, self.slots - self._used())

    def ahead(self) -> int:
        """Count the claims that the workers would take in advance: of short jobs."""
        if self._pace is None or self._adrift_since is not None or not self._workers:
            return 0
        wanted = min(MOST_AHEAD * self.slots, int(self.slots * AT_HAND / max(self._pace, 1e-6)))
        waiting = max(0, self._used() - self.slots)
        return wanted - waiting if waiting <= wanted // 2 else 0

    def stop(self, tokens: Iterable[str], status: str, grace: float) -> None:
        """Have the sites stop these attempts; those that have not begun are refused there, and come back as Lost."""
        chosen = set(tokens)
        self._requeue(chosen)
        for worker in self._workers.values():
            if mine := [token for token in worker.flights if token in chosen]:
                self._cluster.order(worker.address, ["stop", mine, status, grace])

    def suspend(self) -> None:
        """Have all sites suspend their jobs."""
        for address in self._workers:
            self._cluster.order(address, ["suspend"])

    def resume(self) -> None:
        """Have all sites continue their jobs."""
        for address in self._workers:
            self._cluster.order(address, ["resume"])

    def close(self) -> None:
        """End the sites, and disconnect."""
        self._cluster.close()

    # --- sending -------------------------------------------------------------------------------------------------------

    def _used(self) -> int:
        return sum(one.claim.slots for one in self._flights.values()) + sum(claim.slots for claim in self._backlog)

    def _fill(self) -> None:
        depth = 1.0 if self._pace is None else 1 + min(MOST_AHEAD, AT_HAND / max(self._pace, 1e-6))
        parcels: dict[str, list[Flight]] = {}
        while self._backlog and (worker := roomiest(self._workers.values(), self._backlog[0], depth)) is not None:
            claim = self._backlog.popleft()
            flight = Flight(claim, worker)
            self._flights[claim.token] = worker.flights[claim.token] = flight
            parcels.setdefault(worker.address, []).append(flight)
        for address, flights in parcels.items():
            invocations = [f"[{self._head},{json.dumps(protocol.packed(one.claim))}]" for one in flights]
            try:
                futures = self._cluster.submit(address, [one.claim.token for one in flights], invocations)
            except Exception:  # the client has lost its scheduler; nothing was sent
                for one in flights:
                    self._forget(one)
                    self._reports.append(Lost(one.claim, started=False))
                return
            for one, future in zip(flights, futures, strict=True):
                one.future = future

    def _forget(self, flight: Flight) -> None:
        self._flights.pop(flight.claim.token, None)
        flight.worker.flights.pop(flight.claim.token, None)
        if flight.future is not None:
            flight.future.release()
            flight.future = None

    # --- the loop ------------------------------------------------------------------------------------------------------

    def _step(self, until: float) -> None:
        now = time.monotonic()
        due = [until, self._look_at, *(at for at, _, _ in self._dying)]
        due.append(self._news_at if self._flights else math.inf)
        due.append(now + SETTLE if self._adrift_since is not None else math.inf)
        wait = 0.0 if self._cluster.happenings else max(0.0, min(due) - now)
        self._poller.poll(wait * 1000)
        self._inbox.drain()
        for name, values in self._cluster.take():
            getattr(self, f"_on_{name}")(*values)
        self._keep_time()
        self._fill()

    def _keep_time(self) -> None:
        now = time.monotonic()
        due = [one for one in self._dying if one[0] <= now]
        self._dying = [one for one in self._dying if one[0] > now]
        for _, worker, is_expected in due:
            self._bury(worker, is_expected=is_expected)
        if not self._cluster.is_connected:
            self._drift()
        elif self._adrift_since is not None:
            self._adrift_since = None
            self._look_at = now
        if now >= self._look_at:
            self._look_at = now + LOOK
            if self._adrift_since is None:
                self._cluster.look()
        if now >= self._news_at:
            self._news_at = now + NEWS
            for worker in self._workers.values():
                if worker.flights and not worker.is_asked:
                    worker.is_asked = True
                    self._cluster.order(worker.address, ["news"])
        if self._workers:
            self._alone_at = now + ALONE
        elif now >= self._alone_at:
            self._alone_at = math.inf
            self._reports.append(Noted("the cluster has no worker that can take a job; waiting for one"))

    # --- what happens at the cluster -----------------------------------------------------------------------------------

    def _on_done(self, batch: "list[tuple[Any, Any]]") -> None:
        for future, result in batch:
            if (flight := self._flights.get(future.key[1])) is None:
                continue
            if isinstance(result, str):
                self._land(flight, result)
            elif future.status != "cancelled":  # those are of a scheduler that is gone, or were forgotten
                self._fail(flight, result[1] if isinstance(result, tuple) else result)

    def _land(self, flight: Flight, answer: str) -> None:
        self._forget(flight)
        report = protocol.report(json.loads(answer), {flight.claim.token: flight.claim})
        if isinstance(report, Ended):
            seconds = report.outcome.seconds
            self._pace = seconds if self._pace is None else max(seconds, 0.7 * self._pace + 0.3 * seconds)
            if report.outcome.started_at is not None:
                self._begin(flight, report.outcome.started_at)
        if report is not None:
            self._reports.append(report)

    def _fail(self, flight: Flight, error: BaseException) -> None:
        if type(error).__name__ == "KilledWorker":
            self._lose(flight.worker, is_expected=False)
            return
        self._forget(flight)
        if is_of_setup(error):
            self._reports.append(Lost(flight.claim, started=False))
            self._reports.append(Refused(f"the workers cannot run jobs: {in_one_line(error)}"))
        else:
            self._reports.append(Lost(flight.claim, started=flight.has_begun))

    def _begin(self, flight: Flight, at: int) -> None:
        if not flight.has_begun:
            flight.has_begun = True
            self._reports.append(Started(flight.claim, at))

    def _on_started(self, token: str, at: int) -> None:
        if (flight := self._flights.get(token)) is not None:
            self._begin(flight, at)

    def _on_answered(self, address: str, kind: str, answer: "Any") -> None:
        if kind == "news":
            if address in self._workers:
                self._workers[address].is_asked = False
            claims = {token: flight.claim for token, flight in self._flights.items()}
            self._reports += filter(None, (protocol.report(message, claims) for message in answer or ()))
        elif kind == "close" and address in self._strangers:
            self._workers[address] = Worker(address, self._strangers.pop(address))
        elif kind == "stop":
            for token, fate in (answer or {}).items():
                flight = self._flights.get(token)
                if flight is not None and fate == "refused" and flight.claim.started_at is None:
                    self._cluster.withdraw([flight.future])
                    self._forget(flight)
                    self._reports.append(Lost(flight.claim, started=False))

    # --- workers come and go -------------------------------------------------------------------------------------------

    def _on_worker(self, action: str, address: str, is_expected: bool) -> None:
        if action == "add-worker":
            self._cluster.look()
        elif address in self._workers:
            self._lose(self._workers[address], is_expected=is_expected)

    def _on_workers(self, found: "dict[str, Any] | None") -> None:
        if found is None:
            return
        self._strangers = {address: threads for address, threads in self._strangers.items() if address in found}
        for address, facts in found.items():
            if address not in self._workers and address not in self._strangers:
                self._strangers[address] = facts["nthreads"]
                self._cluster.ask_version(address)
        for worker in [one for one in self._workers.values() if one.address not in found]:
            self._lose(worker, is_expected=False)

    def _on_greeted(self, address: str, version: "Any") -> None:
        if address not in self._strangers:
            return
        mine = metadata.version("batchq")
        if version == mine:
            self._cluster.order(address, ["close"])  # of an earlier bridge of this run: nothing of it may go on
            return
        self._unfit[address] = f"batchq {version}" if isinstance(version, str) else "no batchq"
        if not self._workers and self._strangers.keys() <= self._unfit.keys():
            why = f"no worker of the cluster has batchq {mine}: {address} has {self._unfit[address]}"
            self._reports.append(Refused(why))

    def _lose(self, worker: Worker, *, is_expected: bool) -> None:
        """Note that a worker is gone; its results that are on their way still count for a moment."""
        if self._workers.get(worker.address) is worker:
            del self._workers[worker.address]
            self._dying.append((time.monotonic() + SETTLE, worker, is_expected))

    def _bury(self, worker: Worker, *, is_expected: bool) -> None:
        """End what a worker had: nobody may run it again under the same token, so its tasks are withdrawn."""
        flights = [*worker.flights.values()]
        self._cluster.withdraw([one.future for one in flights if one.future is not None])
        for flight in flights:
            self._forget(flight)
            if flight.has_begun and is_expected:
                now = clock.now()
                outcome = Outcome(INTERRUPTED, started_at=flight.claim.started_at or now, finished_at=now)
                self._reports.append(Ended(flight.claim, outcome))
            else:
                self._reports.append(Lost(flight.claim, started=flight.has_begun))

    def _drift(self) -> None:
        """Without a scheduler: its workers end what they run; after a while so does the run."""
        now = time.monotonic()
        if self._adrift_since is None:
            self._adrift_since = now
            self._reports.append(Noted("the scheduler of Dask does not answer; waiting for it"))
        for worker in [*self._workers.values()]:
            self._lose(worker, is_expected=False)
        if not self._is_over and (now - self._adrift_since > self._reconnect or self._cluster.is_given_up):
            self._is_over = True
            for _, worker, is_expected in self._dying:
                self._bury(worker, is_expected=is_expected)
            self._dying = []
            self._reports += [Lost(claim, started=False) for claim in self._backlog]
            self._backlog.clear()
            self._reports.append(Refused("the scheduler of Dask is gone", 74))
