"""The pace of an executor: how much work it needs in advance, and when it pauses."""

import time

from batchq.executors.seam import Noted
from batchq.jobs.attempt import Ended

MESSAGE = 0.002  #: seconds of work that one message to a worker should hold
AT_HAND = 0.05  #: seconds of work that should wait here, so that no slot waits for the store
MOST_AHEAD = 1024  #: claims that wait here for their turn
AT_ONCE = 512  #: of them claimed in one exchange, so that no other process waits long for the store
REST = 0.5, 30.0  #: seconds without new starts after the machine refused one: the first time, and at most


class Pace:
    """The seconds that attempts take at present; None before the first one has ended."""

    def __init__(self) -> None:
        self.seconds: float | None = None

    def note(self, ended: list[Ended]) -> None:
        """Follow longer attempts at once, and shorter ones gradually."""
        pace = self.seconds
        for _, outcome in ended:
            seconds = outcome.seconds
            pace = seconds if pace is None else max(seconds, 0.7 * pace + 0.3 * seconds)
        self.seconds = pace

    def is_fast(self) -> bool:
        """Whether attempts end so soon that a message to a worker should hold several."""
        return self.seconds is not None and self.seconds < MESSAGE

    def in_a_message(self) -> int:
        """Count the tasks that a message should hold."""
        if self.seconds is None or self.seconds >= MESSAGE:
            return 1
        return max(1, min(128, int(MESSAGE / max(self.seconds, 1e-6))))

    def ahead(self, slots: int, waiting: int) -> int:
        """Count the claims to ask for beyond those that ``slots`` can start now; ``waiting`` are here already."""
        if self.seconds is None:
            return 0
        wanted = min(MOST_AHEAD, int(slots * AT_HAND / self.seconds))
        return min(AT_ONCE, wanted - waiting) if waiting <= wanted // 2 else 0


class Rest:
    """The time without new starts after the machine refused one; longer each time, until a start succeeds."""

    def __init__(self) -> None:
        self.until = 0.0  #: monotonic seconds
        self._length = 0.0
        self._reported: set[str] = set()

    def is_on(self) -> bool:
        """Whether nothing may be started now."""
        return self.until > 0 and time.monotonic() < self.until

    def begin(self, why: str) -> list[Noted]:
        """Begin a rest because the machine has refused a start; return the note to print, once for each reason."""
        first, most = REST
        self._length = min(max(first, 2 * self._length), most)
        self.until = time.monotonic() + self._length
        if why in self._reported:
            return []
        self._reported.add(why)
        return [Noted(f"{why}; trying again, at longer and longer intervals")]

    def forget(self) -> None:
        """Make the next rest a short one, because a process was started."""
        self._length = 0.0
