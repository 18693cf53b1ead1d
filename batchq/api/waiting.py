"""``Store.wait``: block until jobs are over."""

from typing import TYPE_CHECKING, NamedTuple

from batchq.errors import UsageError
from batchq.jobs.selection import NO_JOB, Selection
from batchq.processes import enclosing
from batchq.store.answering import asking, awaited
from batchq.store.looking import tallies

if TYPE_CHECKING:
    from batchq.store.file.connection import Store


class Waited(NamedTuple):
    """How the jobs stood when the wait ended: so many in each final state, and how many were ``open`` at the timeout."""

    succeeded: int
    failed: int
    cancelled: int
    open: int

    @property
    def all_succeeded(self) -> bool:
        """Whether every one of them succeeded."""
        return not (self.failed or self.cancelled or self.open)


def wait(store: "Store", selection: "Selection", until: float | None) -> Waited:
    """Until the jobs are over, or that moment (monotonic seconds) has come.

    Inside of a job, that job and all that is to run after it are left out. Raises UsageError where they were named, and
    where all jobs that run wait for others, so that nothing would ever go on.
    """
    callers = asking.of_tokens(store, enclosing.tokens())
    ids = awaited.without_callers(store, selection, callers)
    with awaited.Deadlock(store, ids, callers) as deadlock:
        if not awaited.until_over(store, ids, until, deadlock.is_seen) and deadlock.is_seen():
            raise UsageError(f"wait: {awaited.DEADLOCK}")
    counts = tallies.counts(store, Selection(ids or NO_JOB))
    ended = [counts.pop(state, 0) for state in ("succeeded", "failed", "cancelled")]
    return Waited._make([*ended, sum(counts.values())])
