"""When the executor of a cluster does what is not an answer. Decisions only: times are given, in monotonic seconds."""

import math

from batchq.executors.afar.dask.workers import SETTLE

NEWS = 1.0  #: seconds between requests for the output of running jobs, which are also the sign of life for the lease
LOOK = 5.0  #: seconds between looks at which workers there are
ALONE = 10.0  #: seconds without a worker after which that is noted


class Timetable:
    """``is_adrift``: the scheduler does not answer; it is waited for ``reconnect`` seconds."""

    def __init__(self, now: float, reconnect: float) -> None:
        self._reconnect = reconnect
        self._look_at = self._news_at = 0.0
        self._alone_at = now + ALONE
        self._adrift_since: float | None = None

    @property
    def is_adrift(self) -> bool:
        """Whether the scheduler does not answer."""
        return self._adrift_since is not None

    def first(self, now: float, *, is_busy: bool) -> float:
        """Return when something is due at the latest; ``is_busy``: there are jobs to ask about."""
        news_at = self._news_at if is_busy else math.inf
        return min(self._look_at, news_at, now + SETTLE if self.is_adrift else math.inf)

    def drifts_off(self, now: float, *, is_connected: bool) -> bool:
        """Note whether the scheduler answers; return whether it has just stopped to. When it is back, look at once."""
        if is_connected:
            if self.is_adrift:
                self._adrift_since, self._look_at = None, now
            return False
        was_adrift, self._adrift_since = self.is_adrift, now if self._adrift_since is None else self._adrift_since
        return not was_adrift

    def gives_up(self, now: float) -> bool:
        """Whether the scheduler has not answered for too long."""
        return self._adrift_since is not None and now - self._adrift_since > self._reconnect

    def looks(self, now: float) -> bool:
        """Whether it is time to look at which workers there are."""
        if now < self._look_at:
            return False
        self._look_at = now + LOOK
        return not self.is_adrift

    def asks(self, now: float) -> bool:
        """Whether it is time to ask workers for news."""
        if now < self._news_at:
            return False
        self._news_at = now + NEWS
        return True

    def feels_alone(self, now: float, *, has_workers: bool) -> bool:
        """Whether there has been no worker for so long that it must be noted, once."""
        if has_workers:
            self._alone_at = now + ALONE
        elif now >= self._alone_at:
            self._alone_at = math.inf
            return True
        return False
