"""Adding jobs: one transaction, all of them or none."""

import os

from batchq import clock, failpoints
from batchq.store import states

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from batchq.jobs.model import JobSpec
    from batchq.store.connection import Store

_SHARED = (
    "add_id, created_at, context, state, due_at, why, batch, queue, kind, priority, max_attempts, backoff,"
    " max_crashes, on_crash, timeout, env, stdin, umask, tags, leftovers"
)
_OWN = "id, name, key, work"
_INSERT = f"INSERT INTO jobs ({_SHARED}, {_OWN}) VALUES ({'?, ' * 20}?, ?, ?, ?)"
_LONG_RUN = 16  #: jobs that differ in name, key and work alone, from which a statement of their own pays


def add(store: "Store", specs: "Iterable[JobSpec]") -> list[int]:
    """Store the jobs and return their ids, in order.

    A job whose ``key`` is known is not stored again: the id of the first job of that key stands in its place.
    Ids grow and are never given twice, also after pruning. An error of ``specs`` itself leaves the store untouched.
    """
    with store.writing() as db:
        first = db.execute("SELECT value + 1 FROM settings WHERE name = 'last_job'").fetchone()[0]
        intake = _Intake(db, first)
        intake.store(specs)
        failpoints.hit("add_before_commit")
    return intake.ids


class _Intake:
    """The state of one add: which ids it has given, and what it must note when the rows are in."""

    def __init__(self, db: "sqlite3.Connection", first: int) -> None:
        self.ids: list[int] = []
        self._db = db
        self._first = first
        self._next = first
        self._now = clock.now()
        self._contexts: dict[tuple[str, str], int] = {}
        self._keys: dict[str, int] = {}

    def store(self, specs: "Iterable[JobSpec]") -> None:
        now, first = self._now, self._first
        single: list[tuple[object, ...]] = []
        shared: tuple[object, ...] = ()
        run: list[tuple[object, ...]] = []
        for spec in specs:
            if spec.key is not None and (known := self._known(spec.key)):
                self.ids.append(known)
                continue
            job = self._next
            self._next += 1
            self.ids.append(job)
            if spec.key is not None:
                self._keys[spec.key] = job
            place = (spec.cwd, spec.path)
            before, shared = shared, (
                first, now, self._contexts.get(place) or self._context(place), *self._start(spec), spec.batch,
                spec.queue, spec.kind, spec.priority, spec.max_attempts, spec.backoff, spec.max_crashes,
                spec.on_crash, spec.timeout, spec.env, spec.stdin, spec.umask, spec.tags, spec.leftovers,
            )  # fmt: skip
            if shared != before:
                self._insert_run(before, run, single)
                run = []
            run.append((job, spec.name, spec.key, spec.work))
        self._insert_run(shared, run, single)
        self._db.executemany(_INSERT, single)
        self._finish()

    def _insert_run(
        self, shared: tuple[object, ...], run: list[tuple[object, ...]], single: list[tuple[object, ...]]
    ) -> None:
        """Insert jobs that differ in name, key and work alone; a few of them join ``single``, which is inserted at the end.

        Binding 23 values a row takes longer than the insert itself, so a long run has the shared ones as literals, which
        SQLite's own quote() writes.
        """
        if len(run) < _LONG_RUN:
            single.extend((*shared, *one) for one in run)
            return
        quoted = self._db.execute(f"SELECT {', '.join(['quote(?)'] * len(shared))}", shared).fetchone()
        self._db.executemany(f"INSERT INTO jobs ({_SHARED}, {_OWN}) VALUES ({', '.join(quoted)}, ?, ?, ?, ?)", run)

    def _start(self, spec: "JobSpec") -> tuple[str, int | None, str | None]:
        if spec.hold:
            return "held", None, "added with hold"
        due = self._now + spec.delay if spec.delay else spec.run_at
        if due is not None and due > self._now:
            return "scheduled", due, "delay"
        return "queued", None, None

    def _known(self, key: str) -> int | None:
        if key in self._keys:
            return self._keys[key]
        row = self._db.execute("SELECT job FROM keys WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _context(self, place: tuple[str, str]) -> int:
        stored = tuple(map(os.fsencode, place))
        self._db.execute("INSERT INTO contexts (cwd, path) VALUES (?, ?) ON CONFLICT DO NOTHING", stored)
        found: int = self._db.execute("SELECT id FROM contexts WHERE cwd = ? AND path = ?", stored).fetchone()[0]
        self._contexts[place] = found
        return found

    def _finish(self) -> None:
        if self._next == self._first:
            return
        db = self._db
        db.execute("UPDATE settings SET value = ? WHERE name = 'last_job'", (self._next - 1,))
        db.executemany("INSERT INTO keys (key, job, added_at) VALUES (?, ?, ?)",
                       [(key, job, self._now) for key, job in self._keys.items()])  # fmt: skip
        groups = db.execute(
            "SELECT state, queue, batch, count(*) FROM jobs WHERE id >= ? GROUP BY state, queue, batch", (self._first,)
        ).fetchall()
        states.count(db, {(state, queue, batch): jobs for state, queue, batch, jobs in groups})
