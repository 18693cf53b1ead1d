"""A store that does not answer: locked, full, or broken. Meanwhile nothing is claimed, results wait, jobs keep running."""

import time

from batchq.errors import BatchqError, BusyError
from batchq.notes import note
from batchq.runner import pacing


class Outage:
    """``error`` is why the last exchange failed, None while the store answers; the next try is due at ``again_at``."""

    def __init__(self) -> None:
        self.error: BatchqError | None = None
        self.again_at: float | None = None
        self._since = 0.0

    def meet(self, error: BatchqError) -> None:
        """Note that the store did not answer, and set the next try."""
        now = time.monotonic()
        is_busy = isinstance(error, BusyError)
        if self.error is None:
            self._since = now
            if not is_busy:
                note(f"{error}; trying again for {pacing.INSISTENCE:.0f} s")
        self.error = error
        self.again_at = pacing.next_try(now, is_busy=is_busy)

    def end(self) -> None:
        """Note that the store answers again."""
        self.error = self.again_at = None

    def is_too_long(self, idle_since: float, stop_at: float | None) -> bool:
        """Whether the run should give up, if nothing has been running since ``idle_since``."""
        return self.error is not None and pacing.gives_up(time.monotonic(), max(self._since, idle_since), stop_at)
