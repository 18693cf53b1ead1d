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

from batchq.executors.afar import perform as at_worker
from batchq.executors.afar import protocol
from batchq.executors.afar.elsewhere import Elsewhere
from batchq.executors.afar.fence import Fence
from batchq.executors.afar.futures.pool import Answered, Made, Pool
from batchq.executors.afar.unfit import in_one_line, is_of_setup
from batchq.executors.seam import Lost, Noted, Refused, Started
from batchq.jobs.attempt import INTERRUPTED, Claim, Ended
from batchq.processes import remains
from batchq.processes.remains import Marks
from batchq.processes.signals import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BEATS = 6  #: signs of life in the time of a lease
LOOK = 0.2  #: seconds between looks into the folder
READY = 2.0  #: seconds that a factory has before its run goes on without slots
SLOW = 10.0  #: seconds after which it is noted that a factory has not returned
REBUILDS = 3  #: broken pools in a row that are replaced, if no job ended meanwhile
FAILURES = 30  #: the same for claims that a pool has failed before they began
GONE = 3.0  #: seconds after the end of a worker in which its result may still come
SETTLE = 1.0  #: seconds until the site of a dead worker has ended: it checks for its parent twice a second
PATIENCE = 2.0  #: seconds that a pool may take to shut down: some wait for ever, whatever they are asked for


