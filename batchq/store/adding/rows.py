"""The rows of new jobs, and the columns that the terms of a job fill. Jobs that share their terms are inserted together."""

import os

from batchq.jobs.fields import COLUMNS
from batchq.store import states

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite3

    from batchq.jobs.model import JobSpec, Terms

    Row = tuple[object, ...]

DEFINED = ("state", "due_at", "why", "due_from", "context", "kind", *COLUMNS)  #: columns that jobs of equal terms share
AT_ONCE = 10_000  #: rows that are collected before they are inserted
_LONG_RUN = 16  #: rows with equal terms from which a statement of their own pays off
_OWN = "id, name, key, work"
_INTO = f"INSERT INTO jobs (add_id, created_at, {', '.join(DEFINED)}, {_OWN}) VALUES "
_INSERT = f"{_INTO}({', '.join('?' * (2 + len(DEFINED) + 4))})"
_QUOTE = f"SELECT {', '.join(['quote(?)'] * (2 + len(DEFINED)))}"
_CELL = tuple(2 + DEFINED.index(name) for name in ("state", "queue", "batch"))


class Rows:
    """The rows of one add whose first new job is ``first``. ``tally`` counts those inserted by (state, queue, batch)."""

    def __init__(self, db: "sqlite3.Connection", first: int, now: int) -> None:
        self.tally: dict[tuple[str, str, str], int] = {}
        self._db = db
        self._add = (first, now)
        self._now = now
        self._contexts: dict[tuple[str, str], int] = {}
        self._shared: Row = ()
        self._run: list[Row] = []  # rows that share these values
        self._single: list[Row] = []  # complete rows, of short runs

    def run_of(self, spec: "JobSpec") -> "list[Row]":
        """The list for the row (id, name, key, work) of this job, and of the next ones with the same kind and terms."""
        shared = (*self._add, *self.definition(spec))
        if shared != self._shared or len(self._run) >= AT_ONCE:
            self._insert_run()
            self._shared = shared
        return self._run

    def insert(self) -> None:
        """Insert the collected rows."""
        self._insert_run()
        self._insert_single()

    def definition(self, spec: "JobSpec") -> "Row":
        """The values of the columns ``DEFINED`` for a job that is added now."""
        terms = spec.terms
        place = (terms.cwd, terms.path)
        context = self._contexts.get(place) or self._context(place)
        due_from = self._now if terms.delay else None
        return (*self._start(terms), due_from, context, spec.kind, *[getattr(terms, name) for name in COLUMNS])

    def _start(self, terms: "Terms") -> tuple[str, int | None, str | None]:
        due = self._now + terms.delay if terms.delay else terms.run_at
        if due is not None and due <= self._now:
            due = None
        if terms.hold:
            return "held", due, states.ADDED_ON_HOLD
        return ("queued", None, None) if due is None else ("scheduled", due, "delay")

    def _context(self, place: tuple[str, str]) -> int:
        stored = tuple(map(os.fsencode, place))
        self._db.execute("INSERT INTO contexts (cwd, path) VALUES (?, ?) ON CONFLICT DO NOTHING", stored)
        found: int = self._db.execute("SELECT id FROM contexts WHERE cwd = ? AND path = ?", stored).fetchone()[0]
        self._contexts[place] = found
        return found

    def _insert_run(self) -> None:
        # Binding all values of a row takes longer than the insert itself. So a long run has the shared ones as literals,
        # made by SQLite's own quote().
        run, shared = self._run, self._shared
        if not run:
            return
        self._run = []
        state, queue, batch = (str(shared[place]) for place in _CELL)
        self.tally[state, queue, batch] = self.tally.get((state, queue, batch), 0) + len(run)
        if len(run) >= _LONG_RUN:
            quoted = self._db.execute(_QUOTE, shared).fetchone()
            self._db.executemany(f"{_INTO}({', '.join(quoted)}, ?, ?, ?, ?)", run)
            return
        self._single.extend((*shared, *one) for one in run)
        if len(self._single) >= AT_ONCE:
            self._insert_single()

    def _insert_single(self) -> None:
        self._db.executemany(_INSERT, self._single)
        self._single = []
