"""Any ``concurrent.futures.Executor`` as a place of work: its workers perform the claims, each next to a site of its own.

A pool is asked for ``submit``, ``add_done_callback`` and ``result`` only. What it cannot do goes through a folder that the
run and the workers share (``fence``). Without one an attempt that runs cannot be stopped before its time, and nothing
prevents that a pool runs an attempt twice. So many attempts are at the pool as run there at once: most pools cannot give
back what waits.
"""

import json
import select
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError

from batchq.executors.afar import perform, protocol
from batchq.executors.afar.elsewhere import Elsewhere
from batchq.executors.afar.fence import Fence
from batchq.executors.afar.futures.flights import Flight, Flights, has_no_end, landed
from batchq.executors.afar.futures.pool import Answered, Made, Pool
from batchq.executors.afar.futures.silence import Silence
from batchq.executors.afar.futures.standing import Standing
from batchq.executors.afar.unfit import Unfit, in_one_line, is_of_setup
from batchq.executors.seam import Lost, Noted, Refused
from batchq.jobs.attempt import INTERRUPTED, Ended
from batchq.processes import remains
from batchq.processes.remains import Marks
from batchq.processes.signals import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BEATS = 6  #: signs of life in the time of a lease
LOOK = 0.2  #: seconds between looks into the folder
READY = 2.0  #: seconds that a factory has before its run goes on without slots
PATIENCE = 2.0  #: seconds that a pool may take to shut down: some wait for ever, whatever they are asked for


