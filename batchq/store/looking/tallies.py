"""Counts and times of jobs, computed inside SQLite: a million jobs never become Python objects. Read without a lock."""

from batchq import clock
from batchq.jobs.lifecycle import FINAL, STATES
from batchq.jobs.selection import Selection
from batchq.store.file.connection import Store
from batchq.store.looking.queries import JOB_COLUMNS, LAST_ATTEMPT, job_row
from batchq.store.looking.rows import Job, Timing
from batchq.store.selecting import condition


def counts(store: Store, selection: Selection) -> dict[str, int]:
    """How many of the selected jobs are in each state, in the order of ``STATES``; states without jobs are left out."""
    selection = _without_range(store, selection)
    counted = selection._replace(batch=None, queue=None, states=(), everything=False).is_empty
    where, named = condition(selection)
    if counted:  # from the counters: a few rows instead of all jobs
        rows = store.fetch(f"SELECT state, sum(jobs.jobs) FROM counters AS jobs WHERE {where} GROUP BY state", named)
    else:
        rows = store.fetch(f"SELECT state, count(*) FROM jobs WHERE {where} GROUP BY state", named)
    found = dict(rows)
    return {state: found[state] for state in STATES if found.get(state)}


def _without_range(store: Store, selection: Selection) -> Selection:
    """The same selection without its range of ids if all jobs of the store lie within it."""
    ids = selection.ranges
    if len(ids) != 1 or selection.is_open:
        return selection
    ((first, last),) = store.fetch("SELECT (SELECT min(id) FROM jobs), (SELECT max(id) FROM jobs)")
    if first is None or not ids[0][0] <= first <= last <= ids[0][1]:
        return selection
    return selection.within(())


def unneeded(store: Store, selection: Selection) -> int:
    """How many of the selected jobs were cancelled because no job failed after whose failure they were to run."""
    where, named = condition(selection)
    return int(store.fetch(f"SELECT count(*) FROM jobs WHERE unneeded AND {where}", named)[0][0])


def is_any_open(store: Store, low: int, high: int) -> bool:
    """Whether a job of this range of ids has not finished."""
    unfinished = tuple(state for state in counts(store, Selection()) if state not in FINAL)
    where, named = condition(Selection(((low, high),), states=unfinished))
    return bool(unfinished and store.fetch(f"SELECT 1 FROM jobs WHERE {where} LIMIT 1", named))


def flaky(store: Store, selection: Selection) -> int:
    """How many of the selected jobs succeeded after an attempt that did not."""
    where, named = condition(selection.in_state("succeeded"))
    ((jobs,),) = store.fetch(f"SELECT count(*) FROM jobs WHERE {where} AND jobs.attempt > 1", named)
    return int(jobs)


def timing(store: Store, selection: Selection) -> Timing:
    """When the selected jobs ran; with ``since``, only attempts that ended after it count."""
    where, named = condition(selection)
    source = "attempts AS a" if where == "1" else "jobs JOIN attempts AS a ON a.job = jobs.id"
    window = " AND a.finished_at >= :since" if selection.since is not None else ""
    ((first, last, attempts, retries, busy, cpu),) = store.fetch(
        "SELECT min(a.started_at), max(a.finished_at), count(*), count(*) FILTER (WHERE a.number > 1),"
        f" total(a.seconds), total(a.cpu_seconds) FROM {source} WHERE {where}{window}",
        named,
    )
    where, named = condition(selection.in_state("running"))
    ((running,),) = store.fetch(f"SELECT min(started_at) FROM jobs WHERE {where}", named)
    started = [moment for moment in (first, running) if moment is not None]
    return Timing(min(started, default=None), last, attempts, retries, busy, cpu)


def slowest(store: Store, selection: Selection, limit: int) -> list[Job]:
    """The selected jobs whose last attempt took longest, the longest first."""
    where, named = condition(selection)
    top = (  # first the few ids, then their columns: a sort that carries the columns of all jobs is slow
        "SELECT jobs.id FROM jobs JOIN attempts AS a ON a.job = jobs.id AND a.number = jobs.attempt"
        f" WHERE {where} ORDER BY a.seconds DESC, jobs.id LIMIT :limit"
    )
    sql = f"SELECT {JOB_COLUMNS} FROM jobs {LAST_ATTEMPT} WHERE jobs.id IN ({top}) ORDER BY a.seconds DESC, jobs.id"
    return [job_row(row) for row in store.fetch(sql, {**named, "limit": limit})]


def next_due(store: Store, selection: Selection) -> int | None:
    """When the first scheduled job of the selection is due; None if there is none."""
    where, named = condition(selection.in_state("scheduled"))
    due = f"SELECT min(iif(due_from > :now, :now + due_at - due_from, due_at)) FROM jobs WHERE {where}"  # as due_by
    ((first,),) = store.fetch(due, named | {"now": clock.now()})
    return None if first is None else int(first)
