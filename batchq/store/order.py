"""The order of jobs: ``after`` and ``after_any``. Who waits for whom, and what the end of a job does to those below it.

A blocked or held job knows how many of its parents are not over (``open_parents``). All of it is set-based: a parent
with a million children costs a few statements.
"""

import difflib
import json
import sqlite3
from typing import NamedTuple

from batchq.errors import InputError
from batchq.store import states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from batchq.jobs.model import JobSpec

_ENTER = "INSERT OR REPLACE INTO dependencies"
#: What a job forgets that is to run once more
AFRESH = "failures = 0, crashes = 0, interruptions = 0, cancel_asked = 0, finished_at = NULL, why = NULL, cause = NULL"
_LISTED = "(SELECT value FROM json_each(:jobs))"
_IS_OPEN = """
EXISTS (SELECT 1 FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
    WHERE d.child = jobs.id AND p.finished_at IS NULL)"""
_OPEN_PARENTS = """
(SELECT count(*) FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
    WHERE d.child = jobs.id AND p.finished_at IS NULL)"""


# --- binding new jobs to their parents ---------------------------------------------------------------------------------


def bind(
    db: sqlite3.Connection,
    ties: "Sequence[tuple[int, JobSpec]]",
    named: "Mapping[str, Sequence[int]]",
    gone: "Mapping[int, str | None]",
    first: int,
    now: int,
) -> None:
    """Enter what the jobs of ``ties`` run after, and block, or cancel, those whose parents demand it.

    ``named`` are the jobs of this add by name, the first of which is ``first``; ``gone`` tells how jobs ended that this
    add knows by key and that were pruned. Raises InputError for a parent that does not exist and for a circle.
    """
    for job, spec in ties:
        for kind, words in (("after_any", spec.after_any), ("after", spec.after)):
            for word in words:
                _tie(db, job, spec, kind, word, named, gone)
    jobs = {"jobs": json.dumps([job for job, _ in ties])}
    _refuse_circles(db, ties, first)
    for source in ("queued", "scheduled"):
        where = f"id IN {_LISTED} AND {_IS_OPEN}"
        states.move(db, source, "blocked", where, jobs, also=f"open_parents = {_OPEN_PARENTS}")
    db.execute(f"UPDATE jobs SET open_parents = {_OPEN_PARENTS} WHERE state = 'held' AND id IN {_LISTED}", jobs)
    dead = db.execute(
        f"SELECT DISTINCT p.id FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent WHERE d.child IN {_LISTED}"
        " AND d.kind = 'after' AND p.state IN ('failed', 'cancelled')",
        jobs,
    ).fetchall()
    ended = _cancel_below(db, [id for (id,) in dead], now)
    while ended:
        ended = _close(db, ended, ended, now)


def _tie(
    db: sqlite3.Connection,
    job: int,
    spec: "JobSpec",
    kind: str,
    word: str,
    named: "Mapping[str, Sequence[int]]",
    gone: "Mapping[int, str | None]",
) -> None:
    """Enter the jobs that ``word`` means: a batch, the jobs of that name of this add, an id, or that name in the batch."""
    if word.startswith("batch:"):
        _tie_to_batch(db, job, spec, kind, word.removeprefix("batch:"))
    elif parents := [parent for parent in named.get(word, ()) if parent != job]:
        _tie_to_jobs(db, job, spec, kind, parents, gone)
    elif word.isdecimal():
        _tie_to_jobs(db, job, spec, kind, [int(word)], gone)
    else:
        _tie_to_name(db, job, spec, kind, word, named)


def _tie_to_batch(db: sqlite3.Connection, job: int, spec: "JobSpec", kind: str, batch: str) -> None:
    if batch == spec.batch:
        raise _wrong(spec, kind, f"names its own batch {batch!r}: name the jobs instead")
    also = "" if batch == "default" else " AND batch <> 'default'"  # or SQLite would not use the index
    found = db.execute(f"{_ENTER} SELECT ?, id, ? FROM jobs WHERE batch = ?{also}", (job, kind, batch)).rowcount
    if not found:
        near = _near(batch, db.execute("SELECT DISTINCT batch FROM counters ORDER BY batch LIMIT 1000"))
        raise _wrong(spec, kind, f"names the batch {batch!r}, which has no jobs{near}")


def _tie_to_jobs(
    db: sqlite3.Connection,
    job: int,
    spec: "JobSpec",
    kind: str,
    parents: "Sequence[int]",
    gone: "Mapping[int, str | None]",
) -> None:
    for parent in parents:
        if parent == job:
            raise _wrong(spec, kind, "names the job itself")
        if (
            not _is_gone(spec, kind, parent, gone)
            and not db.execute("SELECT 1 FROM jobs WHERE id = ?", (parent,)).fetchone()
        ):
            raise _wrong(spec, kind, f"names job {parent}, which does not exist")
    db.executemany(f"{_ENTER} VALUES (?, ?, ?)", [(job, parent, kind) for parent in parents if parent not in gone])


