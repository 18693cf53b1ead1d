"""Adding jobs: one transaction, all of them or none."""

from batchq import clock, failpoints
from batchq.jobs.model import AUTO
from batchq.store import states
from batchq.store.adding import keys
from batchq.store.adding.rows import AT_ONCE, Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite3
    from collections.abc import Sequence

    from batchq.jobs.model import JobSpec
    from batchq.jobs.reading.spool import Jobs
    from batchq.store.file.connection import Store

AFTER_NOTHING = "nothing was added by the newest add, so a job that is to run after 'last' waits for no job"


Stored = tuple[str, str, str, str, "str | None"]  # kind, work, batch, queue, name


class Added:
    """The result of one add: the ids of its jobs in order, and by position the fates of those that are not new.

    ``gone`` are pruned jobs that are known only by their keys, with their final states. ``stored`` are, after a
    rehearsal, the known jobs that would stay as they are.
    """

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.others: dict[int, str] = {}
        self.gone: dict[int, str | None] = {}
        self.stored: dict[int, Stored] = {}
        self.above: list[int] = []  # requeued jobs below which many more are still to be requeued
        self.is_tied = False  # whether some run after others
        self.is_after_nothing = False  # whether one has ``after = ["last"]``, and the last add stored nothing

    def fate(self, position: int) -> str:
        """What was done with a job: ``added``, ``skipped``, ``replaced``, ``rerun`` or ``running``."""
        return self.others.get(position, keys.ADDED)


def add(store: "Store", specs: "Jobs", files: "Sequence[str]" = ()) -> Added:
    """Store the jobs, all or none; ids follow their order. ``files`` are the real paths that they were read from.

    A job whose ``key`` is known is not stored again: ``if_exists`` says what happens instead. Ids grow and are never
    given twice, not even after pruning. Raises InputError for a key that must be new, for a parent that does not exist
    and for jobs that wait for each other; then, as after any error, nothing was stored.
    """
    find_keys(specs)
    with store.writing() as db:
        done = entered(db, specs, files)
        failpoints.hit("add_before_commit")
    if done.is_tied:
        from batchq.store import order

        order.finish(store, clock.now())
    if done.above:
        from batchq.store import reopening

        reopening.follow(store, done.above)
    return done


def rehearse(store: "Store", specs: "Jobs") -> Added:
    """Do what ``add`` would do, raise what it would raise, and store nothing. The ids of new jobs are not reserved."""
    find_keys(specs)
    try:
        with store.writing() as db:
            done = entered(db, specs)
            done.stored = _as_stored(db, done)
            raise _Rehearsed
    except _Rehearsed:
        return done


def _as_stored(db: "sqlite3.Connection", done: Added) -> "dict[int, Stored]":
    """The jobs that the add would leave as they are, by id."""
    left = {done.ids[position] for position, fate in done.others.items() if fate in (keys.SKIPPED, keys.RUNNING)}
    sql = "SELECT kind, work, batch, queue, name FROM jobs WHERE id = ?"
    return {job: row for job in left if (row := db.execute(sql, (job,)).fetchone()) is not None}


class _Rehearsed(Exception):
    """Rolls the transaction back after a rehearsal without errors."""


def find_keys(specs: "Jobs") -> None:
    """Compute the automatic keys, before the transaction of ``entered``, because that may read files.

    Jobs that are not in a list have theirs already (``jobs/reading/spool.py``).
    """
    for spec in specs if isinstance(specs, list) else ():
        if spec.key == AUTO:
            from batchq.jobs.identity import automatic_key

            spec.key = automatic_key(spec)


# The id after the last one given, also of a job that was pruned. A damaged store may have lost that number.
_FIRST = """
SELECT 1 + max(
    coalesce((SELECT value FROM settings WHERE name = 'last_job' AND typeof(value) = 'integer'), 0),
    coalesce((SELECT max(id) FROM jobs), 0))"""


def entered(db: "sqlite3.Connection", specs: "Jobs", files: "Sequence[str]" = ()) -> Added:
    """Store the jobs inside the transaction of the caller."""
    intake = _Intake(db, db.execute(_FIRST).fetchone()[0])
    intake.store(specs)
    intake.note(files)
    return intake.done


