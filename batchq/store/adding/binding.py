"""Binding new jobs to the jobs after which they run: by name, id, batch or add. Jobs that could never run are refused."""

import _sqlite3 as sqlite3
import json

from batchq.errors import InputError
from batchq.jobs.selection import Selection, is_glob, range_of
from batchq.jobs.work import did_you_mean
from batchq.store import order
from batchq.store.adding import keys
from batchq.store.selecting import condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from batchq.jobs.model import JobSpec

    Ties = Sequence[tuple[int, JobSpec]]  # jobs that run after others, with their definitions

#: The kinds of ties, the strictest last: of two to the same job that one stays.
KINDS = ("after_any", "after_failed", "after")
_ENTER = "INSERT OR REPLACE INTO dependencies"
_SHOWN = 8  #: jobs of a circle


class Binder:
    """Binds the jobs of one add. The ids of its new ones begin with ``first``; ``named`` are its known ones, by name;
    ``gone`` are those that are known by key but pruned, with their final states."""

    def __init__(
        self, db: sqlite3.Connection, named: "Mapping[str, Sequence[int]]", gone: "Mapping[int, str | None]", first: int
    ) -> None:
        self._db = db
        self._named = named
        self._gone = gone
        self._first = first
        self._alike: dict[str, list[int]] = {}  # jobs of this add, by the glob that their names are like
        self._sure: set[JobSpec] = set()  # those for which a pruned parent in ``after_failed`` has failed already
        self.is_after_nothing = False  # whether one of them has ``after = ["last"]``, and the last add stored nothing

    def bind(self, ties: "Ties", now: int) -> None:
        """Store the dependencies of the jobs, and block or cancel those whose parents require it.

        Raises InputError for a parent that does not exist and for a circle.
        """
        for job, spec in ties:
            for kind in KINDS:
                for word in getattr(spec, kind):
                    self._tie(job, spec, kind, word)
            if spec.after_failed:
                self._check_hope(job, spec)
        _refuse_circles(self._db, ties, self._first)
        order.block(self._db, [job for job, _ in ties], now)

    def _tie(self, job: int, spec: "JobSpec", kind: str, word: str) -> None:
        """Add the parents that ``word`` means: a batch, an id, a name, or if there is none, ids, a glob, or several words.

        A name or glob means jobs of this add, else of the batch of the job.
        """
        if word.startswith("batch:"):
            self._tie_to_batch(job, spec, kind, word.removeprefix("batch:"))
        elif word.startswith("id:"):
            self._tie_to_jobs(job, spec, kind, [int(word.removeprefix("id:"))])
        elif parents := [parent for parent in self._of_this_add(word) if parent != job]:
            self._tie_to_jobs(job, spec, kind, parents)
        elif word == "last":
            self._tie_to_last(job, kind)
        elif self._tie_to_name(job, spec, kind, word):
            pass
        elif ids := range_of(word):
            self._tie_to_ids(job, spec, kind, *ids)
        elif is_glob(word) and self._tie_to_glob(job, spec, kind, word):
            pass
        elif "," in word:
            for piece in word.split(","):
                self._tie(job, spec, kind, piece.strip())
        else:
            raise self._unknown(spec, kind, word)

    def _of_this_add(self, name: str) -> list[int]:
        new = self._db.execute("SELECT id FROM jobs WHERE name = ? AND id >= ?", (name, self._first))
        return [*self._named.get(name, ()), *(id for (id,) in new)]

    def _tie_to_last(self, job: int, kind: str) -> None:
        """Add the jobs of the previous add as parents; none if it stored nothing."""
        where, named = condition(Selection(last=True))
        sql = f"{_ENTER} SELECT :job, jobs.id, :kind FROM jobs WHERE ({where}) AND jobs.id <> :job"
        if not self._db.execute(sql, named | {"job": job, "kind": kind}).rowcount:
            stored = (
                "SELECT 1 FROM (SELECT jobs, again FROM adds ORDER BY id DESC LIMIT 1) WHERE jobs > 0 OR again <> ''"
            )
            self.is_after_nothing = self.is_after_nothing or self._db.execute(stored).fetchone() is None

    def _tie_to_batch(self, job: int, spec: "JobSpec", kind: str, batch: str) -> None:
        if batch == spec.terms.batch:
            raise _wrong(spec, kind, f"names its own batch {batch!r}: name the jobs instead")
        also = "" if batch == "default" else " AND batch <> 'default'"  # or SQLite would not use the index
        sql = f"{_ENTER} SELECT ?, id, ? FROM jobs WHERE batch = ?{also}"
        if not self._db.execute(sql, (job, kind, batch)).rowcount:
            known = self._db.execute("SELECT DISTINCT batch FROM counters ORDER BY batch LIMIT 1000")
            near = did_you_mean(batch, [name for (name,) in known])
            raise _wrong(spec, kind, f"names the batch {batch!r}, which has no jobs{near}")

    def _tie_to_jobs(self, job: int, spec: "JobSpec", kind: str, parents: "Sequence[int]") -> None:
        there = []
        for parent in parents:
            if parent == job:
                raise _wrong(spec, kind, "names the job itself")
            if self._db.execute("SELECT 1 FROM jobs WHERE id = ?", (parent,)).fetchone():
                there.append(parent)
            else:
                self._refuse_gone(spec, kind, parent)
        self._db.executemany(f"{_ENTER} VALUES (?, ?, ?)", [(job, parent, kind) for parent in there])

    def _refuse_gone(self, spec: "JobSpec", kind: str, parent: int) -> None:
        """Raise InputError for a parent that does not exist, or was pruned after it failed; other pruned ones are fine."""
        if parent in self._gone:
            state = self._gone[parent]
        elif parent in (known := keys.pruned(self._db, parent, parent)):
            state = known[parent][0]
        else:
            raise _wrong(spec, kind, f"names job {parent}, which does not exist")
        if kind == "after" and state in ("failed", "cancelled", keys.UNNEEDED):
            raise _wrong(spec, kind, f"names job {parent}, which was {state} and is pruned since: add that one anew")
        if kind == "after_failed" and state in ("failed", "cancelled"):
            self._sure.add(spec)

    def _check_hope(self, job: int, spec: "JobSpec") -> None:
        """Let the job wait for any end of its parents in ``after_failed`` if a pruned one has failed; raise InputError if
        none of them can fail."""
        of_this = "child = ? AND kind = 'after_failed'"
        if spec in self._sure:
            self._db.execute(f"UPDATE dependencies SET kind = 'after_any' WHERE {of_this}", (job,))
        elif self._db.execute(f"SELECT 1 FROM dependencies WHERE {of_this}", (job,)).fetchone() is None:
            raise _wrong(spec, "after_failed", "names no job that can still fail, so this one would never run")

    def _tie_to_ids(self, job: int, spec: "JobSpec", kind: str, low: int, high: int) -> None:
        """Add the other jobs in a range of ids as parents; of one id it must be there, of a range some."""
        if low == high:
            self._tie_to_jobs(job, spec, kind, [low])
            return
        sql = f"{_ENTER} SELECT ?1, id, ?2 FROM jobs WHERE id BETWEEN ?3 AND ?4 AND id <> ?1"
        found = self._db.execute(sql, (job, kind, low, high)).rowcount
        gone = keys.pruned(self._db, low, high)
        for parent in gone:
            self._refuse_gone(spec, kind, parent)
        if not found and not gone:
            raise _wrong(spec, kind, f"names {low}-{high}, but no job has this name, and none has one of these ids")

    def _tie_to_glob(self, job: int, spec: "JobSpec", kind: str, glob: str) -> bool:
        """Add the jobs with a name like ``glob`` as parents: of this add, else of the batch; return whether any."""
        if glob not in self._alike:
            new = self._db.execute("SELECT id FROM jobs WHERE name GLOB ? AND id >= ?", (glob, self._first))
            names = json.dumps([*self._named])
            named = self._db.execute("SELECT value FROM json_each(?) WHERE value GLOB ?", (names, glob))
            known = [id for (name,) in named for id in self._named[name]]
            self._alike[glob] = [*dict.fromkeys([*known, *(id for (id,) in new)])]
        if parents := [parent for parent in self._alike[glob] if parent != job]:
            self._tie_to_jobs(job, spec, kind, parents)
            return True
        sql = f"{_ENTER} SELECT ?1, id, ?2 FROM jobs WHERE name GLOB ?3 AND batch = ?4 AND id <> ?1"
        return self._db.execute(sql, (job, kind, glob, spec.terms.batch)).rowcount > 0

    def _tie_to_name(self, job: int, spec: "JobSpec", kind: str, word: str) -> bool:
        """Add the jobs of that name in the batch as parents; return whether there were any."""
        sql = f"{_ENTER} SELECT ?1, id, ?2 FROM jobs WHERE name = ?3 AND batch = ?4 AND id <> ?1"
        return self._db.execute(sql, (job, kind, word, spec.terms.batch)).rowcount > 0

    def _unknown(self, spec: "JobSpec", kind: str, word: str) -> InputError:
        others = "SELECT DISTINCT name FROM jobs WHERE (batch = ? OR id >= ?) AND name IS NOT NULL LIMIT 1000"
        known = {*self._named, *(name for (name,) in self._db.execute(others, (spec.terms.batch, self._first)))}
        near = did_you_mean(word, sorted(known - {spec.name or ""}))
        problem = f"names {word!r}, but neither this add nor batch {spec.terms.batch!r} has such a job{near}"
        return _wrong(spec, kind, problem)