def _tie_to_name(
    db: sqlite3.Connection, job: int, spec: "JobSpec", kind: str, word: str, named: "Mapping[str, Sequence[int]]"
) -> None:
    found = db.execute(
        f"{_ENTER} SELECT ?1, id, ?2 FROM jobs WHERE name = ?3 AND batch = ?4 AND id <> ?1",
        (job, kind, word, spec.batch),
    ).rowcount
    if not found:
        others = db.execute(
            "SELECT DISTINCT name FROM jobs WHERE batch = ? AND name IS NOT NULL LIMIT 1000", (spec.batch,)
        )
        near = _near(word, [*((name,) for name in named if name != spec.name), *others])
        raise _wrong(spec, kind, f"names {word!r}, but neither this add nor batch {spec.batch!r} has such a job{near}")


def _is_gone(spec: "JobSpec", kind: str, parent: int, gone: "Mapping[int, str | None]") -> bool:
    """Whether a parent was pruned: it is over, and only its end still counts."""
    if parent not in gone:
        return False
    if kind == "after" and gone[parent] in ("failed", "cancelled"):
        raise _wrong(spec, kind, f"names job {parent}, which was {gone[parent]} and is pruned since: add that one anew")
    return True


def _wrong(spec: "JobSpec", kind: str, problem: str) -> InputError:
    return InputError(f"{spec.where}: field {kind!r} {problem}")


def _near(word: str, known: "Iterable[tuple[str]]") -> str:
    near = difflib.get_close_matches(word, [name for (name,) in known], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _refuse_circles(db: sqlite3.Connection, ties: "Sequence[tuple[int, JobSpec]]", first: int) -> None:
    """InputError if some of the jobs wait for each other, by Kahn's algorithm (1962)."""
    waiting: dict[int, set[int]] = {}
    for child, parent in db.execute(
        "SELECT child, parent FROM dependencies WHERE child >= ? AND parent >= ?1", (first,)
    ):
        waiting.setdefault(child, set()).add(parent)
    below: dict[int, list[int]] = {}
    for child, parents in waiting.items():
        for parent in parents:
            below.setdefault(parent, []).append(child)
    free = [parent for parent in below if parent not in waiting]
    while free:
        for child in below.get(parent := free.pop(), ()):
            waiting[child].discard(parent)
            if not waiting[child]:
                del waiting[child]
                free.append(child)
    # A job that was there before and is replaced now can close a circle through older jobs.
    circle = _circle(waiting) if waiting else _old_circle(db, [job for job, _ in ties if job < first])
    if circle:
        specs = dict(ties)
        spec = specs[circle[0]]
        shown = " → ".join(_label(job, specs) for job in [*circle[:8], circle[0]])
        raise _wrong(
            spec, "after" if spec.after else "after_any", f"closes a circle, in which no job could ever run: {shown}"
        )


def _circle(waiting: "Mapping[int, set[int]]") -> list[int]:
    path: list[int] = []
    job = min(waiting)
    while job not in path:
        path.append(job)
        job = min(parent for parent in waiting[job] if parent in waiting)
    return path[path.index(job) :]


def _old_circle(db: sqlite3.Connection, replaced: "Iterable[int]") -> list[int]:
    above = """
        WITH RECURSIVE above (id) AS (
            SELECT parent FROM dependencies WHERE child = :job
            UNION SELECT d.parent FROM dependencies AS d JOIN above ON d.child = above.id)
        SELECT 1 FROM above WHERE id = :job"""
    return [job for job in replaced if db.execute(above, {"job": job}).fetchone()][:1]


def _label(job: int, specs: "Mapping[int, JobSpec]") -> str:
    return (specs[job].name if job in specs else None) or f"job {job}"


# --- what the end of a job does ----------------------------------------------------------------------------------------


def over(db: sqlite3.Connection, ended: "Sequence[int]", dead: "Sequence[int]", now: int) -> int:
    """Some jobs are over, those of ``dead`` without success: free who waited for the last of them, cancel who cannot run.

    How many were cancelled.
    """
    cancelled = 0
    if ended and has_any(db):
        while ended:
            ended = dead = _close(db, ended, dead, now)
            cancelled += len(ended)
    return cancelled


def _close(db: sqlite3.Connection, ended: "Sequence[int]", dead: "Sequence[int]", now: int) -> list[int]:
    """One level down; the jobs that were cancelled there."""
    cancelled = _cancel_below(db, dead, now)
    freed = db.execute(
        """
        UPDATE jobs SET open_parents = open_parents - gone.n,
            state = CASE WHEN state = 'held' OR open_parents > gone.n THEN state
                WHEN due_at > :now THEN 'scheduled' ELSE 'queued' END,
            why = CASE WHEN state = 'held' OR open_parents > gone.n THEN why WHEN due_at > :now THEN 'delay' END,
            due_at = CASE WHEN state = 'held' OR open_parents > gone.n OR due_at > :now THEN due_at END
        FROM (SELECT child, count(*) AS n FROM dependencies
            WHERE parent IN (SELECT value FROM json_each(:jobs)) GROUP BY child) AS gone
        WHERE jobs.id = gone.child AND jobs.state IN ('blocked', 'held')
        RETURNING state, queue, batch""",
        {"jobs": json.dumps(ended), "now": now},
    ).fetchall()
    moves = (("blocked", *cell) for cell in freed if cell[0] in ("queued", "scheduled"))
    states.count(db, states.tally_moves(moves))
    return cancelled


def _cancel_below(db: sqlite3.Connection, dead: "Sequence[int]", now: int) -> list[int]:
    """Cancel the jobs that run only after the success of one of the ``dead``; their ids."""
    if not dead:
        return []
    named = {"jobs": json.dumps(dead), "now": now}
    below = f"SELECT child FROM dependencies WHERE parent IN {_LISTED} AND kind = 'after'"
    cancelled = [
        id
        for (id,) in db.execute(
            f"SELECT id FROM jobs WHERE id IN ({below}) AND state IN ('queued', 'scheduled', 'blocked', 'held')", named
        )
    ]
    if cancelled:
        cause = (
            f"(SELECT min(parent) FROM dependencies WHERE child = jobs.id AND kind = 'after' AND parent IN {_LISTED})"
        )
        also = (
            f"cause = {cause}, finished_at = :now, due_at = NULL, why = (SELECT 'job ' || p.id || coalesce(' (' || p.name"
            " || ')', '') || ', after which it was to run, '"
            f" || iif(p.state = 'failed', 'failed', 'was cancelled') FROM jobs AS p WHERE p.id = {cause})"
        )
        for source in ("queued", "scheduled", "blocked", "held"):
            states.move(db, source, "cancelled", f"id IN ({below})", named, also)
    return cancelled


# --- what a retry does -------------------------------------------------------------------------------------------------


def has_any(db: sqlite3.Connection) -> bool:
    """Whether some job of the store runs after another."""
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM dependencies)").fetchone()[0])


