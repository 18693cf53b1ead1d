"""Runners that are gone although they never left: who they are, and what becomes of the attempts that died with them."""

from collections.abc import Callable
from typing import NamedTuple

from batchq import failpoints
from batchq.jobs.attempt import CRASHED, INTERRUPTED, Claim, Ended, Failure, Outcome
from batchq.store import claiming, recording
from batchq.store.connection import Store
from batchq.store.recording import Settled
from batchq.store.runners import Runner


class Lost(NamedTuple):
    """A runner that is gone although it never left: its row, and the attempts that died with it.

    ``is_hidden``: its processes lived where they cannot be seen from here (another container), so that nobody can say
    whether something of them is still alive.
    """

    runner: int
    pid: int
    liveness: int
    claims: list[Claim]
    is_hidden: bool = False


class Here(NamedTuple):
    """Where this process runs, and whether a process of this machine still is the one that was born then."""

    host: str
    boot_id: str
    namespace: str
    lives: Callable[[int, int], bool]


# Also those that entered their end, or whose row is gone, while a job is still said to run under them.
_OPEN = """
SELECT open.id, pid, liveness, host, boot_id, namespace, born
FROM (SELECT id FROM runners WHERE ended_at IS NULL UNION SELECT runner FROM jobs WHERE state = 'running') AS open
LEFT JOIN runners ON runners.id = open.id WHERE open.id IS NOT ? ORDER BY open.id"""


def lost_runners(store: Store, runner: Runner | None = None, here: Here | None = None) -> list[Lost]:
    """The dead runners of the store, by the kernel's word: their liveness byte is free. Read without a lock.

    Runners of another machine are left out, because their locks are not seen here, and so is one whose process lives
    although its byte is free: somebody has deleted the lock file under it.
    """
    rows = store.fetch(_OPEN, (None if runner is None else runner.id,))
    lost = []
    for row, pid, byte, host, boot_id, namespace, born in rows:
        if pid is None:
            lost.append(Lost(row, 0, 0, _claims_of(store, row)))
            continue
        if store.lock.is_held(byte):
            continue
        is_hidden = False
        if here is not None:
            is_now = boot_id == here.boot_id
            is_hidden = is_now and namespace != here.namespace
            if host != here.host or (is_now and not is_hidden and born is not None and here.lives(pid, born)):
                continue
        lost.append(Lost(row, pid, byte, _claims_of(store, row), is_hidden))
    return lost


_RESTORED = """
INSERT OR IGNORE INTO runners (id, state, pid, host, boot_id, namespace, liveness, slots, executor, started_at, ended_at)
VALUES (?1, 'dead', 0, '', '', '', 0, 0, '', ?2, ?2)"""


def _claims_of(store: Store, runner: int) -> list[Claim]:
    rows = store.fetch(f"SELECT {claiming.COLUMNS} FROM jobs WHERE state = 'running' AND runner = ?", (runner,))
    return claiming.claims_of(store, rows)


def rescue(store: Store, lost: Lost, now: int) -> list[Settled]:
    """Settle the attempts of a dead runner: crashed if they had started, else given back.

    The token is checked again, so two rescuers do it once.
    """
    failure = Failure("RunnerDied", f"its runner (pid {lost.pid}) died while it ran")
    ended = [
        Ended(claim, Outcome(INTERRUPTED, finished_at=now))
        if claim.started_at is None
        else Ended(claim, Outcome(CRASHED, failure=failure, started_at=claim.started_at, finished_at=now))
        for claim in lost.claims
    ]
    recording.get_ready(store, ended)
    with store.writing() as db:
        db.execute(_RESTORED, (lost.runner, now))
        settled, _ = recording.record(db, lost.runner, ended, now)
        db.execute(
            "UPDATE runners SET state = 'dead', ended_at = ? WHERE id = ? AND ended_at IS NULL", (now, lost.runner)
        )
        failpoints.hit("rescue_before_commit")
    return settled
