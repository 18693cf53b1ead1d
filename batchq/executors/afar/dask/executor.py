"""The executor whose jobs run at the workers of a Dask cluster.

The run itself chooses the worker of each claim. So it knows what the end of a worker costs, no setting of the scheduler
runs an attempt twice, and a worker that retires takes nothing elsewhere.
"""

import select
import time
from collections.abc import Iterable
from importlib import metadata

from batchq.executors.afar.dask import landing
from batchq.executors.afar.dask.cluster import Cluster
from batchq.executors.afar.dask.courier import Courier
from batchq.executors.afar.dask.timetable import Timetable
from batchq.executors.afar.dask.told import Told
from batchq.executors.afar.dask.workers import Dying, Flight, Worker, Workers
from batchq.executors.afar.elsewhere import Elsewhere
from batchq.executors.seam import Lost, Noted, Refused, Report
from batchq.jobs.attempt import INTERRUPTED, Ended
from batchq.processes.signals import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class DaskExecutor(Elsewhere):
    """Runs claims at the workers of ``cluster``; a scheduler that is gone is waited for ``reconnect`` seconds."""

    name = "dask"

    def __init__(self, cluster: Cluster, inbox: Inbox, setup: "dict[str, Any]", reconnect: float) -> None:
        self.lease: float | None = setup["lease"]
        self._cluster = cluster
        super().__init__(inbox)
        self._workers = Workers()
        self._courier = Courier(cluster, self._workers, setup)
        self._dying = Dying()
        self._told = Told()
        self._is_over = False
        self._times = Timetable(time.monotonic(), reconnect)
        self._poller = select.poll()
        for one in (cluster.fileno(), inbox.fileno()):
            self._poller.register(one, select.POLLIN)
        until = time.monotonic() + 2.0
        while time.monotonic() < until and not self._reports and not inbox.received:
            self._step(until)
            if self._workers.fit and not self._workers.strangers:
                break

    @property
    def slots(self) -> int:
        """The threads of all workers; 0 while there is none, so that the run claims nothing that would wait here."""
        return self._workers.slots

    @property
    def widest(self) -> int:
        """The threads of the largest worker."""
        return self._workers.widest

    def free(self) -> int:
        """Count the claims that would start at once."""
        if self._times.is_adrift or not self._workers.fit:
            return 0
        return max(0, self.slots - self._used())

    def rooms(self) -> list[int] | None:
        """Return how many threads are free at each worker; None if no job can have several."""
        return self._workers.rooms() if self.widest > 1 else None

    def ahead(self) -> int:
        """Count the claims that the workers would take in advance: of short jobs."""
        return 0 if self._times.is_adrift else self._workers.ahead(max(0, self._used() - self.slots))

    def whereabouts(self) -> dict[str, str]:
        """Map the token of each attempt that runs now to its host."""
        return {token: one.worker.host for token, one in self._workers.flights.items() if one.has_begun}

    def stop(self, tokens: Iterable[str], status: str, grace: float) -> None:
        """Have the sites stop these attempts; those that have not begun are refused there, and come back as Lost.

        What a stopped run is to end at a worker that does not answer is reported as Left a moment later.
        """
        chosen = set(tokens)
        self._requeue(chosen)
        for worker in self._workers.fit.values():
            if mine := [token for token in worker.flights if token in chosen]:
                self._cluster.order(worker.address, ["stop", mine, status, grace])
        if status == INTERRUPTED:
            self._told.tell(chosen & self._workers.flights.keys(), time.monotonic(), grace)

    def suspend(self) -> None:
        """Have all sites suspend their jobs."""
        for address in self._workers.fit:
            self._cluster.order(address, ["suspend"])

    def resume(self) -> None:
        """Have all sites continue their jobs."""
        for address in self._workers.fit:
            self._cluster.order(address, ["resume"])

    def close(self) -> None:
        """End the sites, and disconnect."""
        self._cluster.close()

    # --- sending -------------------------------------------------------------------------------------------------------

    def _used(self) -> int:
        return self._workers.used() + sum(claim.slots for claim in self._backlog)

    def _fill(self) -> None:
        if self._is_over:
            self._requeue({claim.token for claim in self._backlog})
        self._reports += [Lost(claim, started=False) for claim in self._courier.send(self._backlog)]
        self._requeue({claim.token for claim in self._wide()})  # a worker has gone: while they wait they have not begun

    # --- the loop ------------------------------------------------------------------------------------------------------

    def _step(self, until: float) -> None:
        now = time.monotonic()
        due = min(
            until, self._dying.first(), self._told.first(), self._times.first(now, is_busy=bool(self._workers.flights))
        )
        wait = 0.0 if self._cluster.happenings else max(0.0, due - now)
        self._poller.poll(wait * 1000)
        self._inbox.drain()
        for name, values in self._cluster.take():
            getattr(self, f"_on_{name}")(*values)
        self._keep_time()
        self._send()

    def _keep_time(self) -> None:
        now = time.monotonic()
        for worker, is_expected in self._dying.due(now):
            self._settle(worker, is_expected=is_expected)
        if late := self._told.late(now, self._workers.flights):
            self._leave([self._workers.flights[token] for token in late])
        if self._times.drifts_off(now, is_connected=self._cluster.is_connected):
            self._reports.append(Noted("the scheduler of Dask does not answer; waiting for it"))
        if self._times.is_adrift:
            self._drift(now)
        if self._times.looks(now):
            self._cluster.look()
            for address, tokens in self._workers.late().items():
                self._cluster.order(address, ["back", tokens])
        if self._times.asks(now):
            for worker in self._workers.fit.values():
                if worker.flights and not worker.is_asked:
                    worker.speak(now, asks=True)
                    self._cluster.order(worker.address, ["news"])
        if self._times.feels_alone(now, has_workers=bool(self._workers.fit)):
            self._reports.append(Noted("the cluster has no worker that can take a job; waiting for one"))

    # --- what happens at the cluster -----------------------------------------------------------------------------------

    def _on_done(self, batch: "list[tuple[Any, Any]]") -> None:
        for future, result in batch:
            if (flight := self._workers.flights.get(future.key[1])) is None:
                continue
            if landing.is_of_a_lost_worker(result):
                self._lose(flight.worker, is_expected=False)
            elif isinstance(result, str) or future.status != "cancelled":  # by a scheduler that is gone, or by us
                self._land(flight, landing.came_back(flight, result))

    def _land(self, flight: Flight, reports: list[Report]) -> None:
        self._courier.forget(flight)
        for report in reports:
            if isinstance(report, Refused):
                self._refuse(report)
            else:
                self._reports.append(report)
            if isinstance(report, Ended):
                self._workers.learn(report.outcome.seconds)

    def _on_started(self, token: str, at: int) -> None:
        if (flight := self._workers.flights.get(token)) is not None:
            self._reports += landing.begun(flight, at)

    def _on_answered(self, address: str, kind: str, answer: "Any") -> None:
        if kind == "news":
            if (worker := self._workers.fit.get(address)) is not None:
                worker.hear(is_alive=answer is not None)
            self._reports += landing.news(self._workers.flights, answer or ())
        elif kind == "meet":
            self._workers.admit(address, answer)
        elif kind in ("stop", "back"):
            if kind == "stop":
                self._told.confirm(answer or ())
            refused = landing.refused(self._workers.flights, answer or {})
            self._courier.withdraw(refused)
            self._reports += [Lost(flight.claim, started=False) for flight in refused]

    # --- workers come and go -------------------------------------------------------------------------------------------

    def _on_worker(self, action: str, address: str, is_expected: bool) -> None:
        if action == "add-worker":
            self._cluster.look()
        elif (worker := self._workers.fit.get(address)) is not None:
            self._lose(worker, is_expected=is_expected)

    def _on_workers(self, found: "dict[str, Any] | None") -> None:
        if found is None:
            return
        new, gone = self._workers.find(found)
        for address in new:
            self._cluster.ask_version(address)
        for worker in gone:
            self._lose(worker, is_expected=False)

    def _on_greeted(self, address: str, greeting: "tuple[Any, str] | None") -> None:
        if (worker := self._workers.strangers.get(address)) is None:
            return
        version, worker.machine = greeting or (None, "")
        mine = metadata.version("batchq")
        if version == mine:
            self._cluster.order(address, ["meet"])
        elif version is None:
            self._workers.admit(address, None)
        elif (why := self._workers.reject(address, version, mine)) is not None:
            self._refuse(Refused(why))

    def _refuse(self, why: Refused) -> None:
        """End the run, with the claims that wait here; those at workers come back as they end."""
        self._is_over = True
        self._reports.append(why)
        self._fill()

    def _lose(self, worker: Worker, *, is_expected: bool) -> None:
        """Note that a worker is gone; its results that are on their way still count for a moment."""
        if self._workers.lose(worker):
            self._dying.add(worker, worker.over_at(time.monotonic(), self.lease or 0.0), is_expected=is_expected)

    def _settle(self, worker: Worker, *, is_expected: bool) -> None:
        """Settle what a worker had: nobody may run it again under the same token, so its tasks are withdrawn."""
        flights = [*worker.flights.values()]
        self._courier.withdraw(flights)
        self._reports += [landing.left_over(flight, is_expected=is_expected) for flight in flights]

    def _leave(self, flights: list[Flight]) -> None:
        """Leave attempts to the next run, which makes sure of their end."""
        self._courier.withdraw(flights)
        self._reports += landing.left(flights)

    def _drift(self, now: float) -> None:
        """Without a scheduler: its workers end what they run; after a while so does the run."""
        for worker in [*self._workers.fit.values()]:
            self._lose(worker, is_expected=False)
        if not self._is_over and (self._times.gives_up(now) or self._cluster.is_given_up):
            for worker, is_expected in self._dying.due():
                self._settle(worker, is_expected=is_expected)
            self._refuse(Refused("the scheduler of Dask is gone", 74))
