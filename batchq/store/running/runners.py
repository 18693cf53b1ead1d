"""Runners in the store: one row for each ``batchq run``, with its selection, from its start to its orderly end."""

import _sqlite3 as sqlite3
import json
from collections.abc import Callable, Collection, Sequence

from batchq.errors import BusyError
from batchq.jobs.selection import Range
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.running.wanted import RunSelection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite3


class Runner(NamedTuple):
    """One ``batchq run`` process in the store; ``liveness`` is its byte in the lock file. ``inside`` are the jobs that
    called it, which cannot finish before it does; ``lost`` are dead runners whose jobs stay as they are until a person
    decides. Of its ``slots`` a job can have at most the ``widest``: it cannot be spread over several machines.
    """

    id: int
    liveness: int
    wanted: RunSelection
    slots: int = 1
    widest: int = 1
    inside: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()

    def others(self, table: str) -> str:
        """The SQL condition for jobs of other runners that can finish before this runner (``:runner``) does."""
        mine = f" AND {table}.id NOT IN ({', '.join(map(str, self.inside))})" if self.inside else ""
        lost = f" AND {table}.runner NOT IN ({', '.join(map(str, self.lost))})" if self.lost else ""
        return f"{table}.state = 'running' AND {table}.runner <> :runner{mine}{lost}"


class Caller(NamedTuple):
    """A job that called a command, and the runner that runs the job."""

    id: int
    runner: int


class Occupied(BusyError):
    """Another run of the same jobs is at work, in the process ``pid``; or of this ``job``, if only that is wanted."""

    def __init__(self, pid: int, job: int | None = None) -> None:
        super().__init__(f"process {pid} runs these jobs already")
        self.pid, self.job = pid, job


def register(
    store: Store,
    wanted: RunSelection,
    liveness: int,
    *,
    pid: int,
    host: str,
    boot_id: str,
    slots: int,
    widest: int | None = None,
    executor: str,
    now: int,
    namespace: str = "",
    born: int | None = None,
    guardian: int | None = None,
    lease: int | None = None,
    alone: bool = False,
    inside: Sequence[Caller] = (),
    adding: "Callable[[sqlite3.Connection], tuple[Range, ...]] | None" = None,
) -> Runner:
    """Store a runner whose liveness byte is already locked; ``born`` distinguishes its process from a later one with that
    pid, and ``guardian`` is the process above it. ``lease`` is how many milliseconds its jobs elsewhere may outlive it. A
    job can have at most the ``widest`` of its ``slots``; None: all.

    With ``alone`` it raises Occupied while another runner of the same selection claims all that this one could. The
    runners of the jobs ``inside`` which it was called do not count: they would wait for each other. ``adding`` adds jobs
    in the same transaction and returns their ids, which the runner then takes.
    """
    callers = {one.runner for one in inside}
    widest = slots if widest is None else widest
    with store.writing() as db:
        if alone:
            for other in (one for one in living(store) if one.id not in callers):
                if other.wanted.is_same_as(wanted) and not _is_left_by(store, other, wanted, widest):
                    raise Occupied(other.pid)
        if adding is not None:
            wanted = wanted._replace(ids=adding(db))
        elif wanted.is_selective:
            _remember_failed(db, wanted)
        row = {
            "state": "running", "pid": pid, "host": host, "boot_id": boot_id, "namespace": namespace, "born": born,
            "guardian": guardian, "lease": lease, "liveness": liveness, "slots": slots, "widest": widest,
            "executor": executor, "selection": wanted.text(), "started_at": now,
        }  # fmt: skip
        marks = ", ".join(f":{name}" for name in row)
        ((id,),) = db.execute(f"INSERT INTO runners ({', '.join(row)}) VALUES ({marks}) RETURNING id", row).fetchall()
    if wanted.ids is not None and len(wanted.ids) > 1:
        wanted = _entered(store.db, id, wanted)
    return Runner(id, liveness, wanted, slots, widest, tuple(one.id for one in inside))


def _remember_failed(db: "sqlite3.Connection", wanted: RunSelection) -> None:
    """Keep for this connection which of the jobs have failed already, by attempt: no clock can be trusted for that."""
    db.execute("DROP TABLE IF EXISTS temp.failed_before")
    db.execute("CREATE TEMP TABLE failed_before (id INTEGER PRIMARY KEY, attempt INTEGER)")
    failed = f"SELECT id, attempt FROM jobs WHERE state = 'failed' AND {wanted.condition()}"
    db.execute(f"INSERT INTO failed_before {failed}", wanted.named())


