"""Jobs that an add knows by their key take another definition: the same id, the same past, other work."""

import _sqlite3 as sqlite3
import json
import os

from batchq.jobs.identity import meaning
from batchq.store import reopening, states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchq.jobs.model import JobSpec

    Revised = tuple[int, JobSpec, int, tuple[str, int | None, str | None]]  # with context; and state, due time and why


# An old job may get a context that a prune has just found unused.
_MOVED = "INSERT INTO settings VALUES ('moved_jobs', 1) ON CONFLICT DO UPDATE SET value = value + 1"


def take(db: sqlite3.Connection, jobs: "Sequence[Revised]") -> list[int]:
    """Give each job its new definition. It begins anew; what was cancelled because it had failed comes back with it.

    Where that is much, it is left to ``reopening.follow``: the jobs below which that is still to be done are returned.
    """
    ids = {"ids": json.dumps([job for job, *_ in jobs])}
    db.execute("DELETE FROM dependencies WHERE child IN (SELECT value FROM json_each(:ids))", ids)
    over = "jobs.finished_at IS NOT NULL AND jobs.id IN (SELECT value FROM json_each(:ids))"
    if db.execute(f"SELECT 1 FROM jobs WHERE {over} LIMIT 1", ids).fetchone():
        is_much_left = reopening.reopen_near(db, over, ids)
    else:
        is_much_left = False
    db.execute(_MOVED)
    for job, spec, context, start in jobs:
        _define(db, job, spec, context, start)
    return [job for job, *_ in jobs] if is_much_left else []


def _define(
    db: sqlite3.Connection, job: int, spec: "JobSpec", context: int, start: "tuple[str, int | None, str | None]"
) -> None:
    before = db.execute("SELECT state, queue, batch FROM jobs WHERE id = ?", (job,)).fetchone()
    state, due_at, why = start
    values = {
        "context": context, "state": state, "due_at": due_at,
        "due_from": due_at - spec.delay if due_at is not None and spec.delay else None,
        "why": why, "batch": spec.batch, "queue": spec.queue,
        "kind": spec.kind, "work": spec.work, "name": spec.name, "priority": spec.priority,
        "max_attempts": spec.max_attempts, "backoff": spec.backoff, "max_crashes": spec.max_crashes,
        "on_crash": spec.on_crash, "timeout": spec.timeout, "env": spec.env, "stdin": spec.stdin,
        "umask": spec.umask, "tags": spec.tags, "leftovers": spec.leftovers, "slots": spec.slots,
        "inputs": spec.inputs, "retry_on": spec.retry_on, "no_retry_on": spec.no_retry_on,
        "retry_timeout_factor": spec.retry_timeout_factor, "max_snoozes": spec.max_snoozes,
        "python": spec.python, "fresh": spec.fresh, "snoozes": 0, "open_parents": 0, "failures": 0, "crashes": 0,
        "interruptions": 0,
    }  # fmt: skip
    db.execute(
        f"UPDATE jobs SET {', '.join(f'{name} = :{name}' for name in values)} WHERE id = :id", values | {"id": job}
    )
    states.count(db, {before: -1})
    states.count(db, {(state, spec.queue, spec.batch): 1})


def differs(db: sqlite3.Connection, job: int, spec: "JobSpec") -> bool:
    """Whether a stored job was to do something else than ``spec``: other work, folder, stdin, variables, umask or inputs.

    How it is to be run (its limits, its queue, its name) is not compared.
    """
    kind, work, env, stdin, umask, inputs, cwd = db.execute(
        "SELECT kind, work, env, stdin, umask, inputs, cwd FROM jobs LEFT JOIN contexts ON contexts.id = jobs.context"
        " WHERE jobs.id = ?",
        (job,),
    ).fetchone()
    if (kind, umask, inputs) != (spec.kind, spec.umask, spec.inputs):
        return True
    return meaning(kind, work, os.fsdecode(cwd or b""), stdin, env) != meaning(
        spec.kind, spec.work, spec.cwd, spec.stdin, spec.env
    )
