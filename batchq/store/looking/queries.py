"""Looking at jobs: every function only reads, takes no lock, and returns the frozen values of ``rows``."""

import _sqlite3 as sqlite3
import json
import os
from collections.abc import Iterable, Iterator

from batchq import clock
from batchq.errors import MissingError
from batchq.jobs.selection import NO_JOB, Selection
from batchq.store import ages
from batchq.store.adding import keys
from batchq.store.file.connection import Store, translated
from batchq.store.looking.rows import End, Filed, Job
from batchq.store.running import runners
from batchq.store.selecting import condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PAGE = 1000  #: jobs that are read together

JOB_COLUMNS = """
jobs.id, jobs.name, jobs.batch, jobs.queue, jobs.state, jobs.why, jobs.kind, jobs.work, jobs.priority, jobs.attempt,
jobs.max_attempts, jobs.failures, jobs.crashes, jobs.key, jobs.tags, jobs.created_at, jobs.started_at,
jobs.finished_at, jobs.due_at, a.seconds, a.traceback, a.outcome, a.exit_code, a.signal, a.error_type, a.error,
jobs.timeout, a.cause, jobs.due_from, a.cpu_seconds, a.peak_kib, a.host"""
LAST_ATTEMPT = "LEFT JOIN attempts AS a ON a.job = jobs.id AND a.number = jobs.attempt"


def jobs(store: Store, selection: Selection, limit: int, after_id: int = 0) -> list[Job]:
    """The first ``limit`` selected jobs after ``after_id``, in the order of their ids: one page of a listing."""
    left = _after(selection, after_id)
    return _jobs(store, left, "AND jobs.id > :after ORDER BY jobs.id LIMIT :limit", limit, after_id)


def _after(selection: Selection, id: int) -> Selection:
    """The selection without the ids up to this one.

    Of two lower bounds of ids SQLite uses one, and that of the selection made it read all earlier pages again.
    """
    ids, meant = (
        tuple([(max(low, id + 1), high) for low, high in ranges or () if high > id])
        for ranges in (selection.ids, selection.meant)
    )
    return selection._replace(ids=ids, meant=meant or selection.meant) if ids or meant else selection


def pages(store: Store, selection: Selection) -> Iterator[list[Job]]:
    """All selected jobs in the order of their ids, page by page."""
    after = 0
    while page := jobs(store, selection, PAGE, after):
        yield page
        after = page[-1].id


def newest(store: Store, selection: Selection, limit: int) -> list[Job]:
    """The ``limit`` newest selected jobs, in the order of their ids."""
    return _jobs(store, selection, "ORDER BY jobs.id DESC LIMIT :limit", limit)[::-1]


def results(store: Store, ids: list[int]) -> dict[int, str]:
    """What the last attempts of these jobs returned, as JSON, by job; jobs without a result are missing."""
    rows = store.fetch(
        "SELECT a.job, a.result FROM json_each(:ids) AS wanted JOIN jobs ON jobs.id = wanted.value"
        " JOIN attempts AS a ON a.job = jobs.id AND a.number = jobs.attempt WHERE a.result IS NOT NULL",
        {"ids": json.dumps(ids)},
    )
    return {job: result for job, result in rows}


def names(store: Store, ids: Iterable[int]) -> dict[int, str]:
    """The names of these jobs, by id; jobs without a name are missing."""
    rows = store.fetch(
        "SELECT id, name FROM jobs WHERE name IS NOT NULL AND id IN (SELECT value FROM json_each(?))",
        (json.dumps([*ids]),),
    )
    return dict(rows)


def failed_ids(store: Store, selection: Selection) -> Iterator[int]:
    """The ids of the failed jobs of a selection, in order, one by one."""
    where, named = condition(selection.in_state("failed"))
    try:
        for (id,) in store.db.execute(f"SELECT id FROM jobs WHERE {where} ORDER BY id", named):
            yield id
    except sqlite3.Error as error:
        raise translated(error, store.path) from error


def running_ids(store: Store) -> list[int]:
    """The ids of all jobs that are marked running."""
    return [id for (id,) in store.fetch("SELECT id FROM jobs WHERE state = 'running'")]


def cancelled_below(store: Store, ids: Iterable[int]) -> int:
    """How many jobs were cancelled because one of these had failed, directly or through others."""
    ((jobs,),) = store.fetch(
        """
        WITH RECURSIVE below (id) AS (
            SELECT value FROM json_each(:ids)
            UNION SELECT jobs.id FROM below JOIN dependencies AS d ON d.parent = below.id
                JOIN jobs ON jobs.id = d.child AND jobs.state = 'cancelled' AND jobs.cause = below.id)
        SELECT count(*) FROM below JOIN jobs ON jobs.id = below.id AND jobs.state = 'cancelled'""",
        {"ids": json.dumps([*ids])},
    )
    return int(jobs)