def _entered(db: "sqlite3.Connection", runner: int, wanted: RunSelection) -> RunSelection:
    """Keep the many ranges of a selection in a temporary table: JSON would be parsed again for each job."""
    assert wanted.ids is not None
    db.execute("CREATE TEMP TABLE IF NOT EXISTS spans (runner, low INTEGER, high INTEGER, PRIMARY KEY (runner, low))")
    db.executemany("INSERT INTO spans VALUES (?, ?, ?)", [(runner, low, high) for low, high in wanted.ids])
    return wanted._replace(entered=runner)


class Living(NamedTuple):
    """A runner at work that claims jobs: its row, its process and its selection."""

    id: int
    pid: int
    slots: int
    widest: int
    selection: str

    @property
    def wanted(self) -> RunSelection:
        """Which jobs it takes."""
        chosen = json.loads(self.selection)
        ids = chosen.get("ids")
        ranges = None if ids is None else tuple((low, high) for low, high in ids)
        return RunSelection(
            chosen["queue"], chosen["batch"], chosen["payloads"], ranges, tuple(chosen.get("files", ()))
        )


def living(store: Store) -> list[Living]:
    """The runners that claim jobs now: those that are stopping do not count, nor those that the kernel shows dead."""
    rows = store.fetch(
        "SELECT id, pid, slots, coalesce(widest, slots), selection, liveness FROM runners"
        " WHERE ended_at IS NULL AND state = 'running'"
    )
    return [Living._make(row[:5]) for row in rows if store.lock.is_held(row[5])]


def _is_left_by(store: Store, other: Living, wanted: RunSelection, widest: int) -> bool:
    """Whether a job waits that needs more slots than the other runner can give it, but at most the ``widest`` of this one.

    Never with files: a second run would add, and run, all of their jobs once more.
    """
    if widest <= other.widest or wanted.files:
        return False
    # One query for each state: there is an index of the wide queued jobs, and one of the wide scheduled jobs.
    return any(
        store.fetch(
            f"SELECT 1 FROM jobs WHERE state = '{state}' AND slots > 1 AND slots > :theirs AND slots <= :mine"
            f" AND {wanted.condition()} LIMIT 1",
            wanted.named() | {"theirs": other.widest, "mine": widest},
        )
        for state in ("queued", "scheduled", "blocked")
        if store.fetch("SELECT 1 FROM counters WHERE state = ? LIMIT 1", (state,))
    )


def works_on(store: Store, job: int) -> int | None:
    """The process of the run, stopping or not, that runs this job or was asked for it by name."""
    rows = store.fetch(
        "SELECT pid, liveness FROM jobs JOIN runners ON runners.id = jobs.runner"
        " WHERE jobs.id = ? AND jobs.state = 'running'",
        (job,),
    )
    for pid, liveness in rows:
        if store.lock.is_held(liveness):
            return int(pid)
    return next(
        (one.pid for one in living(store) if any(low <= job <= high for low, high in one.wanted.ids or ())), None
    )


def dead(store: Store, runners: Collection[int]) -> set[int]:
    """Those of the runners that the kernel shows dead: their liveness byte is free."""
    alive = _alive(store)
    return {runner for runner in runners if runner not in alive}


def at_work(store: Store) -> int:
    """How many runners are alive, stopping ones among them."""
    return len(_alive(store))


def _alive(store: Store) -> set[int]:
    rows = store.fetch("SELECT id, liveness FROM runners WHERE ended_at IS NULL")
    return {id for id, byte in rows if store.lock.is_held(byte)}


def lost_jobs(store: Store, running: Collection[int]) -> set[int]:
    """Those of the jobs, which are ``running`` in the store, whose runner is dead."""
    rows = store.fetch(
        "SELECT id, runner FROM jobs WHERE id IN (SELECT value FROM json_each(?))", (json.dumps([*running]),)
    )
    gone = dead(store, {runner for _, runner in rows})
    return {job for job, runner in rows if runner in gone}


def stop_claiming(db: sqlite3.Connection, runner: Runner) -> None:
    """Record, inside a transaction, that a runner claims no more."""
    db.execute("UPDATE runners SET state = 'stopping' WHERE id = ? AND ended_at IS NULL", (runner.id,))


def resize(db: sqlite3.Connection, runner: Runner) -> None:
    """Record, inside a transaction, how many slots a runner has now, as machines come and go."""
    db.execute("UPDATE runners SET slots = ?, widest = ? WHERE id = ?", (runner.slots, runner.widest, runner.id))


def leave(store: Store, runner: Runner, now: int) -> bool:
    """Record the orderly end of a runner, unless a job of it is still marked running; return whether it was recorded.

    The result of such a job could not be recorded: it is rescued like the jobs of a dead runner.
    """
    with store.writing() as db:
        ended = db.execute(
            "UPDATE runners SET state = 'ended', ended_at = ? WHERE id = ? AND ended_at IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND runner = runners.id)",
            (now, runner.id),
        )
    return ended.rowcount > 0
