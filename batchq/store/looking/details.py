"""One job in full: all its attempts, what it depends on, and where it ran."""

import json
import os

from batchq.jobs.fields import COLUMNS
from batchq.jobs.selection import of_ids
from batchq.store.file.connection import Store
from batchq.store.looking import queries
from batchq.store.looking.rows import Attempt, Detail, End, Filed, Job, Parent
from batchq.store.running import runners


def job(store: Store, id: int) -> Detail:
    """One job with all its attempts. Raises MissingError."""
    queries.require(store, of_ids([id]))
    (found,) = queries.jobs(store, of_ids([id]), 1)
    (row,) = store.fetch(
        "SELECT add_id, cwd, path, env, length(stdin), umask, timeout, backoff, on_crash, max_crashes, interruptions,"
        f" cancel_asked, {', '.join(COLUMNS)} FROM jobs LEFT JOIN contexts ON contexts.id = jobs.context"
        " WHERE jobs.id = :id",
        {"id": id},
    )
    (add_id, cwd, path, env, *rest, asked), terms = row[:12], dict(zip(COLUMNS, row[12:], strict=True))
    place = (os.fsdecode(cwd or b""), os.fsdecode(path or b""))  # None: a damaged store has lost its folder
    names = tuple(json.loads(env)) if env else ()
    attempts = _attempts(store, found, row[6])
    return Detail._make((found, add_id, *place, names, *rest, bool(asked), attempts, terms))


def parents(store: Store, where: str, parameters: tuple[int, int]) -> list[Parent]:
    """Jobs ``p`` after which others run, by the rows ``d`` of ``dependencies``."""
    rows = store.fetch(
        f"SELECT p.id, p.name, p.state, d.kind FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent WHERE {where}",
        parameters,
    )
    found = [Parent(*row) for row in rows]
    died = runners.lost_jobs(store, [one.id for one in found if one.state == "running"])
    return [one._replace(state="lost") if one.id in died else one for one in found]


def parents_of(store: Store, id: int, limit: int) -> list[Parent]:
    """The first ``limit`` jobs after which a job runs."""
    return parents(store, "d.child = ? ORDER BY p.id LIMIT ?", (id, limit))


def host(store: Store, job: int, attempt: int) -> str | None:
    """Where an attempt that has ended ran; None on the machine of its run."""
    rows = store.fetch("SELECT host FROM attempts WHERE job = ? AND number = ?", (job, attempt))
    return rows[0][0] if rows else None


def _attempts(store: Store, job: Job, timeout: int | None) -> tuple[Attempt, ...]:
    printed: dict[tuple[int, str], int] = {
        (number, stream): total
        for number, stream, total in store.fetch(
            "SELECT number, stream, total FROM outputs WHERE job = :id", {"id": job.id}
        )
    }
    logs: dict[int, list[Filed]] = {}
    for number, *log in store.fetch(
        "SELECT number, stream, path, trouble FROM logs WHERE job = :id ORDER BY number, stream DESC", {"id": job.id}
    ):
        logs.setdefault(number, []).append(queries.filed(*log))
    rows = store.fetch(
        "SELECT number, started_at, finished_at, seconds, cpu_seconds, peak_kib, leftovers, threads, result, traceback,"
        " runner, outcome, exit_code, signal, error_type, error, cause, host FROM attempts WHERE job = :id"
        " ORDER BY number",
        {"id": job.id},
    )
    if job.state == "running":
        rows.append((job.attempt, job.started_at, *(None,) * 4, 0, 0, *(None,) * 9, job.host))
    return tuple(
        Attempt._make(
            (
                *row[:11],
                printed.get((row[0], "stdout"), 0),
                printed.get((row[0], "stderr"), 0),
                None if row[11] is None else End._make((*row[11:16], timeout, row[16])),
                row[17],
                tuple(logs.get(row[0], ())),
            )
        )
        for row in rows
    )