class FuturesExecutor(Elsewhere):
    """``make`` makes a pool, in which ``slots`` attempts run at once. ``folder`` is what its workers share, if they do."""

    name = "futures"

    def __init__(
        self, make: "Callable[[], Any]", slots: int, inbox: Inbox, setup: "dict[str, Any]", folder: str
    ) -> None:
        self._most = slots
        self.lease: float | None = setup["lease"]
        super().__init__(inbox)
        self._setup = setup | {"folder": folder}
        self._folder = folder
        self._fence: Fence | None = Fence(folder)
        self._fence.open(setup["run"])
        self._flights = Flights()
        self._standing = Standing(time.monotonic())
        self._silence = Silence()
        self._look_at = self._beat_at = 0.0
        self._pool = Pool(make)
        self._poller = select.poll()
        self._poller.register(self._pool.fileno(), select.POLLIN)
        self._poller.register(inbox.fileno(), select.POLLIN)
        until = time.monotonic() + READY
        while not self._standing.number and not self._reports and not inbox.received and time.monotonic() < until:
            self._step(until)

    @property
    def slots(self) -> int:
        """How many attempts run at once: none while a pool is being made."""
        return self._most if self._standing.number else 0

    @property
    def widest(self) -> int:
        """All of them."""
        return self._most

    def free(self) -> int:
        """Count the claims that would start at once."""
        return max(0, self.slots - self._flights.used() - sum(claim.slots for claim in self._backlog))

    def ahead(self) -> int:
        """Return 0: a pool cannot give back what waits there."""
        return 0

    def whereabouts(self) -> dict[str, str]:
        """Map the tokens of attempts to their hosts, if there is a folder; else these are known at the end only."""
        return self._flights.hosts()

    def stop(self, tokens: Iterable[str], status: str, grace: float) -> None:
        """Stop those that have begun, if there is a folder, and prevent the others."""
        chosen = set(tokens)
        self._requeue(chosen)
        begun = []
        for token in chosen & self._flights.keys():
            self._pool.cancel(token)
            if self._fence is not None and self._fence.prevent(token):
                self._reports.append(Lost(self._flights.pop(token).claim, started=False))
            else:
                begun.append(token)
        if begun:
            self._order(["stop", begun, status, grace])

    def suspend(self) -> None:
        """Suspend all, if there is a folder."""
        self._order(["suspend"])

    def resume(self) -> None:
        """Continue all."""
        self._order(["resume"])

    def close(self) -> None:
        """Shut the pool down, and end the sites of its workers.

        The folder stays if attempts may still run there: the run is gone, and the next one looks into it (``abandoned``).
        """
        self._order(["close"])
        self._pool.close(PATIENCE)
        perform.order(self._setup["run"], '["close"]')  # of a pool of threads the workers are this process
        if not self._flights and not self._flights.next_at():
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- at the pool ---------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        while self._standing.number and self._backlog and self._flights.used() + self._backlog[0].slots <= self.slots:
            claim = self._backlog.popleft()
            self._flights[claim.token] = flight = Flight(claim)
            if self._fence is not None:
                try:
                    self._fence.allow(claim.token)
                except OSError as error:
                    self._give_up(flight, f"cannot write to {self._folder}: {error.strerror}", 74)
                    continue
            self._pool.submit(claim.token, json.dumps([self._setup, protocol.packed(claim)]))

    def _step(self, until: float) -> None:
        due = [until, self._standing.slow_at, *self._flights.next_at()]
        due += [self._look_at] * (self._fence is not None and bool(self._flights))
        wait = max(0.0, min(due) - time.monotonic())
        self._poller.poll(None if wait == float("inf") else wait * 1000)
        self._inbox.drain()
        now = time.monotonic()
        if self._fence is not None and self._flights and now >= self._look_at:
            self._look_at = now + LOOK
            self._look(self._fence)
        for one in self._pool.news():
            if isinstance(one, Made):
                self._reports += self._standing.take(one)
            else:
                self._land(one)
        self._reports += self._standing.late(now)
        self._settle()
        self._fill()

    def _land(self, one: Answered) -> None:
        if one.is_broken and one.number == self._standing.number:  # once for all attempts that it had
            self._reports += (refusals := self._standing.broke(one.answer, time.monotonic()))
            if not refusals:
                self._pool.renew()
        self._silence.end()
        if (flight := self._flights.get(one.token)) is None:
            return
        if isinstance(one.answer, BaseException):
            self._fail(flight, one)
            return
        try:
            reports = landed(flight.claim, one.answer)
        except Unfit as problem:
            self._give_up(flight, str(problem))
            return
        self._standing.worked()
        if reports is None:
            self._do_without_folder(flight)
            return
        *logged, report = reports
        self._reports += logged
        if has_no_end(report):
            self._end(flight)
            return
        del self._flights[one.token]
        if self._fence is not None:
            self._fence.forget(one.token)
        if isinstance(report, Ended) and report.outcome.started_at is not None:
            self._reports += flight.begun(report.outcome.started_at)
        self._reports.append(report)

    def _fail(self, flight: Flight, one: Answered) -> None:
        """Decide about a claim for which an exception came back. One that has not begun is prevented, and costs nothing."""
        if is_of_setup(one.answer):
            self._give_up(flight, f"the workers of the pool cannot run jobs: {in_one_line(one.answer)}")
            return
        if self._fence is not None:
            self._look(self._fence)  # for its host
            if one.token not in self._flights:
                return
            flight.has_begun = not self._fence.prevent(one.token)
        elif isinstance(one.answer, CancelledError):
            flight.has_begun = False
        self._end(flight)
        if not flight.has_begun and not one.is_broken:
            self._reports += self._standing.failed(one.answer)

    def _give_up(self, flight: Flight, why: str, code: int = 78) -> None:
        del self._flights[flight.claim.token]
        self._reports += [Lost(flight.claim, started=False), Refused(why, code)]

    def _end(self, flight: Flight) -> None:
        """Have an attempt end, if it still runs somewhere: nobody will report how it ended."""
        self._flights.give_up(flight, time.monotonic())
        if flight.has_begun:
            self._order(["stop", [flight.claim.token], INTERRUPTED, 0])

    def _settle(self) -> None:
        """Report the attempts whose workers have died, when surely nothing of them runs any more.

        Their sites end them as soon as they see that; what is on this machine is searched for, and killed.
        """
        if due := self._flights.over(time.monotonic()):
            remains.end(Marks({flight.claim.token for flight in due}, "", {}, lambda _: False))
            for flight in due:
                self._reports.append(Lost(flight.claim, flight.has_begun, flight.host))
                if self._fence is not None:
                    self._fence.forget(flight.claim.token)

    # --- the folder ----------------------------------------------------------------------------------------------------

    def _look(self, fence: Fence) -> None:
        for token, (at, host) in fence.begun(self._flights.hosts()).items():
            if (flight := self._flights.get(token)) is not None:
                flight.is_at_work, flight.host = True, host or None
                self._reports += flight.begun(at)
        claims = self._flights.claims()
        self._reports += filter(None, (protocol.report(message, claims) for message in fence.printed()))
        now = time.monotonic()
        self._reports += self._silence.last(self._flights.values(), now)
        if self.lease is not None and now >= self._beat_at:
            self._beat_at = now + self.lease / BEATS
            fence.beat()
        for flight in self._flights.abandoned(filter(fence.is_abandoned, self._flights), now):
            self._end(flight)  # some pools notice that never, or not before the next submit

    def _order(self, message: "list[Any]") -> None:
        if self._fence is not None:
            self._fence.order(message)

    def _do_without_folder(self, flight: Flight) -> None:
        """Submit a claim again whose worker does not see the folder; from now on all go without."""
        if self._fence is not None:
            self._fence.give_up()
            self._fence = None
            self._setup |= {"folder": None, "lease": None}  # they see no sign of life either: the pool must end them
            self._reports.append(
                Noted(
                    f"the workers of the pool do not see {self._folder}: their jobs cannot be stopped before their end;"
                    " name a folder that all see with --executor-folder"
                )
            )
        self._pool.submit(flight.claim.token, json.dumps([self._setup, protocol.packed(flight.claim)]))
