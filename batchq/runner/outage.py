"""A store that does not answer: locked, full, or broken. Nothing is claimed meanwhile, results wait, and jobs run on."""

import math
import time

from batchq.errors import BatchqError, BusyError
from batchq.runner.stopping import Stopping
from batchq.runner.telling import warn

INSISTENCE = 60.0  #: seconds for which a store that does not answer is tried again when nothing runs any more
PATIENCE = 1.0  #: seconds of that for a run that was told to stop: whoever did does not wait for a store
SOON = 0.01  #: seconds between tries where another program has a lock: the wait for that is long enough
LATER = 0.25  #: seconds between tries of anything else


class Outage:
    """``error`` is why the store did not answer the last time, None while it does; the next try is due at ``again_at``."""

    def __init__(self) -> None:
        self.error: BatchqError | None = None
        self.again_at = 0.0
        self._since = 0.0

    def meet(self, error: BatchqError) -> None:
        """The store did not answer."""
        now = time.monotonic()
        if self.error is None:
            self._since = now
            if not isinstance(error, BusyError):
                warn(f"{error}; trying again for {INSISTENCE:.0f} s")
        self.error = error
        self.again_at = now + (SOON if isinstance(error, BusyError) else LATER)

    def end(self) -> None:
        """It answers."""
        self.error = None

    def is_too_long(self, idle_since: float, stopping: Stopping) -> bool:
        """Whether a run in which nothing runs since then (monotonic seconds) gives up."""
        if self.error is None:
            return False
        since = max(self._since, idle_since)
        until = since + INSISTENCE
        if stopping.at is not None and stopping.at < math.inf:
            until = min(until, max(since, stopping.at) + PATIENCE)
        return time.monotonic() >= until