def _listed(values: "Sequence[object]") -> str | None:
    if not values:
        return None
    import json

    return json.dumps(values)


class _Intake:
    """The state of one add: the ids given so far, and what to store once the rows are inserted."""

    def __init__(self, db: "sqlite3.Connection", first: int) -> None:
        self.done = Added()
        self._db = db
        self._first = first
        self._next = first
        self._now = clock.now()
        self._rows = Rows(db, first, self._now)
        self._keys: dict[str, int] = {}  # not stored yet
        self._named: dict[str, list[int]] = {}  # known jobs by name; new ones are looked up in the store
        self._ties: dict[int, JobSpec] = {}
        self._changed: dict[int, JobSpec] = {}
        self._gone = self.done.gone

    def store(self, specs: "Jobs") -> None:
        """Insert new jobs, change known ones where asked to, and bind both to their parents."""
        ids = self.done.ids
        terms, kind, run = None, "", []
        for spec in specs:
            if spec.key is not None and (known := self._known(spec, spec.key)) is not None:
                self._meet(spec, known)
                continue
            job = self._next
            self._next += 1
            ids.append(job)
            if spec.key is not None:
                self._keys[spec.key] = job
            if spec.after or spec.after_any or spec.after_failed:
                self._ties[job] = spec
            if spec.terms is not terms or spec.kind != kind or len(run) >= AT_ONCE:
                terms, kind, run = spec.terms, spec.kind, self._rows.run_of(spec)
            run.append((job, spec.name, spec.key, spec.work))
            if len(self._keys) >= AT_ONCE:
                self._note_keys()
        self._rows.insert()
        self._finish()

    def note(self, files: "Sequence[str]") -> None:
        """Record the add itself, even one that stored nothing: ``last`` means the newest."""
        again = sorted(self._changed)
        self._db.execute(
            "INSERT INTO adds (at, first, jobs, again, files) VALUES (?, ?, ?, ?, ?)",
            (self._now, self._first, self._next - self._first, _listed(again), _listed(files)),
        )

    def _note_keys(self) -> None:
        keys.remember(self._db, self._keys.items(), self._now)
        self._keys = {}

    def _finish(self) -> None:
        db = self._db
        if self._next > self._first:
            db.execute("INSERT OR REPLACE INTO settings (name, value) VALUES ('last_job', ?)", (self._next - 1,))
            self._note_keys()
            states.count(db, self._rows.tally)
        if self._changed:
            from batchq.store.adding import revision

            changed = [(job, spec, self._rows.definition(spec)) for job, spec in self._changed.items()]
            self.done.above = revision.take(db, changed)
        self.done.is_tied = bool(self._ties)
        if self._ties:
            from batchq.store.adding.binding import Binder

            binder = Binder(db, self._named, self._gone, self._first)
            binder.bind(list(self._ties.items()), self._now)
            self.done.is_after_nothing = binder.is_after_nothing

    # --- jobs whose key is known ---------------------------------------------------------------------------------------

    def _known(self, spec: "JobSpec", key: str) -> "keys.Known | None":
        if key in self._keys:
            return self._keys[key], "queued", True
        return keys.known(self._db, spec, self._now, self._first)

    def _meet(self, spec: "JobSpec", known: "keys.Known") -> None:
        """Take the known job instead of a new one: as it is, changed, or requeued."""
        job, state, is_here = known
        fate = keys.fate(spec, known, differs=self._differs(spec, known))
        self.done.others[len(self.done.ids)] = fate
        self.done.ids.append(job)
        if not is_here:
            self._gone[job] = state
        if spec.name is not None:
            self._named.setdefault(spec.name, []).append(job)
        if fate in (keys.REPLACED, keys.RERUN):
            self._changed[job] = spec
            self._ties.pop(job, None)
            if spec.after or spec.after_any or spec.after_failed:
                self._ties[job] = spec

    def _differs(self, spec: "JobSpec", known: "keys.Known") -> bool:
        """Whether the known job succeeded with a different definition; checked only with ``if_exists = "replace"``."""
        job, state, is_here = known
        if not is_here or state != "succeeded" or spec.terms.if_exists != "replace":
            return False
        from batchq.store.adding import revision

        return revision.differs(self._db, job, spec)