class Flight:
    """One claim at the pool."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.has_begun = claim.started_at is not None
        self.host: str | None = None
        self.gone_at: float | None = None  # when its worker was first missing


class FuturesExecutor(Elsewhere):
    """``make`` makes a pool, in which ``slots`` attempts run at once. ``folder`` is what its workers share, if they do."""

    name = "futures"

    def __init__(
        self, make: "Callable[[], Any]", slots: int, inbox: Inbox, setup: "dict[str, Any]", folder: str | None
    ) -> None:
        self._most = slots
        self.lease: float | None = setup["lease"]
        super().__init__(inbox)
        self._setup = setup | {"folder": folder}
        self._folder = folder
        self._fence = Fence(folder) if folder else None
        if self._fence is not None:
            self._fence.open(setup["run"])
        self._flights: dict[str, Flight] = {}
        self._dying: list[tuple[float, Flight]] = []
        self._look_at = self._beat_at = 0.0
        self._breaks = self._failures = 0  # in a row
        self._pool = Pool(make)
        self._made = 0  # the number of the pool at hand, 0 while there is none
        self._slow_at = time.monotonic() + SLOW
        self._poller = select.poll()
        self._poller.register(self._pool.fileno(), select.POLLIN)
        self._poller.register(inbox.fileno(), select.POLLIN)
        until = time.monotonic() + READY
        while not self._made and not self._reports and not inbox.received and time.monotonic() < until:
            self._step(until)

    @property
    def slots(self) -> int:
        """How many attempts run at once: none before the first pool has been made."""
        return self._most if self._made or self._breaks else 0

    @property
    def widest(self) -> int:
        """All of them."""
        return self._most

    def free(self) -> int:
        """Count the claims that would start at once."""
        return max(0, self.slots - self._used() - sum(claim.slots for claim in self._backlog))

    def ahead(self) -> int:
        """Return 0: a pool cannot give back what waits there."""
        return 0

    def whereabouts(self) -> dict[str, str]:
        """Map the tokens of attempts to their hosts, if there is a folder; else these are known at the end only."""
        return {token: flight.host for token, flight in self._flights.items() if flight.host}

    def stop(self, tokens: Iterable[str], status: str, grace: float) -> None:
        """Stop those that have begun, if there is a folder, and prevent the others."""
        chosen = set(tokens)
        self._requeue(chosen)
        begun = []
        for token in chosen & self._flights.keys():
            self._pool.cancel(token)
            if self._fence is not None and not self._is_prevented(self._flights[token], self._fence):
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
        """Shut the pool down, and end the sites of its workers."""
        self._order(["close"])
        self._pool.close(PATIENCE)
        at_worker.order(self._setup["run"], '["close"]')  # of a pool of threads the workers are this process
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- at the pool ---------------------------------------------------------------------------------------------------

    def _used(self) -> int:
        return sum(flight.claim.slots for flight in self._flights.values())

    def _fill(self) -> None:
        while self._made and self._backlog and self._used() + self._backlog[0].slots <= self.slots:
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
        is_looking = self._fence is not None and bool(self._flights)
        due = [until, *(at for at, _ in self._dying)]
        due += [self._look_at] * is_looking + [self._slow_at] * (not self._made)
        wait = max(0.0, min(due) - time.monotonic())
        self._poller.poll(None if wait == float("inf") else wait * 1000)
        self._inbox.drain()
        now = time.monotonic()
        if self._fence is not None and self._flights and now >= self._look_at:
            self._look_at = now + LOOK
            self._look(self._fence)
        for one in self._pool.news():
            if isinstance(one, Made):
                self._take(one)
            else:
                self._land(one)
        if not self._made and now >= self._slow_at:
            self._slow_at = float("inf")
            self._reports.append(Noted("the factory of the pool has not returned yet: waiting for it"))
        self._settle()
        self._fill()

    def _take(self, made: Made) -> None:
        """Work with a pool that has been made."""
        if made.problem is None:
            self._made = made.number
        elif made.number == 1:
            self._reports.append(Refused(str(made.problem)))
        else:
            self._reports.append(Refused(f"the pool broke, and {made.problem}", 74))

    def _land(self, one: Answered) -> None:
        if one.is_broken and one.number == self._made:
            self._replace(one.answer)
        if (flight := self._flights.get(one.token)) is None:
            return
        if isinstance(one.answer, BaseException):
            self._fail(flight, one)
            return
        try:
            *logged, message = messages = json.loads(one.answer)
            claims = {one.token: flight.claim}
            report = protocol.report(message, claims) if messages != at_worker.UNSHARED else None
            self._reports += filter(None, [protocol.report(found, claims) for found in logged])
        except (TypeError, ValueError, LookupError):
            kind = type(one.answer).__name__
            self._give_up(flight, f"the pool returned {kind} instead of what came of the job")
            return
        self._breaks = self._failures = 0
        if report is None:
            self._do_without_folder(flight)
        elif isinstance(report, Lost) and report.started:
            self._end(flight)
        else:
            del self._flights[one.token]
            if self._fence is not None:
                self._fence.forget(one.token)
            if isinstance(report, Ended) and report.outcome.started_at is not None:
                self._begin(flight, report.outcome.started_at)
            self._reports.append(report)

    def _begin(self, flight: Flight, at: int) -> None:
        if not flight.has_begun:
            flight.has_begun = True
            self._reports.append(Started(flight.claim, at))

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
        self._failures += not flight.has_begun and not one.is_broken
        if self._failures > FAILURES:
            self._failures = 0
            self._reports.append(Refused(f"the pool fails again and again: {in_one_line(one.answer)}", 74))

    def _give_up(self, flight: Flight, why: str, code: int = 78) -> None:
        del self._flights[flight.claim.token]
        self._reports += [Lost(flight.claim, started=False), Refused(why, code)]

    def _replace(self, error: BaseException) -> None:
        """Replace a broken pool, once for all attempts that it had."""
        self._made = 0
        self._slow_at = time.monotonic() + SLOW
        self._breaks += 1
        if self._breaks > REBUILDS:
            self._reports.append(Refused(f"the pool breaks again and again: {in_one_line(error)}", 74))
        else:
            self._pool.renew()

    def _end(self, flight: Flight) -> None:
        """Have an attempt end, if it still runs somewhere: nobody will report how it ended."""
        del self._flights[flight.claim.token]
        if flight.has_begun:
            self._order(["stop", [flight.claim.token], INTERRUPTED, 0])
        self._dying.append((time.monotonic() + SETTLE, flight))

    def _settle(self) -> None:
        """Report the attempts whose workers have died, when surely nothing of them runs any more.

        Their sites end them as soon as they see that; what is on this machine is searched for, and killed.
        """
        now = time.monotonic()
        due = [flight for at, flight in self._dying if at <= now]
        if due:
            self._dying = [one for one in self._dying if one[0] > now]
            remains.end(Marks({flight.claim.token for flight in due}, "", {}, lambda _: False))
            self._reports += [Lost(flight.claim, flight.has_begun, flight.host) for flight in due]
            for flight in due:
                if self._fence is not None:
                    self._fence.forget(flight.claim.token)

    # --- the folder ----------------------------------------------------------------------------------------------------

    def _look(self, fence: Fence) -> None:
        known = {token for token, flight in self._flights.items() if flight.host}
        for token, (at, host) in fence.begun(known).items():
            if (flight := self._flights.get(token)) is not None:
                flight.host = host or None
                self._begin(flight, at)
        claims = {token: flight.claim for token, flight in self._flights.items()}
        self._reports += filter(None, (protocol.report(message, claims) for message in fence.printed()))
        now = time.monotonic()
        if self.lease is not None and now >= self._beat_at:
            self._beat_at = now + self.lease / BEATS
            fence.beat()
        for flight in [*self._flights.values()]:
            if not fence.is_abandoned(flight.claim.token):
                continue
            if flight.gone_at is None:
                flight.gone_at = now
            elif now >= flight.gone_at + GONE:
                self._end(flight)  # some pools notice that never, or not before the next submit

    def _order(self, message: "list[Any]") -> None:
        if self._fence is not None:
            self._fence.order(message)

    def _is_prevented(self, flight: Flight, fence: Fence) -> bool:
        """Keep an attempt from beginning, and report that; False if it has begun."""
        if not fence.prevent(flight.claim.token):
            return False
        del self._flights[flight.claim.token]
        self._reports.append(Lost(flight.claim, started=False))
        return True

    def _do_without_folder(self, flight: Flight) -> None:
        """Submit a claim again whose worker does not see the folder; from now on all go without."""
        if self._fence is not None:
            self._fence = None
            self._setup |= {"folder": None, "lease": None}  # they see no sign of life either: the pool must end them
            self._reports.append(
                Noted(
                    f"the workers of the pool do not see {self._folder}: their jobs cannot be stopped before their end;"
                    " name a folder that all see with --executor-folder"
                )
            )
        self._pool.submit(flight.claim.token, json.dumps([self._setup, protocol.packed(flight.claim)]))
