"""Giving known jobs a new definition: the id and the attempts stay, the work changes."""

import _sqlite3 as sqlite3
import json
import os

from batchq.jobs.identity import meaning
from batchq.store import reopening, states
from batchq.store.adding.rows import DEFINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchq.jobs.model import JobSpec
    from batchq.store.adding.rows import Row

    Revised = tuple[int, JobSpec, Row]  # with the new values of the columns ``DEFINED``


_ANEW = dict.fromkeys(("snoozes", "open_parents", "failures", "crashes", "interruptions"), 0)
# A counter for prune: an old job may get a context that a prune has just found unused.
_MOVED = "INSERT INTO settings VALUES ('moved_jobs', 1) ON CONFLICT DO UPDATE SET value = value + 1"


def take(db: sqlite3.Connection, jobs: "Sequence[Revised]") -> list[int]:
    """Give each job its new definition and requeue it, with the jobs that were cancelled because it had failed.

    If those are many, they are left to ``reopening.follow``: returns the jobs below which that is still to be done.
    """
    ids = {"ids": json.dumps([job for job, *_ in jobs])}
    db.execute("DELETE FROM dependencies WHERE child IN (SELECT value FROM json_each(:ids))", ids)
    over = "jobs.finished_at IS NOT NULL AND jobs.id IN (SELECT value FROM json_each(:ids))"
    if db.execute(f"SELECT 1 FROM jobs WHERE {over} LIMIT 1", ids).fetchone():
        is_much_left = reopening.reopen_near(db, over, ids)
    else:
        is_much_left = False
    db.execute(_MOVED)
    for job, spec, definition in jobs:
        _define(db, job, spec, definition)
    return [job for job, *_ in jobs] if is_much_left else []


def _define(db: sqlite3.Connection, job: int, spec: "JobSpec", definition: "Row") -> None:
    before = db.execute("SELECT state, queue, batch FROM jobs WHERE id = ?", (job,)).fetchone()
    values = dict(zip(DEFINED, definition, strict=True)) | {"name": spec.name, "work": spec.work} | _ANEW
    db.execute(
        f"UPDATE jobs SET {', '.join(f'{name} = :{name}' for name in values)} WHERE id = :id", values | {"id": job}
    )
    states.count(db, {before: -1})
    states.count(db, {(str(values["state"]), spec.terms.queue, spec.terms.batch): 1})


def differs(db: sqlite3.Connection, job: int, spec: "JobSpec") -> bool:
    """Whether a stored job does something else than ``spec``: other work, folder, stdin, variables, umask or inputs.

    How it is run (limits, queue, name) is not compared.
    """
    kind, work, env, stdin, umask, inputs, cwd = db.execute(
        "SELECT kind, work, env, stdin, umask, inputs, cwd FROM jobs LEFT JOIN contexts ON contexts.id = jobs.context"
        " WHERE jobs.id = ?",
        (job,),
    ).fetchone()
    if (kind, umask, inputs) != (spec.kind, spec.terms.umask, spec.terms.inputs):
        return True
    return meaning(kind, work, os.fsdecode(cwd or b""), stdin, env) != meaning(
        spec.kind, spec.work, spec.terms.cwd, spec.terms.stdin, spec.terms.env
    )
