"""What ``batchq wait`` waits for: jobs that are looked up once, and followed by their ids and states."""

from collections.abc import Sequence

from batchq.jobs.selection import NO_JOB, Range, Selection, merged
from batchq.store.connection import Store
from batchq.store.selecting import condition


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
