"""``Store.wait``: block until jobs are over."""

import select
import time
from typing import TYPE_CHECKING, NamedTuple

from batchq.jobs.lifecycle import FINAL
from batchq.store import tallies
from batchq.store.bell import Bell

if TYPE_CHECKING:
    from batchq.jobs.selection import Selection
    from batchq.store.connection import Store

LOOK = 0.25  #: seconds between looks where nobody rings


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
    """Until the jobs are over, or that moment (monotonic seconds) has come."""
    bell = Bell(store.path)
    try:
        while True:
            counts = tallies.counts(store, selection)
            left = sum(jobs for state, jobs in counts.items() if state not in FINAL)
            now = time.monotonic()
            if not left or (until is not None and now >= until):
                ended = [counts.get(state, 0) for state in ("succeeded", "failed", "cancelled")]
                return Waited._make([*ended, left])
            patience = LOOK if until is None else min(LOOK, until - now)
            select.select([] if bell.fd is None else [bell.fd], [], [], patience)
            bell.has_rung()
    finally:
        bell.close()
