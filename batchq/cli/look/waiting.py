"""``batchq wait``: block until jobs are over; the exit code tells how they ended."""

import sys
import time
from collections import Counter

from batchq.cli.choosing import chosen, named_by, store_for
from batchq.cli.request import duration
from batchq.errors import UsageError
from batchq.jobs.selection import NO_JOB, Range, Selection
from batchq.notes import note
from batchq.processes import enclosing
from batchq.report import summary, undone
from batchq.report.digest import program
from batchq.runner import rescuing
from batchq.store.adding import keys
from batchq.store.answering import asking, awaited
from batchq.store.file.connection import Store
from batchq.store.looking import obstacles, queries, tallies
from batchq.store.running.runners import Caller

REASONS = 1.0  #: seconds between looks for what is in the way, or so many times longer than that takes:
PART = 20
WORK_LEFT = 3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def wait(selection: Selection, *, timeout: str | None, json: bool, db: str | None) -> int:
    """Block until the selected jobs are over; 0 if all succeeded, 1 if not, 3 where some are not over."""
    until = None if timeout is None else time.monotonic() + duration("--timeout", timeout) / 1000
    if selection.is_empty:
        raise UsageError("say which jobs to wait for: ids, last or --batch NAME (--all is every job that is not over)")
    with store_for(db, reading=True) as store:
        selection, gone = _known_by_key(store, chosen(store, selection, "wait"))
        queries.require(store, selection)
        callers = asking.of_tokens(store, enclosing.tokens())
        ids = awaited.without_callers(store, selection, callers)
        is_over = _Wait(store, ids, callers, program(named_by(store, db))).until(until)
        followed = Selection(ids or NO_JOB)
        counts = tallies.counts(store, followed)
        counts = summary.standings(counts, queries.lost(store, followed) if counts.get("running") else 0)
        counts |= {state: counts.get(state, 0) + jobs for state, jobs in gone.items()}
    code = WORK_LEFT if not is_over else int(bool(counts.get("failed") or counts.get("cancelled")))
    if json:
        from batchq.report import asjson

        sys.stdout.write(asjson.waited(counts, code))
    elif code:
        ended = ", ".join(f"{jobs:,} {state}" for state, jobs in counts.items() if state != "succeeded")
        is_late = code == WORK_LEFT and until is not None and time.monotonic() >= until  # or nothing could go on
        note(f"wait: {'time is over: ' if is_late else ''}{ended}")
    return code


def _known_by_key(store: Store, selection: Selection) -> tuple[Selection, Counter[str]]:
    """The selection without jobs that were pruned and of which only a key is left, and how many of these ended how."""
    gone: Counter[str] = Counter()
    ids = []
    for low, high in selection.ids:
        found = queries.pruned(store, low, high) if selection.ids != NO_JOB else {}
        gone.update([state for state, _ in found.values()])
        if len(found) == 1:
            ((job, (state, key)),) = found.items()
            note(f"wait: job {job} (key {key!r}) was pruned; how it had ended: {state}")
        elif found:
            note(f"wait: {undone.labelled(found, {})} were pruned; how they had ended: {keys.in_words(found)}")
        if not found or queries.is_any(store, low, high):
            ids.append((low, high))
    if not gone:
        return selection, gone
    return selection._replace(ids=tuple(ids) or (() if selection.last else NO_JOB)), gone


class _Wait:
    """Waits for some jobs, and tells once what is in their way. ``callers`` are the jobs in which it runs."""

    def __init__(self, store: Store, ids: tuple[Range, ...], callers: "Sequence[Caller]", batchq: str) -> None:
        self._store = store
        self._ids = ids
        self._batchq = batchq
        self._told: set[tuple[str, str | None]] = set()
        self._ask_at = 0.0
        self._here = rescuing.here(store)
        self._deadlock = awaited.Deadlock(store, ids, callers)

    def until(self, end: float | None) -> bool:
        """Whether the jobs were over by then (monotonic seconds; None: as long as it takes)."""
        with self._deadlock:
            return awaited.until_over(self._store, self._ids, end, self._is_stuck)

    def _tell_reasons(self) -> None:
        began = time.monotonic()
        if began < self._ask_at:
            return
        for one in obstacles.in_the_way(self._store, self._ids, self._here):
            if (one.reason, one.queue) not in self._told:
                self._told.add((one.reason, one.queue))
                named = queries.names(self._store, one.jobs[: undone.MOST])
                note(f"wait: {undone.labelled(one.jobs, named)}: {undone.reason(one, self._batchq)}")
        now = time.monotonic()
        self._ask_at = now + max(REASONS, (now - began) * PART)

    def _is_stuck(self) -> bool:
        self._tell_reasons()
        if self._deadlock.is_seen():
            note(f"wait: {awaited.DEADLOCK}")
            return True
        return False
