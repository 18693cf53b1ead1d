"""Dead runners that recorded no end: finding them, and settling the attempts that died with them.

The kernel decides which are dead: a runner whose liveness byte is free is, whatever its host name is by now. But its
processes may live out of sight: in another container, or on another machine that shares a network file system.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from batchq import failpoints
from batchq.jobs.attempt import CRASHED, INTERRUPTED, Claim, Ended, Failure, Outcome
from batchq.jobs.causes.recent import explained
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.running import claiming, news, recording, runners
from batchq.store.running.recording import Settled
from batchq.store.running.runners import Runner

#: In a copy of a store, this replaces the boot id of each runner at work: such a runner never worked on the copy.
ELSEWHERE = "backup"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Hiding = Literal["container", "machine"]


class Lost(NamedTuple):
    """A dead runner that recorded no end: its row, the attempts that died with it, and their first processes (by token:
    pid, and start in clock ticks since boot), as they are numbered in its ``namespace``.

    With a ``lease`` its jobs ran elsewhere, in the places that its ``executor`` names, and may outlive it for that many
    milliseconds; ``hosts`` are those that are known, by token, and if it ``was_stopping``, it has left them at places that
    did not answer, or died meanwhile. It ``started_at`` that time. ``hidden_in`` is where its processes lived if they
    cannot be seen from here: some may still be alive.
    """

    runner: int
    pid: int
    host: str
    liveness: int
    namespace: str
    claims: list[Claim]
    leaders: dict[str, tuple[int, int | None]]
    hidden_in: "Hiding | None" = None
    is_of_a_copy: bool = False  # processes with these tokens belong to the store from which this one was copied
    executor: str = "local"
    lease: int | None = None
    hosts: Mapping[str, str] = {}
    was_stopping: bool = False
    started_at: int = 0


class Here(NamedTuple):
    """Where this process runs. ``lives`` checks whether a pid still is the process that started then, ``sees`` whether the
    processes of another namespace would be visible from here, ``is_local`` whether the file system is local.
    """

    boot_id: str
    namespace: str
    is_local: Callable[[], bool]
    lives: Callable[[int, int], bool]
    sees: Callable[[str], bool]


class _Row(NamedTuple):
    id: int
    pid: int | None
    host: str
    liveness: int
    boot_id: str
    namespace: str
    born: int | None
    guardian: int | None
    executor: str
    lease: int | None
    state: str
    started_at: int


# Also those that recorded their end, or whose row is missing, while a job is still marked running under them.
_OPEN = f"""
SELECT open.id, {", ".join(_Row._fields[1:])}
FROM (SELECT id FROM runners WHERE ended_at IS NULL UNION SELECT runner FROM jobs WHERE state = 'running') AS open
LEFT JOIN runners ON runners.id = open.id WHERE open.id IS NOT ? ORDER BY open.id"""


def lost_runners(store: Store, runner: Runner | None = None, here: Here | None = None) -> list[Lost]:
    """The dead runners of the store except ``runner``: their liveness byte is free. Read without a lock.

    A runner whose process lives although its byte is free is left out: somebody has deleted its lock file.
    """
    lost = []
    for row in map(_Row._make, store.fetch(_OPEN, (None if runner is None else runner.id,))):
        if row.pid is None:
            lost.append(Lost(row.id, 0, "", 0, "", _claims_of(store, row.id), {}))
            continue
        byte = row.liveness
        if store.lock.is_held(byte):
            continue
        if here is not None and _is_known_here(row, here) and row.born is not None and here.lives(row.pid, row.born):
            continue
        hidden = None if here is None else hiding(row.boot_id, row.namespace, row.guardian, here)
        claims = _claims_of(store, row.id)
        leaders = _leaders(store, row.id) if here is None or row.boot_id == here.boot_id else {}
        is_copy = row.boot_id == ELSEWHERE
        lost.append(
            Lost(
                row.id,
                row.pid,
                row.host,
                byte,
                row.namespace,
                claims,
                leaders,
                hidden,
                is_copy,
                row.executor,
                row.lease,
                {} if row.lease is None else _hosts(store, row.id),
                row.lease is not None and row.state == "stopping",
                row.started_at,
            )
        )
    return lost


def _is_known_here(row: _Row, here: Here) -> bool:
    return (row.boot_id, row.namespace) == (here.boot_id, here.namespace)


def hiding(boot_id: str, namespace: str, guardian: int | None, here: Here) -> "Hiding | None":
    """Where the processes of a runner whose byte is free may still live unseen; None is nowhere. Pure.

    Another boot id means that this machine was rebooted, so they are dead; or, on a network file system, that it may be
    another machine. A process namespace dies with its first process, which the guardian may have been.
    """
    if boot_id != here.boot_id:
        return None if boot_id == ELSEWHERE or here.is_local() else "machine"
    if namespace == here.namespace or guardian == 1 or here.sees(namespace):
        return None
    return "container"


def with_runners(store: Store, jobs: Collection[int], here: Here) -> dict[int, Lost]:
    """Those of the jobs whose runner is dead, each with that runner."""
    return {claim.id: one for one in lost_runners(store, here=here) for claim in one.claims if claim.id in jobs}


def has_cancelled(store: Store) -> bool:
    """Whether some job of a dead runner was cancelled."""
    rows = store.fetch("SELECT DISTINCT runner FROM jobs WHERE cancel_asked <> 0 AND finished_at IS NULL")
    return bool(runners.dead(store, [runner for (runner,) in rows if runner is not None]))


def _claims_of(store: Store, runner: int) -> list[Claim]:
    rows = store.fetch(f"SELECT {claiming.COLUMNS} FROM jobs WHERE state = 'running' AND runner = ?", (runner,))
    return claiming.claims_of(store, rows)


def _leaders(store: Store, runner: int) -> dict[str, tuple[int, int | None]]:
    rows = store.fetch(
        "SELECT p.token, p.pid, p.born FROM jobs JOIN processes AS p ON p.job = jobs.id AND p.token = jobs.token"
        " WHERE jobs.state = 'running' AND jobs.runner = ? AND p.pid IS NOT NULL",
        (runner,),
    )
    return {token: (pid, born) for token, pid, born in rows}


def _hosts(store: Store, runner: int) -> dict[str, str]:
    rows = store.fetch(
        "SELECT p.token, p.host FROM jobs JOIN processes AS p ON p.job = jobs.id AND p.token = jobs.token"
        " WHERE jobs.state = 'running' AND jobs.runner = ? AND p.host IS NOT NULL",
        (runner,),
    )
    return dict(rows)


def stay(store: Store, runner: int) -> list[str]:
    """Return the tokens of the ended attempts of a runner whose leftovers are to stay."""
    rows = store.fetch(
        "SELECT a.token FROM attempts AS a JOIN jobs AS j ON j.id = a.job WHERE a.runner = ? AND j.leftovers = 'keep'",
        (runner,),
    )
    return [token for (token,) in rows]


def was_to_stay(store: Store, token: str) -> bool:
    """Whether the leftovers of an ended attempt were to stay: its job keeps them, or was removed since (the leftovers
    of other jobs are killed when they end)."""
    rows = store.fetch("SELECT leftovers FROM jobs WHERE id = ?", (int(token.rpartition(".")[2] or 0),))
    return not rows or rows[0][0] == "keep"


def rescue(store: Store, lost: Lost, now: int, but: Collection[str] = ()) -> list[Settled]:
    """Settle the attempts of a dead runner: crashed if they had started, else requeued.

    Those that were elsewhere when it was stopping are interrupted: it may have left them on purpose.

    Attempts whose token is in ``but`` are skipped, and the runner then stays open: processes of theirs live. The token is
    checked again, so of two rescuers only one settles an attempt.
    """
    failure = Failure("RunnerDied", f"its runner (pid {lost.pid}) died while it ran")
    died = Outcome(CRASHED, failure=failure, finished_at=now)
    if lost.was_stopping:
        died = Outcome(INTERRUPTED, finished_at=now)
    ended: Sequence[Ended] = [
        Ended(claim, Outcome(INTERRUPTED, finished_at=now))
        if claim.started_at is None
        else Ended(claim, died._replace(started_at=claim.started_at, host=lost.hosts.get(claim.token)))
        for claim in lost.claims
        if claim.token not in but
    ]
    ended = explained(ended)
    recording.get_ready(store, ended)
    with store.writing() as db:
        db.execute(_RESTORED, (lost.runner, now))
        settled, _ = recording.record(db, lost.runner, ended, now)
        news.forget(db, [one.claim for one in settled])
        if not but:
            db.execute(
                "UPDATE runners SET state = 'dead', ended_at = ? WHERE id = ? AND ended_at IS NULL", (now, lost.runner)
            )
        failpoints.hit("rescue_before_commit")
    return settled


_RESTORED = """
INSERT OR IGNORE INTO runners (id, state, pid, host, boot_id, namespace, liveness, slots, executor, started_at, ended_at)
VALUES (?1, 'dead', 0, '', '', '', 0, 0, '', ?2, ?2)"""
