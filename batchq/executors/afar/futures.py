"""Any ``concurrent.futures.Executor`` as a place of work: its workers perform the claims, each next to a site of its own.

A pool is asked for ``submit``, ``add_done_callback`` and ``result`` only. What it cannot do goes through a folder that the
run and the workers share (``fence``). Without one an attempt that runs cannot be stopped before its time, and nothing
prevents that a pool runs an attempt twice. So many attempts are at the pool as run there at once: most pools cannot give
back what waits.
"""

import contextlib
import importlib
import json
import math
import os
import select
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, CancelledError

from batchq.executors.afar import perform as at_worker
from batchq.executors.afar import protocol
from batchq.executors.afar.elsewhere import Elsewhere
from batchq.executors.afar.fence import Fence
from batchq.executors.afar.unfit import Unfit, in_one_line, is_of_setup
from batchq.executors.seam import Lost, Refused, Started
from batchq.jobs.attempt import Claim, Ended
from batchq.processes import remains
from batchq.processes.remains import Marks
from batchq.processes.signals import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOOK = 0.2  #: seconds between looks into the folder
REBUILDS = 3  #: broken pools in a row that are replaced, if no job ended meanwhile
SETTLE = (
    1.0  #: seconds after which the site of a worker that has died has ended: it checks for its parent twice a second
)
PATIENCE = 2.0  #: seconds that a pool may take to shut down: some wait for ever, whatever they are asked for


