"""Waiting for jobs to be over: they are looked up once, and followed by their ids and states."""

import select
import time
from collections.abc import Callable, Sequence

from batchq.errors import UsageError
from batchq.jobs.selection import NO_JOB, Range, Selection, merged
from batchq.store.answering import asking
from batchq.store.answering.asking import Standstill
from batchq.store.file.bell import Bell
from batchq.store.file.connection import Store
from batchq.store.running.runners import Asking
from batchq.store.selecting import condition

LOOK = 0.25  #: seconds between looks where nobody rings
SHARE = 10  #: of the time, looking takes no more than one part in so many


def without_callers(store: Store, selection: Selection, callers: Sequence[Asking]) -> tuple[Range, ...]:
    """The selected jobs but those that cannot be over before this command is. Raises UsageError if these were named."""
    but = asking.held_up(store, [one.id for one in callers]) if callers else set()
    for one in sorted(but):
        if any(low <= one <= high for low, high in selection.ids):
            mine = ", ".join(str(caller.id) for caller in callers)
            raise UsageError(f"this runs inside of job {mine}: to wait for job {one} would be to wait for itself")
    return chosen(store, selection, but)


def until_over(
    store: Store, ids: Sequence[Range], end: float | None, is_enough: Callable[[], bool] = lambda: False
) -> bool:
    """Block until the jobs are over, or until then (monotonic seconds; None: as long as it takes); whether they are.

    ``is_enough`` is asked after each look that finds one that is not over, and ends the wait, too.
    """
    bell = Bell(store.path)
    low = 0
    try:
        while True:
            began = time.monotonic()
            # What is over stays so, but for a retry: so the last look begins at the first job again.
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
    """The selected jobs, as they are at this moment, without those of ``but``; of every job those that are not over."""
    where, named = condition(selection)
    if selection == Selection(everything=True):
        where = "jobs.finished_at IS NULL"
    rows = store.fetch(f"SELECT id FROM jobs WHERE {where}", named)
    return tuple(merged((id, id) for (id,) in rows if id not in but))


def first_open(store: Store, ids: Sequence[Range], low: int) -> int | None:
    """The first of these jobs from ``low`` on that is not over; None where all are."""
    where, named = condition(Selection(tuple(ids) or NO_JOB))
    sql = f"SELECT id FROM jobs WHERE finished_at IS NULL AND id >= :from AND {where} ORDER BY id LIMIT 1"
    for (id,) in store.fetch(sql, named | {"from": low}):
        return int(id)
    return None


class Deadlock:
    """Whether nothing can go on as long as the jobs ``callers`` wait for ``ids``: every job that runs waits so, and no run
    has a slot left. Within its block others see from the lock file that these wait."""

    def __init__(self, store: Store, ids: Sequence[Range], callers: Sequence[Asking]) -> None:
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
        """Whether it was so at each look of the last seconds."""
        if not self._callers:
            return False
        is_so = asking.all_wait(self._store, self._callers) and not asking.is_anyone_free(self._store, self._ids)
        return self._standstill.lasts(is_so=is_so)


DEADLOCK = "each job that runs waits for others, and no run has a slot left for these: run them with a larger -j"
