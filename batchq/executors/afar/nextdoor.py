"""The site of a run next to a worker of an engine, which runs the jobs: its process, its attempts, and a thread that reads.

The worker may have many threads and belongs to somebody else, so nothing else is started or signalled from it.
"""

import os
import select
import sys
import threading
from collections.abc import Callable

from batchq.executors.afar import protocol
from batchq.executors.afar.fence import Fence
from batchq.executors.afar.viewpoint import MANY
from batchq.jobs.attempt import INTERRUPTED, Claim
from batchq.processes import machine, remains
from batchq.processes.companion import Companion
from batchq.processes.link import Closed
from batchq.processes.remains import Marks
from batchq.processes.spawn import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.processes.link import Message

CHECK = 0.05  #: seconds between checks whether the engine has withdrawn a task
ORDERS = 0.1  #: seconds between looks into the folder of orders
UP = 30.0  #: seconds that a site may take to start
RECENT = 10_000  #: attempts that are remembered: the results of some may still be on their way to the run
PATIENCE = 5.0  #: seconds that a site may take to end
_OF_ATTEMPTS = ("printed", "logged", "ended", "lost")  #: kinds of messages

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
_LEFTOVERS = Claim._fields.index("leftovers")
#: The site takes batchq from where this process has it, and everything else from its own installation
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); import batchq; sys.path.append(sys.path.pop(0));"
    " from batchq.executors.afar.site import main; main()"
)


def site_words() -> list[str]:
    """Return the words that start a site with the Python and the batchq of this process."""
    return [sys.executable, "-P", "-c", _START, _ROOT]


