"""How many jobs a queue lets start now: its pause, its limit of running jobs, and its rate. Pure.

The rate is a token bucket (as in Slurm's and Kubernetes' rate limiters): ``rate`` tokens come in a second and each start
takes one. While nothing starts, at most a twentieth of a second's worth is saved, but at least one.
"""

from batchq.named import NamedTuple

SAVED = 0.05  #: seconds' worth of starts that may be saved
#: Milliseconds by which a claim may be older than the one before it: any more, and the clock was set back.
STALE = 1_000
#: Starts per second: one a year. A lower rate, in a store made by others, counts as this one.
LOWEST_RATE = 1 / 31_536_000


class QueueLimits(NamedTuple):
    """The settings of one queue; None is not set. ``allowance`` tokens were left ``at`` that time (ms)."""

    name: str
    paused: bool = False
    limit: int | None = None
    rate: float | None = None
    allowance: float | None = None
    at: int | None = None

    @property
    def is_shut(self) -> bool:
        """Whether nothing in it starts until somebody changes that."""
        return self.paused or (self.limit is not None and self.limit <= 0)

    @property
    def is_bounded(self) -> bool:
        """Whether anything was set for it."""
        return self.paused or self.limit is not None or self.rate is not None


def room(queue: QueueLimits, running: int, most: int, now: int) -> int:
    """How many jobs of the queue may start now, at most ``most``, if ``running`` run in all runs together."""
    if queue.paused:
        return 0
    if queue.limit is not None:
        most = min(most, queue.limit - running)
    if queue.rate is not None:
        most = int(max(0, min(most, tokens(queue, now))))  # in a damaged store, that may be infinite
    return max(0, most)


def tokens(queue: QueueLimits, now: int) -> float:
    """What the bucket holds. If the clock was set back, it starts full: no job waits until the old time is reached."""
    assert queue.rate is not None
    full = max(1.0, queue.rate * SAVED)
    if queue.allowance is None or queue.at is None or now < queue.at - STALE:
        return full
    return min(full, queue.allowance + max(0, now - queue.at) / 1000 * queue.rate)


def paid(queue: QueueLimits, starts: int, now: int) -> tuple[float, int]:
    """What the bucket holds after ``starts``, and since when.

    That time does not go back when a claim had to wait for the store, or the same milliseconds would count twice. It
    does if the clock was set back.
    """
    at = now if queue.at is None or now < queue.at - STALE else max(now, queue.at)
    return tokens(queue, now) - starts, at


def next_start(queue: QueueLimits, now: int) -> int | None:
    """When the rate lets the next job start, in milliseconds since 1970; None if now, or if there is no rate."""
    if queue.rate is None or queue.is_shut or (left := tokens(queue, now)) >= 1:
        return None
    needed = min(1 - left, max(1.0, queue.rate * SAVED))  # no start owes more than the bucket can hold
    since = now if queue.at is None else max(now, queue.at)
    return since + 1 + int(needed / max(queue.rate, LOWEST_RATE) * 1000)
