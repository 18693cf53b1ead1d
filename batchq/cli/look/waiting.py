"""``batchq wait``: block until jobs have finished; the exit code reports how they ended."""

import sys
import time
from collections import Counter

from batchq.cli.choosing import chosen, named_by, store_for
from batchq.cli.look.obstacles import Obstacles
from batchq.cli.request import duration
from batchq.errors import UsageError
from batchq.jobs.selection import NO_JOB, Range, Selection
from batchq.notes import note
from batchq.processes import enclosing
from batchq.report import states, undone
from batchq.report.program import program
from batchq.store.adding import keys
from batchq.store.answering import asking, awaited
from batchq.store.file.connection import Store
from batchq.store.looking import obstacles, queries, tallies
from batchq.store.running.runners import Caller

WORK_LEFT = 3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def wait(selection: Selection, *, timeout: str | None, json: bool, db: str | None) -> int:
    """Block until the selected jobs have finished; return 0 if all succeeded, 1 if not, 3 if some have not finished."""
    until = None if timeout is None else time.monotonic() + duration("--timeout", timeout) / 1000
    if selection.is_empty:
        raise UsageError(
            "say which jobs to wait for: ids, last or --batch NAME (--all is every job that has not finished)"
        )
    with store_for(db, reading=True) as store:
        selection, gone = _known_by_key(store, chosen(store, selection, "wait"))
        queries.require(store, selection)
        callers = asking.of_tokens(store, enclosing.tokens())
        ids = awaited.without_callers(store, selection, callers)
        batchq = program(named_by(store, db, shown=sys.stderr.isatty()))
        is_over = _Wait(store, ids, callers, batchq).until(until)
        followed = Selection(ids or NO_JOB)
        counts = tallies.counts(store, followed)
        counts = states.standings(counts, queries.lost(store, followed) if counts.get("running") else 0)
        counts |= {state: counts.get(state, 0) + jobs for state, jobs in gone.items()}
        if lost := len(obstacles.removed(store, followed.ids).jobs):
            counts["removed"] = lost
        unneeded = tallies.unneeded(store, followed) if counts.get("cancelled") else 0
    is_bad = any(counts.get(state) for state in ("failed", "removed")) or counts.get("cancelled", 0) > unneeded
    code = WORK_LEFT if not is_over else int(is_bad)
    if json:
        from batchq.report import asjson

        sys.stdout.write(asjson.waited(counts, code))
    elif code:
        ended = ", ".join(f"{jobs:,} {state}" for state, jobs in counts.items() if state != "succeeded")
        is_late = (
            code == WORK_LEFT and until is not None and time.monotonic() >= until
        )  # otherwise nothing could continue
        note(f"wait: {'timed out: ' if is_late else ''}{ended}")
    return code


def _known_by_key(store: Store, selection: Selection) -> tuple[Selection, Counter[str]]:
    """Split off pruned jobs of which only the key is left, and count these by their final state."""
    gone: Counter[str] = Counter()
    ids = []
    for low, high in selection.ids:
        found = queries.pruned(store, low, high) if selection.ids != NO_JOB else {}
        gone.update([state for state, _ in found.values()])
        if len(found) == 1:
            ((job, (state, key)),) = found.items()
            note(f"wait: job {job} (key {key!r}) was pruned; its final state: {state}")
        elif found:
            note(f"wait: {undone.labelled(found, {})} were pruned; their final states: {keys.in_words(found)}")
        if not found or queries.is_any(store, low, high):
            ids.append((low, high))
    if not gone:
        return selection, gone
    return selection._replace(ids=tuple(ids) or (() if selection.last or selection.globs else NO_JOB)), gone


class _Wait:
    """Waits for some jobs, and reports each obstacle once. ``callers`` are the jobs in which it runs."""

    def __init__(self, store: Store, ids: tuple[Range, ...], callers: "Sequence[Caller]", batchq: str) -> None:
        self._store = store
        self._ids = ids
        self._obstacles = Obstacles(store, "wait", batchq)
        self._deadlock = awaited.Deadlock(store, ids, callers)

    def until(self, end: float | None) -> bool:
        """Wait until ``end`` (monotonic seconds; None: forever); return whether the jobs have finished."""
        with self._deadlock:
            return awaited.until_over(self._store, self._ids, end, self._is_stuck)

    def _is_stuck(self) -> bool:
        self._obstacles.report(self._ids)
        if self._deadlock.is_seen():
            note(f"wait: {awaited.DEADLOCK}")
            return True
        return False
