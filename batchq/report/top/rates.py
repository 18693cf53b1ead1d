"""How many jobs end in a second, and how long the rest will take. Pure."""

from collections import deque
from collections.abc import Sequence

WINDOW = 60.0  #: seconds over which jobs are counted,
SETTLED, ENOUGH = (
    10.0,
    10,
)  #: and in the first minute the seconds and the jobs from which that is better than an estimate


class EndedJobs:
    """Counts the jobs that ended in the last minute, from what the store says about all of them time after time."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._before: int | None = None
        self._total = 0

    def count(self, finished: int, now: float) -> None:
        """Note how many jobs have finished by ``now`` (monotonic seconds). They become fewer by a retry and a prune."""
        self._total += max(0, finished - (finished if self._before is None else self._before))
        self._before = finished
        self._seen.append((now, self._total))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()

    def per_second(self) -> float | None:
        """The rate over the last minute; None while too few jobs have been counted for too short a time."""
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        is_known = last - first >= (SETTLED if after - before >= ENOUGH else WINDOW)
        return (after - before) / (last - first) if is_known else None


def estimated(ended: Sequence[int], started_at: int, now: int, most: int) -> float:
    """The rate of a run that began at ``started_at``, from when its newest attempts ended (all in ms).

    If these are as many as are read ``at most``, only the time since the first of them counts.
    """
    since = max(started_at, now - round(WINDOW * 1000))
    recent = [at for at in ended if since <= at <= now]
    if len(recent) == most:
        since = min(recent)
    return len(recent) / max(1.0, (now - since) / 1000)


def seconds_left(waiting: int, per_second: float | None) -> float | None:
    """How long ``waiting`` jobs will take; None if nothing can be said."""
    return waiting / per_second if waiting and per_second else None
