"""How the pool of a run does: whether it is there, and when it has broken or failed once too often. Decisions only."""

import math

from batchq.executors.afar.futures.pool import Made
from batchq.executors.afar.unfit import in_one_line
from batchq.executors.seam import Noted, Refused

SLOW = 10.0  #: seconds after which it is noted that a factory has not returned
REBUILDS = 3  #: broken pools in a row that are replaced, if no job ended meanwhile
FAILURES = 30  #: the same for claims that a pool has failed before they began


class Standing:
    """``number`` is that of the pool at hand, 0 while one is being made; what happens ``in a row`` ends with a job."""

    def __init__(self, now: float) -> None:
        self.number = 0
        self.slow_at = now + SLOW
        self._breaks = self._failures = 0

    def take(self, made: Made) -> list[Refused]:
        """Work with a pool that has been made; refuse if there is none."""
        if made.problem is None:
            self.number = made.number
            self.slow_at = math.inf
            return []
        return [Refused(str(made.problem)) if made.number == 1 else Refused(f"the pool broke, and {made.problem}", 74)]

    def late(self, now: float) -> list[Noted]:
        """Note, once, that the factory takes long."""
        if now < self.slow_at:
            return []
        self.slow_at = math.inf
        return [Noted("the factory of the pool has not returned yet: waiting for it")]

    def worked(self) -> None:
        """Note that a job has come back."""
        self._breaks = self._failures = 0

    def broke(self, error: BaseException, now: float) -> list[Refused]:
        """Note that the pool has broken; refuse if that was once too often."""
        self.number = 0
        self.slow_at = now + SLOW
        self._breaks += 1
        if self._breaks <= REBUILDS:
            return []
        return [Refused(f"the pool breaks again and again: {in_one_line(error)}", 74)]

    def failed(self, error: BaseException) -> list[Refused]:
        """Note that it has failed a claim before that began; refuse if that was once too often."""
        self._failures += 1
        if self._failures <= FAILURES:
            return []
        self._failures = 0
        return [Refused(f"the pool fails again and again: {in_one_line(error)}", 74)]