def _wrong(spec: "JobSpec", kind: str, problem: str) -> InputError:
    return InputError(f"{spec.where}: field {kind!r} {problem}")


def _refuse_circles(db: sqlite3.Connection, ties: "Ties", first: int) -> None:
    """Raise InputError if some of the jobs wait for each other, by Kahn's algorithm (1962)."""
    waiting: dict[int, set[int]] = {}
    for child, parent in _edges(db, [job for job, _ in ties], first):
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
    if waiting:
        circle, specs = _circle(waiting), dict(ties)
        begin = next(
            position for position, job in enumerate(circle) if job in specs
        )  # without them there was no circle
        circle = circle[begin:] + circle[:begin]
        spec = specs[circle[0]]
        shown = " → ".join(_label(job, specs) for job in [*circle[:_SHOWN], circle[0]])
        kind = next(kind for kind in reversed(KINDS) if getattr(spec, kind))
        raise _wrong(spec, kind, f"closes a circle, in which no job could ever run: {shown}")


def _edges(db: sqlite3.Connection, tied: "Sequence[int]", first: int) -> "Iterable[tuple[int, int]]":
    """The edges (child, parent) that may form a circle now: of the new jobs, and of everything above replaced ones."""
    if min(tied, default=first) >= first:
        return db.execute("SELECT child, parent FROM dependencies WHERE child >= ? AND parent >= ?1", (first,))
    return db.execute(
        """
        WITH RECURSIVE above (id) AS (
            SELECT value FROM json_each(?)
            UNION SELECT d.parent FROM above JOIN dependencies AS d ON d.child = above.id)
        SELECT d.child, d.parent FROM above CROSS JOIN dependencies AS d ON d.child = above.id""",
        (json.dumps(tied),),
    )


def _circle(waiting: "Mapping[int, set[int]]") -> list[int]:
    path: dict[int, int] = {}  # job -> position
    job = min(waiting)
    while job not in path:
        path[job] = len(path)
        job = min(parent for parent in waiting[job] if parent in waiting)
    return list(path)[path[job] :]


def _label(job: int, specs: "Mapping[int, JobSpec]") -> str:
    return (specs[job].name if job in specs else None) or f"job {job}"