def require(store: Store, selection: Selection) -> None:
    """Raise MissingError if a named id, or range of ids, has no job."""
    for low, high in selection.ids if selection.ids != NO_JOB else ():
        if not is_any(store, low, high):
            if found := pruned(store, low, high):
                ((id, (state, key)), *more) = found.items()
                one = f"job {id} (key {key!r}) was pruned; all that is known of it: it {_ENDED[state]}"
                several = f"jobs {low}-{high} were pruned; all that is known of them: {keys.in_words(found)}"
                raise MissingError(several if more else one)
            if store.fetch("SELECT 1 FROM removed WHERE job BETWEEN ? AND ? LIMIT 1", (low, high)):
                one = f"job {low} was" if low == high else f"jobs {low}-{high} were"
                raise MissingError(f"{one} removed before {'it' if low == high else 'they'} started")
            jobs = f"job {low}" if low == high else f"job from {low} to {high}"
            raise MissingError(f"there is no {jobs} in {store.path}")


def is_any(store: Store, low: int, high: int) -> bool:
    """Whether there is a job with one of these ids."""
    return bool(store.fetch("SELECT 1 FROM jobs WHERE id BETWEEN ? AND ? LIMIT 1", (low, high)))


_ENDED = {"succeeded": "succeeded", "failed": "failed", "cancelled": "was cancelled"}


def pruned(store: Store, low: int, high: int) -> dict[int, tuple[str, str]]:
    """The pruned jobs in this range of ids that are still known by their keys: the final state and the key of each."""
    return keys.pruned(store.db, low, high)


def job_row(row: "tuple[Any, ...]") -> Job:
    """The Job in a row that was selected with ``JOB_COLUMNS``."""
    due = due_by(row[18], row[28], clock.now())
    end = None if row[21] is None else End._make(row[21:28])
    return Job._make((*row[:18], due, *row[19:21], end, False, (), None, *row[29:]))


def due_by(due_at: int | None, due_from: int | None, now: int) -> int | None:
    """When a job is due: if the clock was set back, the next run starts its delay anew."""
    if due_at is None or due_from is None or due_from <= now:
        return due_at
    return now + due_at - due_from


def _jobs(store: Store, selection: Selection, rest: str, limit: int, after: int = 0) -> list[Job]:
    where, named = condition(selection)
    sql = f"SELECT {JOB_COLUMNS} FROM jobs {LAST_ATTEMPT} WHERE {where} {rest}"
    found = [job_row(row) for row in store.fetch(sql, {**named, "limit": limit, "after": after})]
    found = _with_logs(store, found)
    if running := [job.id for job in found if job.state == "running"]:
        lost_ids = runners.lost_jobs(store, running)
        passed, hosts = ages.of_running(store, running), _hosts(store, running)
        found = [
            job._replace(is_lost=job.id in lost_ids, age=passed.get(job.id), host=hosts.get(job.id, job.host))
            for job in found
        ]
    return found


def _hosts(store: Store, running: list[int]) -> dict[int, str]:
    """Where those of the running jobs run that run elsewhere, if that is known yet."""
    rows = store.fetch(
        "SELECT jobs.id, p.host FROM json_each(?) AS wanted JOIN jobs ON jobs.id = wanted.value"
        " JOIN processes AS p ON p.job = jobs.id AND p.token = jobs.token WHERE p.host IS NOT NULL",
        (json.dumps(running),),
    )
    return dict(rows)


def lost(store: Store, selection: Selection) -> int:
    """How many of the selected jobs are ``running`` in the store although their run has died."""
    where, named = condition(selection.in_state("running"))
    rows = store.fetch(f"SELECT runner, count(*) FROM jobs WHERE {where} GROUP BY runner", named)
    gone = runners.dead(store, {runner for runner, _ in rows})
    return sum(jobs for runner, jobs in rows if runner in gone)


def _with_logs(store: Store, jobs: list[Job]) -> list[Job]:
    """The same jobs with the logs of their last attempts."""
    found: dict[tuple[int, int], list[Filed]] = {}
    for job, number, *log in store.fetch(
        "SELECT job, number, stream, path, trouble FROM logs WHERE job IN (SELECT value FROM json_each(:ids))"
        " ORDER BY job, number, stream DESC",
        {"ids": json.dumps([job.id for job in jobs])},
    ):
        found.setdefault((job, number), []).append(filed(*log))
    return [one._replace(logs=tuple(found.get((one.id, one.attempt), ()))) for one in jobs] if found else jobs


def filed(stream: str, path: bytes, trouble: str | None) -> Filed:
    """A log, of the columns that name it."""
    return Filed(stream, os.fsdecode(path), trouble)
