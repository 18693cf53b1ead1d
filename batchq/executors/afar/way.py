"""The way to a place: the process that leads there, and whether it is worth another try."""

import time
from collections.abc import Collection

from batchq.processes.companion import Companion
from batchq.processes.link import Closed
from batchq.processes.spawn import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.processes.link import Message

AGAIN = 1.0  #: seconds before a place that is gone is started again; doubled each time
ATTEMPTS = 5  #: starts in a row that may fail
FIRST_ATTEMPTS = 2  #: the same for a place that has never been up
PATIENCE = 3.0  #: seconds that a process has to end when its link was closed
_NOT_THERE = (126, 127)  #: exit codes of a shell whose program is missing or cannot be executed


class Way:
    """``words`` start what leads there, ``without`` these variables.

    It ``is_unfit`` if no other try can help; ``trouble`` is why it failed.
    """

    def __init__(self, words: list[str], without: Collection[str] = ()) -> None:
        self.is_unfit = False
        self.trouble = ""
        self.again_at = 0.0
        self._words = words
        self._without = without
        self._was_up = False
        self._failures = 0
        self._companion: Companion | None = None
        self._leaving: Companion | None = None

    def start(self, setup: "Message") -> None:
        """Start it with this first message; a failure counts like a process that ends at once."""
        started = Companion.start(self._words, self._without)
        if isinstance(started, Refusal):
            self.is_unfit = True
            self._fail(started.message)
            return
        self._companion = started
        self.send(setup)

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._companion is not None

    def fileno(self) -> int:
        """Return the descriptor on which messages come, while it is open."""
        assert self._companion is not None
        return self._companion.link.fileno()

    def send(self, message: "Message") -> None:
        """Send a message, if it is open; that the link has broken is seen at the next ``receive``."""
        if self._companion is not None:
            try:
                self._companion.link.send(message)
            except Closed:
                pass

    def push(self) -> bool:
        """Send what had no room before; return whether that was all."""
        try:
            return self._companion is None or self._companion.link.push()
        except Closed:
            return True

    def receive(self) -> "list[Message]":
        """Return the messages that have come. Raises Closed once no more can come."""
        return [] if self._companion is None else self._companion.link.receive()

    def succeed(self) -> None:
        """Note that the place is up."""
        self._was_up = True
        self._failures = 0
        self.trouble = ""

    def refuse(self, why: str) -> None:
        """Note that what is there is of no use."""
        self.is_unfit = True
        self.trouble = why

    def part(self, patience: float = PATIENCE) -> None:
        """Close it; a process that has not ended in ``patience`` seconds is killed by ``has_left``."""
        if self._companion is not None:
            self._companion.part(patience)
            self._companion, self._leaving = None, self._companion

    @property
    def is_leaving(self) -> bool:
        """Whether its process may still be there although it was closed."""
        return self._leaving is not None

    def has_left(self) -> bool:
        """Whether the process that was leaving has ended now; only then it is clear whether to try again."""
        if self._leaving is None or not self._leaving.has_gone():
            return False
        code, self._leaving = self._leaving.code, None
        if code in _NOT_THERE and not self._was_up:
            self.is_unfit = True
            self._fail(f"it has no program {self._words[-1]}: install batchq there, or write HOST:/path/of/batchq-site")
        else:
            self._fail("its connection has broken" if self._was_up else "no connection, or it ended at once")
        return True

    def end(self, patience: float) -> None:
        """Close it, and wait until its process has ended."""
        self.part(patience)
        if self._leaving is not None:
            self._leaving.end(patience)
            self._leaving = None

    def starts_at(self) -> float:
        """When it must be started (again), in monotonic seconds; infinite if it is at work, leaving, or given up."""
        is_idle = self._companion is None and self._leaving is None and not self.is_given_up()
        return self.again_at if is_idle else float("inf")

    def is_given_up(self) -> bool:
        """Whether it failed so often that it is not tried again."""
        return self.is_unfit or self._failures >= (ATTEMPTS if self._was_up else FIRST_ATTEMPTS)

    def _fail(self, why: str) -> None:
        self._failures += 1
        self.trouble = self.trouble or why
        self.again_at = time.monotonic() + AGAIN * 2 ** (self._failures - 1)
