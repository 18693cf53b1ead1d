"""A store that does not answer: locked, full, or broken. Nothing is claimed meanwhile, results wait, and jobs run on."""

import time

from batchq.errors import BatchqError, BusyError
from batchq.notes import note
from batchq.runner import pacing


class Outage:
    """``error`` is why the store did not answer the last time, None while it does; the next try is due at ``again_at``."""

    def __init__(self) -> None:
        self.error: BatchqError | None = None
        self.again_at: float | None = None
        self._since = 0.0

    def meet(self, error: BatchqError) -> None:
        """The store did not answer."""
        now = time.monotonic()
        is_busy = isinstance(error, BusyError)
        if self.error is None:
            self._since = now
            if not is_busy:
                note(f"{error}; trying again for {pacing.INSISTENCE:.0f} s")
        self.error = error
        self.again_at = pacing.next_try(now, is_busy=is_busy)

    def end(self) -> None:
        """The store answers."""
        self.error = self.again_at = None

    def is_too_long(self, idle_since: float, stop_at: float | None) -> bool:
        """Whether a run gives up in which nothing has run since ``idle_since``."""
        return self.error is not None and pacing.gives_up(time.monotonic(), max(self._since, idle_since), stop_at)