class _Flight:
    """One attempt at the site, which begins what it gets at once: ``changed`` is set when there is something new."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        self.end: Message | None = None
        self.printed: Message | None = None
        self.logged: list[Message] = []


class NextDoor:
    """The site of one run next to this process. Its calls may come from any thread."""

    def __init__(self, setup: "dict[str, Any]", number: int) -> None:
        """Start it; ``number`` counts the sites of this run here. Raises RuntimeError if it does not come up."""
        self.greeting: dict[str, Any] | None = None
        self.is_gone = False
        self._fence = Fence(setup["folder"]) if setup["folder"] else None
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}
        self._refused: set[str] = set()
        self._came: dict[str, None] = {}
        self._spared: set[str] = set()  # attempts that have ended, and left something running on purpose
        self._is_up = threading.Event()
        name = f"{setup['run']}.{os.getpid()}"
        started = Companion.start(site_words())
        if isinstance(started, Refusal):
            raise RuntimeError(started.message)
        self._companion = started
        self._cookie = f"{name}.{number}"
        mine: dict[str, Any] = {"slots": MANY, "engine": None, "cookie": self._cookie, "end": [], "listens": False}
        self._companion.link.send(["setup", setup | mine])
        self._reader = threading.Thread(target=self._read, name="batchq-site", daemon=True)
        self._reader.start()
        if not self._is_up.wait(UP) or self.is_gone:
            raise RuntimeError("the site next to this worker, which runs the jobs, did not start")

    # --- for the threads that perform ----------------------------------------------------------------------------------

    def perform(self, claim: "list[Any]", is_withdrawn: Callable[[], bool]) -> "list[Message]":
        """Run one claim to its end; return the messages about its log files, and ``ended`` or ``lost``.

        One that ``is_withdrawn`` is stopped: nobody waits for it. Raises Closed if the site is gone.
        """
        token = claim[1]
        if self._fence is not None and not self._fence.begin(token, machine.host()):
            return [["lost", token, True]]  # the engine runs it a second time: nobody knows how the first time ended
        flight = _Flight()
        with self._lock:
            if token in self._refused:
                return [["lost", token, False]]
            if self.is_gone:
                raise Closed
            self._came[token] = None
            if len(self._came) > RECENT:
                del self._came[next(iter(self._came))]
            self._flights[token] = flight
            self._companion.link.send(["run", [claim]])
        is_stopped = False
        try:
            while flight.end is None:
                flight.changed.wait(CHECK)
                flight.changed.clear()
                if not is_stopped and is_withdrawn():
                    is_stopped = True
                    self.order(["stop", [token], INTERRUPTED, 0])
            if self.greeting is not None:
                protocol.name_host(flight.end, self.greeting["host"])
            if claim[_LEFTOVERS] == "keep" and flight.end[0] == "ended":
                self._spared.add(token)
            return [*flight.logged, flight.end]
        finally:
            with self._lock:
                self._flights.pop(token, None)

    # --- orders --------------------------------------------------------------------------------------------------------

    def order(self, message: "Message") -> None:
        """Pass an order on."""
        with self._lock:
            if not self.is_gone:
                try:
                    self._companion.link.send(message)
                except Closed:
                    pass  # the reader sees it, too

    def stop(self, tokens: list[str], status: str, grace: float) -> dict[str, str]:
        """Stop those that run here, and refuse those that have not come; return which of both, or "over", by token."""
        with self._lock:
            mine = [token for token in tokens if token in self._flights]
            refused = self._refuse(tokens)
        if mine:
            self.order(["stop", mine, status, grace])
        return dict.fromkeys(tokens, "over") | dict.fromkeys(mine, "stopping") | refused

    def refuse(self, tokens: list[str]) -> dict[str, str]:
        """Refuse those that have not come, should they come; return only these, by token."""
        with self._lock:
            return self._refuse(tokens)

    def _refuse(self, tokens: list[str]) -> dict[str, str]:
        fresh = [token for token in tokens if token not in self._came]
        self._refused.update(fresh)
        return dict.fromkeys(fresh, "refused")

    def news(self) -> "list[Message]":
        """Return what running attempts have printed since the last call; this is also a sign of life of the run."""
        self.order(["alive"])
        found = []
        with self._lock:
            for flight in self._flights.values():
                if flight.printed is not None:
                    found.append(flight.printed)
                    flight.printed = None
        return found

    def close(self) -> bool:
        """End the site and everything that it runs; return whether that has happened."""
        self.order(["close"])
        self._reader.join(2 * PATIENCE)
        return self.is_gone

    # --- the thread that reads -----------------------------------------------------------------------------------------

    def _read(self) -> None:
        poller = select.poll()
        poller.register(self._companion.link.fileno(), select.POLLIN)
        try:
            while True:
                poller.poll((ORDERS if self._fence else 1.0) * 1000)
                with self._lock:
                    self._companion.link.push()
                for message in self._companion.link.receive():
                    self._take(message)
                if self._fence is not None:
                    self._follow(self._fence)
        except Closed:
            pass
        self._companion.end(PATIENCE)
        # What a site that was killed has left: soon its jobs run elsewhere
        remains.end(Marks((), self._cookie, {}, self._spared.__contains__))
        with self._lock:
            self.is_gone = True
            for token, flight in self._flights.items():
                flight.end = flight.end or ["lost", token, True]  # in doubt it had begun
                flight.changed.set()
        self._is_up.set()

    def _take(self, message: "Message") -> None:
        kind, *rest = message
        if kind == "up":
            self.greeting = rest[0]
            self._is_up.set()
        elif kind in _OF_ATTEMPTS and (flight := self._flights.get(rest[0])) is not None:
            if kind == "logged":
                flight.logged.append(message)
                return
            if kind == "printed":
                flight.printed = message
                if self._fence is not None:
                    self._fence.print(message)
                return
            flight.end = message
            flight.changed.set()

    def _follow(self, fence: Fence) -> None:
        """Follow the orders in the folder, and pass on that the run is alive."""
        if fence.has_beaten():
            self.order(["alive"])
        for message in fence.orders():
            kind, *rest = message
            if kind == "stop":
                self.stop(*rest)
            else:
                self.order(message)