class Opened(NamedTuple):
    """How many jobs of the chosen ones left each final state, how many others came back with them, and the ids of the
    chosen ones."""

    chosen: dict[str, int]
    followed: int
    ids: list[int]


def reopen(db: sqlite3.Connection, where: str, named: "Mapping[str, object]") -> Opened:
    """Open the jobs that are over and fulfil ``where`` once more, and those below them that were cancelled because of them.

    Each becomes queued, or blocked by parents that are not over. A job stays cancelled whose parent has failed and is
    not opened with it.
    """
    db.execute("CREATE TEMP TABLE reopened (id INTEGER PRIMARY KEY, chosen INTEGER)")
    try:
        db.execute(f"INSERT INTO reopened SELECT jobs.id, 1 FROM jobs WHERE {where}", named)
        db.execute(_REVIVE)
        db.execute(_STAY_DEAD)
        chosen = dict(
            db.execute(
                "SELECT state, count(*) FROM reopened JOIN jobs ON jobs.id = reopened.id WHERE chosen GROUP BY state"
            ).fetchall()
        )
        total = 0
        for source in ("failed", "cancelled", "succeeded"):
            for target, waits in (("blocked", _WAITS), ("queued", f"NOT {_WAITS}")):
                mine = f"id IN (SELECT id FROM reopened) AND {waits}"
                total += states.move(db, source, target, mine, {}, f"{AFRESH}, open_parents = {_WAITED_FOR}")
        db.execute(
            f"UPDATE jobs SET open_parents = {_OPEN_PARENTS} WHERE state IN ('blocked', 'held')"
            " AND id IN (SELECT child FROM dependencies WHERE parent IN (SELECT id FROM reopened))"
        )
        ids = [id for (id,) in db.execute("SELECT id FROM reopened WHERE chosen ORDER BY id")]
    finally:
        db.execute("DROP TABLE reopened")
    return Opened(chosen, total - sum(chosen.values()), ids)


_REVIVE = """
INSERT OR IGNORE INTO reopened
WITH RECURSIVE below (id) AS (
    SELECT id FROM reopened
    UNION SELECT jobs.id FROM below JOIN dependencies AS d ON d.parent = below.id
        JOIN jobs ON jobs.id = d.child AND jobs.state = 'cancelled' AND jobs.cause = below.id)
SELECT id, 0 FROM below"""
# A parent that is dead and not reopened keeps its children, and theirs, where they are.
_STAY_DEAD = """
DELETE FROM reopened WHERE id IN (
    WITH RECURSIVE stuck (id) AS (
        SELECT d.child FROM reopened JOIN dependencies AS d ON d.child = reopened.id AND d.kind = 'after'
            JOIN jobs AS p ON p.id = d.parent AND p.state IN ('failed', 'cancelled')
            WHERE p.id NOT IN (SELECT id FROM reopened)
        UNION SELECT d.child FROM stuck JOIN dependencies AS d ON d.parent = stuck.id AND d.kind = 'after'
            WHERE d.child IN (SELECT id FROM reopened))
    SELECT id FROM stuck)"""
_PARENT_WAITS = """
FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent
    WHERE d.child = jobs.id AND (p.finished_at IS NULL OR p.id IN (SELECT id FROM reopened))"""
_WAITS = f"EXISTS (SELECT 1 {_PARENT_WAITS})"
_WAITED_FOR = f"(SELECT count(*) {_PARENT_WAITS})"