class Flight:
    """One claim at the pool."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.future: Any = None
        self.pool: Any = None
        self.has_begun = claim.started_at is not None
        self.host: str | None = None


def made_by(chosen: str, home: str) -> "Callable[[], Any]":
    """Return the factory that ``chosen`` (``pkg.mod:factory``) names, searched in ``home`` first. Raises Unfit."""
    module, _, name = chosen.partition(":")
    sys.path.insert(0, home)
    try:
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
    except Exception as error:
        raise Unfit(f"--executor {chosen}: {in_one_line(error)}") from None


class FuturesExecutor(Elsewhere):
    """``make`` makes a pool, in which ``slots`` attempts run at once. ``folder`` is what its workers share, if they do."""

    name = "futures"

    def __init__(
        self, make: "Callable[[], Any]", slots: int, inbox: Inbox, setup: "dict[str, Any]", folder: str | None
    ) -> None:
        self.slots = self.widest = slots
        self.lease: float | None = setup["lease"]
        self._make = make
        super().__init__(inbox)
        self._setup = setup | {"folder": folder}
        self._fence = Fence(folder) if folder else None
        if self._fence is not None:
            self._fence.open(setup["run"])
        self._flights: dict[str, Flight] = {}
        self._done: deque[tuple[str, Any]] = deque()
        self._look_at = 0.0
        self._dying: list[tuple[float, Flight]] = []
        self._rebuilds = 0
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)
        self._poller = select.poll()
        self._poller.register(self._read, select.POLLIN)
        self._poller.register(inbox.fileno(), select.POLLIN)
        try:
            self._pool = make()
        except Exception as error:
            raise Unfit(f"the factory of the pool failed: {in_one_line(error)}") from None

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
        running = [token for token in chosen if token in self._flights and not self._prevent(self._flights[token])]
        if running:
            self._order(["stop", running, status, grace])

    def suspend(self) -> None:
        """Suspend all, if there is a folder."""
        self._order(["suspend"])

    def resume(self) -> None:
        """Continue all."""
        self._order(["resume"])

    def close(self) -> None:
        """Shut the pool down, and end the sites of its workers."""
        self._order(["close"])
        closing = threading.Thread(target=self._finish, daemon=True)
        closing.start()
        closing.join(PATIENCE)
        at_worker.order(self._setup["run"], '["close"]')  # of a pool of threads the workers are this process
        if self._fence is not None:
            shutil.rmtree(self._fence.folder, ignore_errors=True)
        os.close(self._read)
        os.close(self._write)

    # --- at the pool ---------------------------------------------------------------------------------------------------

    def _used(self) -> int:
        return sum(flight.claim.slots for flight in self._flights.values())

    def _fill(self) -> None:
        while self._backlog and self._used() + self._backlog[0].slots <= self.slots:
            claim = self._backlog.popleft()
            flight = self._flights[claim.token] = Flight(claim)
            try:
                invocation = json.dumps([self._setup, protocol.packed(claim)])
                flight.pool = self._pool
                flight.future = self._pool.submit(at_worker.perform, invocation)
            except Exception as error:  # the pool is broken
                self._note_done(claim.token, error)
            else:
                flight.future.add_done_callback(lambda future, token=claim.token: self._note_done(token, future))

    def _note_done(self, token: str, future: "Any") -> None:
        """Remember an end, and wake the loop; called in any thread."""
        self._done.append((token, future))
        with contextlib.suppress(OSError):
            os.write(self._write, b"!")

    def _step(self, until: float) -> None:
        now = time.monotonic()
        until = min(until, self._look_at if self._fence is not None and self._flights else math.inf)
        until = min([until, *(at for at, _ in self._dying)])
        wait = 0.0 if self._done else max(0.0, until - now)
        self._poller.poll(None if wait == math.inf else wait * 1000)
        self._inbox.drain()
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 65536):
                pass
        if self._fence is not None and self._flights and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK
            self._look(self._fence)
        while self._done:
            self._land(*self._done.popleft())
        self._bury()
        self._fill()

    def _land(self, token: str, future: "Any") -> None:
        if (flight := self._flights.get(token)) is None:
            return
        try:
            answer = future if isinstance(future, BaseException) else future.result()
        except (Exception, CancelledError) as error:
            answer = error
            if self._fence is not None:
                self._look(self._fence)  # for its host
        del self._flights[token]
        if self._fence is not None:
            self._fence.forget(token)
        if isinstance(answer, BaseException):
            self._fail(flight, answer)
            return
        self._rebuilds = 0
        report = protocol.report(json.loads(answer), {token: flight.claim})
        if isinstance(report, Ended) and report.outcome.started_at is not None:
            self._begin(flight, report.outcome.started_at)
        if report is not None:
            self._reports.append(report)

    def _begin(self, flight: Flight, at: int) -> None:
        if not flight.has_begun:
            flight.has_begun = True
            self._reports.append(Started(flight.claim, at))

    def _fail(self, flight: Flight, error: BaseException) -> None:
        """Report a claim for which no outcome came back."""
        if is_of_setup(error):
            why = f"the workers of the pool cannot run jobs: {in_one_line(error)}"
            self._reports += [Lost(flight.claim, started=False), Refused(why)]
            return
        if isinstance(error, CancelledError):
            self._reports.append(Lost(flight.claim, started=False))
            return
        self._dying.append((time.monotonic() + SETTLE, flight))
        if isinstance(error, BrokenExecutor) or "Executor" in type(error).__name__:
            self._rebuild(flight.pool, error)

    def _bury(self) -> None:
        """Report the attempts whose workers have died, when surely nothing of them runs any more.

        Their sites end them as soon as they see that; what is on this machine is searched for, and killed.
        """
        now = time.monotonic()
        due = [flight for at, flight in self._dying if at <= now]
        self._dying = [one for one in self._dying if one[0] > now]
        if begun := {flight.claim.token for flight in due if flight.has_begun}:
            remains.end(Marks(begun, "", {}, lambda _: False))
        self._reports += [Lost(flight.claim, flight.has_begun, flight.host) for flight in due]

    def _rebuild(self, broken: "Any", error: BaseException) -> None:
        """Replace a broken pool, once for all attempts that it had."""
        if broken is not self._pool:
            return
        self._rebuilds += 1
        self._shut_down()
        if self._rebuilds > REBUILDS:
            self._reports.append(Refused(f"the pool breaks again and again: {in_one_line(error)}", 74))
            return
        try:
            self._pool = self._make()
        except Exception as failed:
            self._reports.append(Refused(f"the pool broke, and its factory failed: {in_one_line(failed)}", 74))

    def _finish(self) -> None:
        """Shut the pool down, and remove its semaphores: a bridge ends without the exit handlers of Python."""
        self._shut_down()
        if (util := sys.modules.get("multiprocessing.util")) is not None:
            with contextlib.suppress(Exception):
                util._exit_function()

    def _shut_down(self) -> None:
        with contextlib.suppress(Exception):
            try:
                self._pool.shutdown(wait=False, cancel_futures=True)
            except TypeError:
                self._pool.shutdown(wait=False)

    # --- the folder ----------------------------------------------------------------------------------------------------

    def _look(self, fence: Fence) -> None:
        known = {token for token, flight in self._flights.items() if flight.host}
        for token, (at, host) in fence.begun(known).items():
            if (flight := self._flights.get(token)) is not None:
                flight.host = host or None
                self._begin(flight, at)
        claims = {token: flight.claim for token, flight in self._flights.items()}
        self._reports += filter(None, (protocol.report(message, claims) for message in fence.printed()))

    def _order(self, message: "list[Any]") -> None:
        if self._fence is not None:
            self._fence.order(message)

    def _prevent(self, flight: Flight) -> bool:
        """Keep an attempt from beginning; False if it has begun, or may have."""
        if self._fence is None:
            return flight.future is not None and self._is_cancelled(flight.future)  # its callback reports it
        if not self._fence.begin(flight.claim.token):
            return False
        del self._flights[flight.claim.token]
        if flight.future is not None:
            self._is_cancelled(flight.future)
        self._reports.append(Lost(flight.claim, started=False))
        return True

    @staticmethod
    def _is_cancelled(future: "Any") -> bool:
        try:
            return bool(future.cancel())
        except Exception:  # some raise NotImplementedError
            return False
