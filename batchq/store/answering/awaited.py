"""Waiting until jobs have finished: they are selected once, then followed by their ids and states."""

import select
import time
from collections.abc import Callable, Sequence

from batchq.errors import UsageError
from batchq.jobs.selection import NO_JOB, Range, Selection, merged
from batchq.store.answering import asking
from batchq.store.answering.asking import Standstill
from batchq.store.file.bell import Bell
from batchq.store.file.connection import Store
from batchq.store.running.runners import Caller
from batchq.store.selecting import condition

LOOK = 0.25  #: seconds between polls if no bell rings
SHARE = 10  #: polling takes at most one part in ten of the time


def without_callers(store: Store, selection: Selection, callers: Sequence[Caller]) -> tuple[Range, ...]:
    """The selected jobs except those that cannot finish before this command does. Raises UsageError if one was named."""
    but = asking.held_up(store, [one.id for one in callers]) if callers else set()
    for one in sorted(but):
        if any(low <= one <= high for low, high in selection.ids):
            mine = ", ".join(str(caller.id) for caller in callers)
            raise UsageError(f"this runs inside job {mine}: to wait for job {one} would be to wait for itself")
    return chosen(store, selection, but)


def until_over(
    store: Store, ids: Sequence[Range], end: float | None, is_enough: Callable[[], bool] = lambda: False
) -> bool:
    """Block until the jobs have finished, or until ``end`` (monotonic seconds; None: no limit); return whether they have.

    ``is_enough`` is called after each poll that finds an unfinished job; True ends the wait, too.
    """
    bell = Bell(store.path)
    low = 0
    try:
        while True:
            began = time.monotonic()
            # A finished job stays finished, except after a retry: so the last poll begins at the first job again.
            found = first_open(store, ids, low)
            if found is None and low:
                found = first_open(store, ids, 0)
            if found is None:
                return True
            low = found
            is_stuck = is_enough()
            now = time.monotonic()
            if is_stuck or (end is not None and now >= end):
                return False
            time.sleep(min(LOOK, (now - began) * SHARE))
            patience = LOOK if end is None else min(LOOK, max(0.0, end - now))
            select.select([] if bell.fd is None else [bell.fd], [], [], patience)
            bell.has_rung()
    finally:
        bell.close()


def chosen(store: Store, selection: Selection, but: set[int]) -> tuple[Range, ...]:
    """The jobs that are selected now, without those of ``but``; of every job only the unfinished ones."""
    where, named = condition(selection)
    if selection == Selection(everything=True):
        where = "jobs.finished_at IS NULL"
    rows = store.fetch(f"SELECT id FROM jobs WHERE {where}", named)
    return tuple(merged((id, id) for (id,) in rows if id not in but))


def first_open(store: Store, ids: Sequence[Range], low: int) -> int | None:
    """The first unfinished job of these from ``low`` on; None if all have finished."""
    where, named = condition(Selection(tuple(ids) or NO_JOB))
    sql = f"SELECT id FROM jobs WHERE finished_at IS NULL AND id >= :from AND {where} ORDER BY id LIMIT 1"
    for (id,) in store.fetch(sql, named | {"from": low}):
        return int(id)
    return None


class Deadlock:
    """Detects that nothing can continue while the jobs ``callers`` wait for ``ids``: every running job waits like that,
    and no run has a free slot. Inside its block the lock file shows other processes that the callers wait."""

    def __init__(self, store: Store, ids: Sequence[Range], callers: Sequence[Caller]) -> None:
        self._store = store
        self._ids = ids
        self._callers = [one.id for one in callers]
        self._standstill = Standstill()

    def __enter__(self) -> "Deadlock":
        for one in self._callers:
            self._store.lock.hold_waits(one)
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._callers:
            self._store.lock.release_waits(one)

    def is_seen(self) -> bool:
        """Whether this was so at each check of the last seconds."""
        if not self._callers:
            return False
        is_so = asking.all_wait(self._store, self._callers) and not asking.is_anyone_free(self._store, self._ids)
        return self._standstill.lasts(is_so=is_so)


DEADLOCK = "every running job waits for others, and no run has a free slot for these: run them with a larger -j"
