"""``Store.wait``: block until jobs have finished."""

from typing import TYPE_CHECKING, NamedTuple

from batchq.errors import UsageError
from batchq.jobs.selection import NO_JOB, Selection
from batchq.processes import enclosing
from batchq.store.answering import asking, awaited
from batchq.store.looking import obstacles, tallies

if TYPE_CHECKING:
    from batchq.store.file.connection import Store


class Waited(NamedTuple):
    """How many jobs were in each final state when the wait ended; ``open`` counts those that had not finished, and those
    that were removed before they started. ``unneeded`` were cancelled because no job failed after whose failure they were
    to run; ``cancelled`` are the others."""

    succeeded: int
    failed: int
    cancelled: int
    open: int
    unneeded: int = 0

    @property
    def all_succeeded(self) -> bool:
        """Whether every job succeeded, except unneeded ones."""
        return not (self.failed or self.cancelled or self.open)


def wait(store: "Store", selection: "Selection", until: float | None) -> Waited:
    """Wait until the jobs have finished, or until that time (monotonic seconds).

    Inside a job, that job and the jobs that depend on it are left out. Raises UsageError if they were named by id, and if
    all running jobs wait for others, so that nothing could ever continue.
    """
    callers = asking.of_tokens(store, enclosing.tokens())
    ids = awaited.without_callers(store, selection, callers)
    with awaited.Deadlock(store, ids, callers) as deadlock:
        if not awaited.until_over(store, ids, until, deadlock.is_seen) and deadlock.is_seen():
            raise UsageError(f"wait: {awaited.DEADLOCK}")
    followed = Selection(ids or NO_JOB)
    counts = tallies.counts(store, followed)
    succeeded, failed, cancelled = (counts.pop(state, 0) for state in ("succeeded", "failed", "cancelled"))
    unneeded = tallies.unneeded(store, followed) if cancelled else 0
    unstarted = len(obstacles.removed(store, ids).jobs)
    return Waited(succeeded, failed, cancelled - unneeded, sum(counts.values()) + unstarted, unneeded)
