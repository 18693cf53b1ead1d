"""Reporting what keeps jobs from starting, to a person who waits for them: each reason once."""

import time

from batchq.jobs.selection import Range
from batchq.notes import note
from batchq.report import undone
from batchq.runner import rescuing
from batchq.store.file.connection import Store
from batchq.store.looking import obstacles, queries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PAUSE = 1.0  #: seconds between checks, or if longer, PART times the duration of a check
PART = 20


class Obstacles:
    """Reports the obstacles in the way of jobs for one command, ``verb``; ``batchq`` is how a person starts batchq here."""

    def __init__(self, store: Store, verb: str, batchq: str) -> None:
        self._store = store
        self._verb = verb
        self._batchq = batchq
        self._reported: set[tuple[str, str | None]] = set()
        self._check_at = 0.0
        self._here = rescuing.here(store)

    def report(self, ids: "Sequence[Range]") -> None:
        """Report what is new in the way of these jobs, if it is time for a check."""
        began = time.monotonic()
        if began < self._check_at:
            return
        for one in obstacles.in_the_way(self._store, ids, self._here):
            if (one.reason, one.queue) not in self._reported:
                self._reported.add((one.reason, one.queue))
                named = queries.names(self._store, one.jobs[: undone.MOST])
                note(f"{self._verb}: {undone.labelled(one.jobs, named)}: {undone.reason(one, self._batchq)}")
        now = time.monotonic()
        self._check_at = now + max(PAUSE, (now - began) * PART)
