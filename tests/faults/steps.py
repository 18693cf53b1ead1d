"""A short life of a store in steps, each of which is one promise kept: what the crash suites cut off at every point.

As a program it writes a line to the file ``acknowledged`` after each step: from then on that step is a promise.
``dump`` is what a step leaves behind, without what chance and the clock add to it.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection, connect

from batchq.jobs.attempt import FAILED, SUCCEEDED, Claim, Ended, Failure, Outcome, Stream
from batchq.jobs.lifecycle import STATES
from batchq.jobs.model import job_spec
from batchq.jobs.selection import Selection
from batchq.store.adding import intake
from batchq.store.changing import control
from batchq.store.file import checkpoints
from batchq.store.file.connection import Store
from batchq.store.file.locks import LockFile
from batchq.store.file.opening import open_at
from batchq.store.running import exchange, runners
from batchq.store.running.runners import Runner
from batchq.store.running.wanted import RunSelection

NOW = 1_700_000_000_000


class World:
    """What the steps share: the open store, the runner, and what it runs."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.claims: list[Claim] = []
        self._store: Store | None = None
        self._runner: Runner | None = None
        self._life: LockFile | None = None

    @property
    def store(self) -> Store:
        assert self._store is not None
        return self._store

    @property
    def runner(self) -> Runner:
        assert self._runner is not None
        return self._runner

    def create(self) -> None:
        self._store = open_at(self.path, create=True)

    def reopen(self) -> None:
        """The last one out checkpoints."""
        self.store.close()
        self._store = open_at(self.path)

    def register(self) -> None:
        self._life = LockFile(self.path)
        self._runner = runners.register(
            self.store, RunSelection(), self._life.hold_liveness(), pid=os.getpid(), host="h", boot_id="b", slots=4,
            executor="local", now=NOW,
        )  # fmt: skip

    def checkpoint(self, *, truncate: bool) -> None:
        assert checkpoints.checkpoint(self.store, truncate=truncate).is_complete

    def close(self) -> None:
        self.store.close()


def add(world: World, *commands: str, **fields: object) -> None:
    """One add with one job for each command."""
    specs = [job_spec({"command": command, **fields}, "steps", "/srv", "/usr/bin") for command in commands]
    intake.add(world.store, specs)


def claim(world: World, free: int) -> None:
    world.claims += exchange.exchange(world.store, world.runner, [], free, NOW + 1).claims


def finish(world: World, outcome: Outcome, free: int = 0) -> None:
    """End the job that was claimed first, and claim as many new ones."""
    done = exchange.exchange(world.store, world.runner, [Ended(world.claims.pop(0), outcome)], free, NOW + 2)
    assert len(done.settled) == 1
    world.claims += done.claims


def move_by_hand(world: World, change: Callable[[Store, Selection], control.Changed], ids: tuple[int, int]) -> None:
    assert change(world.store, Selection((ids,))).jobs == ids[1] - ids[0] + 1


WELL = Outcome(SUCCEEDED, exit_code=0, seconds=1.0, stdout=Stream(b"x" * 6000, b"y" * 3000, 20_000))
ILL = Outcome(FAILED, exit_code=3, seconds=2.0, failure=Failure("Trouble", "no luck", "line\n" * 200))

STEPS: tuple[tuple[str, Callable[[World], object]], ...] = (
    ("create", World.create),
    ("add", lambda world: add(world, "first", "second")),
    ("add a key", lambda world: add(world, "third", key="k", queue="q")),
    ("register", World.register),
    ("claim", lambda world: claim(world, 2)),
    ("finish", lambda world: finish(world, WELL)),
    ("finish and claim", lambda world: finish(world, ILL, 1)),
    ("close and open", World.reopen),
    ("add many", lambda world: add(world, *(f"job {number} {'.' * 300}" for number in range(40)), batch="b")),
    ("checkpoint", lambda world: world.checkpoint(truncate=False)),
    ("hold", lambda world: move_by_hand(world, control.hold, (10, 25))),
    ("retry", lambda world: move_by_hand(world, control.retry, (2, 2))),
    ("finish once more", lambda world: finish(world, WELL, 4)),
    ("checkpoint and truncate", lambda world: world.checkpoint(truncate=True)),
    ("release", lambda world: move_by_hand(world, control.release, (12, 20))),
    ("finish another", lambda world: finish(world, ILL)),
    ("finish and claim two", lambda world: finish(world, WELL, 2)),
    ("close", World.close),
)

_DUMP = (
    "SELECT id, add_id, state, batch, queue, work, key, attempt, failures, crashes, interruptions, why, runner,"
    " token IS NULL, started_at, finished_at FROM jobs ORDER BY id",
    "SELECT job, number, runner, outcome, exit_code, error_type, traceback FROM attempts ORDER BY job, number",
    "SELECT job, number, stream, head, tail, total FROM outputs ORDER BY job, number, stream",
    "SELECT key, job FROM keys ORDER BY key",
    "SELECT state, queue, batch, jobs FROM counters ORDER BY state, queue, batch",
    "SELECT id, state, slots FROM runners ORDER BY id",
    "SELECT value FROM settings WHERE name = 'last_job'",
)

Dump = list[list[tuple[object, ...]]]


def dump(db: Connection) -> Dump:
    """All that the steps have stored; empty for a store that has no tables yet."""
    if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return []
    return [db.execute(sql).fetchall() for sql in _DUMP]


def history(folder: Path, after: Callable[[int], object] = lambda step: None) -> list[Dump]:
    """What a store holds before the first step and after each of them; ``after`` is told the number of each step."""
    path = folder / "history.db"
    world = World(str(path))
    dumps: list[Dump] = [[]]
    for number, (_, step) in enumerate(STEPS, start=1):
        step(world)
        after(number)
        db = connect(f"file:{path}?mode=ro", uri=True)
        dumps.append(dump(db))
        db.close()
    assert len({state for (_, _, state, *_) in dumps[-1][0]} & set(STATES)) >= 4
    return dumps


def live() -> None:
    """Take all steps on ``life.db`` in the working directory."""
    world = World(str(Path("life.db").resolve()))
    acknowledged = os.open("acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for name, step in STEPS:
        step(world)
        os.write(acknowledged, f"{name}\n".encode())


def serve(mutant: str | None = None) -> None:
    """For each folder named on stdin fork a process that will live there once its fifo ``go`` is opened; print its pid.

    The modules are imported once and not for each of hundreds of lives, and strace has time to attach.
    """
    from batchq.store.file import migrations

    assert migrations
    if mutant is not None:
        import mutants

        mutants.apply(mutant)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody needs their status
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            os.chdir(line.rstrip("\n"))
            os.close(os.open("go", os.O_RDONLY))
            live()
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
