"""What a runner says to the store: I am here; these ended, give me more; I am gone. One short transaction each.

A claim is an ``UPDATE … RETURNING`` that gives each job a fresh token; a result is accepted only with the token that
is still current, so a runner that was taken for dead cannot overwrite what happened since.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from batchq import failpoints
from batchq.jobs.attempt import CRASHED, INTERRUPTED, SUCCEEDED, Claim, Ended, Failure, Outcome, Printed, Stream
from batchq.jobs.lifecycle import FINAL, Settlement, settle, withdrawn
from batchq.jobs.selection import Range
from batchq.store import claiming, order, states
from batchq.store.connection import Store
from batchq.store.limits import Lane

PROMOTED_AT_ONCE = 1000  #: due jobs that one exchange makes claimable, so that no transaction grows long


class Wanted(NamedTuple):
    """Which jobs a runner takes: of one queue, of one batch, of these ranges of ids; ``None`` means any.

    Jobs with a payload are among them only with ``payloads``.
    """

    queue: str | None = None
    batch: str | None = None
    payloads: bool = False
    ids: tuple[Range, ...] | None = None

    @property
    def is_selective(self) -> bool:
        """Whether this is a choice of jobs, and not whatever there is."""
        return self.queue is not None or self.batch is not None or self.ids is not None

    def condition(self) -> str:
        """The SQL that holds for such jobs of any kind, with the values of ``named`` to be bound."""
        parts = ["queue = :queue"] if self.queue is not None else []
        parts += ["batch = :batch"] if self.batch is not None else []
        parts += ["batch <> 'default'"] if self.batch not in (None, "default") else []  # or SQLite uses no index
        if self.ids is not None and len(self.ids) == 1:
            parts += ["id BETWEEN :low AND :high"]
        elif self.ids is not None:
            parts += [
                "EXISTS (SELECT 1 FROM json_each(:ids) AS span WHERE id BETWEEN json_extract(span.value, '$[0]')"
                " AND json_extract(span.value, '$[1]'))"
            ]
        return " AND ".join(parts) or "1"

    def named(self) -> dict[str, object]:
        """What ``condition`` needs."""
        low, high = self.ids[0] if self.ids else (None, None)
        return {"queue": self.queue, "batch": self.batch, "low": low, "high": high, "ids": json.dumps(self.ids)}

    def text(self) -> str:
        """The selection as the ledger keeps it; two runners have the same text if they take the same jobs."""
        chosen = {"queue": self.queue, "batch": self.batch, "payloads": self.payloads}
        return json.dumps(chosen if self.ids is None else chosen | {"ids": self.ids})


class Runner(NamedTuple):
    """One ``batchq run`` process as the store knows it; ``liveness`` is its byte in the lock file."""

    id: int
    liveness: int
    wanted: Wanted
    slots: int = 1


class Settled(NamedTuple):
    """An accepted outcome and what it made of its job."""

    claim: Claim
    outcome: Outcome
    settlement: Settlement


class Exchange(NamedTuple):
    """What one exchange brought: accepted outcomes, refused ones (rescued meanwhile), and new claims.

    ``again_at`` (milliseconds) is when the rate of a queue lets the next job through.
    """

    settled: list[Settled]
    refused: list[Ended]
    claims: list[Claim]
    again_at: int | None = None


class Outlook(NamedTuple):
    """What is still to come for a runner: work now or as soon as limits and rates let it, retries at ``next_due`` (ms),
    jobs that others run and for which it waits.

    ``left_alone`` counts what it will not take: held, scheduled for later, blocked, in a paused queue (``paused``),
    payload without --perform, more ``slots`` than it has.
    """

    queued: bool
    next_due: int | None
    running_elsewhere: bool
    left_alone: dict[str, int]

    @property
    def is_work_left(self) -> bool:
        """Whether a run that drains goes on."""
        return self.queued or self.next_due is not None or self.running_elsewhere


def register(
    store: Store,
    wanted: Wanted,
    liveness: int,
    *,
    pid: int,
    host: str,
    boot_id: str,
    slots: int,
    executor: str,
    now: int,
    namespace: str = "",
    born: int | None = None,
) -> Runner:
    """Enter a runner whose liveness byte is already locked; ``born`` tells its process from a later one of that pid."""
    with store.writing() as db:
        (row,) = db.execute(
            "INSERT INTO runners (state, pid, host, boot_id, namespace, born, liveness, slots, executor, selection,"
            " started_at) VALUES ('running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (pid, host, boot_id, namespace, born, liveness, slots, executor, wanted.text(), now),
        ).fetchall()
    return Runner(row[0], liveness, wanted, slots)


def exchange(
    store: Store,
    runner: Runner,
    ended: Sequence[Ended],
    free: int,
    now: int,
    *,
    ahead: int = 0,
    started: Sequence[Claim] = (),
    printed: Sequence[Printed] = (),
) -> Exchange:
    """Record what ended, make due jobs claimable, and claim up to ``free`` jobs, in one transaction.

    The claims come in the order in which they should start. Work may begin only after this returns: that is when the
    claims are on disk. Up to ``ahead`` further jobs are claimed that will start soon; as long as such a job is not among
    ``started`` of a later exchange, the death of the runner costs it nothing. Jobs with ``on_crash = "hold"`` are not
    claimed ahead. ``printed`` is the output of jobs that still run.

    Raises BusyError or LedgerError; then nothing happened and the same call may be repeated.
    """
    with store.writing() as db:
        settled, refused = _record(db, runner, ended, now)
        db.executemany(
            "UPDATE jobs SET started_at = ? WHERE id = ? AND token = ?",
            [(claim.started_at or now, claim.id, claim.token) for claim in started],
        )
        db.executemany(_PRINT, [row for one in printed for row in _output_rows(one.claim, one.stdout, one.stderr)])
        claims: list[Claim] = []
        again_at = None
        if free > 0:
            _promote(db, now)
            claims, again_at = claiming.claim(db, runner, free, now)
        if ahead > 0 and len(claims) == free:
            claims += claiming.claim_ahead(db, runner, ahead, now)
        if ended:
            failpoints.hit("before_finish")
    if claims:
        failpoints.hit("after_claim")
    if ended:
        failpoints.hit("after_finish")
    return Exchange(settled, refused, claims, again_at)


def retire(store: Store, runner: Runner) -> bool:
    """Enter that a runner claims no more, if nothing is left for it; whether that is so.

    Looked up and entered in one transaction: what is added before is seen here, and who adds later finds no runner of
    which it could think that it will take the job (``run --if-running skip``).
    """
    with store.writing() as db:
        if outlook(store, runner).is_work_left:
            return False
        db.execute("UPDATE runners SET state = 'stopping' WHERE id = ? AND ended_at IS NULL", (runner.id,))
    return True


def stop_claiming(store: Store, runner: Runner) -> None:
    """Enter that a runner claims no more although something may be left."""
    with store.writing() as db:
        db.execute("UPDATE runners SET state = 'stopping' WHERE id = ? AND ended_at IS NULL", (runner.id,))


def leave(store: Store, runner: Runner, now: int) -> None:
    """Enter the orderly end of a runner."""
    with store.writing() as db:
        db.execute(
            "UPDATE runners SET state = 'ended', ended_at = ? WHERE id = ? AND ended_at IS NULL", (now, runner.id)
        )


# --- recording ---------------------------------------------------------------------------------------------------------


# Most attempts succeed, and each value that is bound costs time (None most of all), so a plain success has statements
# of its own: what is the same for all of them stands in the text.
_SUCCEED = """
UPDATE jobs SET state = 'succeeded', why = NULL, interruptions = 0, started_at = ?, finished_at = ?,
    token = NULL, runner = NULL
WHERE id = ? AND token = ? AND state = 'running'"""
_FINISH = """
UPDATE jobs SET state = ?, due_at = ?, failures = ?, crashes = ?, interruptions = ?, why = ?, finished_at = ?,
    started_at = ?, token = NULL, runner = NULL
WHERE id = ? AND token = ? AND state = 'running'"""
_NOTE_SUCCESS = """
INSERT INTO attempts (job, number, token, runner, outcome, started_at, finished_at, seconds, cpu_seconds, peak_kib,
    exit_code, result, leftovers)
VALUES (?, ?, ?, ?, 'succeeded', ?, ?, ?, ?, ?, ?, ?, ?)"""
_NOTE = f"INSERT INTO attempts VALUES ({','.join('?' * 17)})"


def _record(
    db: sqlite3.Connection, runner: Runner, ended: Sequence[Ended], now: int
) -> tuple[list[Settled], list[Ended]]:
    if not ended:
        return [], []
    unwanted = {
        id
        for (id,) in db.execute(
            "SELECT id FROM jobs WHERE cancel_asked <> 0 AND finished_at IS NULL AND runner = ?", (runner.id,)
        )
    }
    settled = [Settled(claim, outcome, settle(claim, outcome, now)) for claim, outcome in ended]
    if unwanted:
        settled = [
            one._replace(settlement=withdrawn(one.settlement)) if one.claim.id in unwanted else one for one in settled
        ]
    accepted, refused = _finish(db, settled, now)
    good, others = _parted(accepted)
    db.executemany(_NOTE_SUCCESS, [_success_row(one, runner.id, now) for one in good])
    db.executemany(_NOTE, [_attempt_row(one, runner.id, now) for one in others])
    printed = [one for one in accepted if one.outcome.stdout or one.outcome.stderr]
    db.executemany(
        "INSERT OR REPLACE INTO outputs VALUES (?1, ?2, ?4, ?5, ?6, ?7)",
        [row for one in printed for row in _output_rows(one.claim, one.outcome.stdout, one.outcome.stderr)],
    )
    states.count(db, states.tally_moves(
        [("running", one.settlement.state, one.claim.queue, one.claim.batch) for one in accepted]
    ))  # fmt: skip
    ended_ids = [one.claim.id for one in accepted if one.settlement.state in FINAL]
    dead = [one.claim.id for one in accepted if one.settlement.state in ("failed", "cancelled")]
    order.over(db, ended_ids, dead, now)
    return accepted, refused


def _finish(db: sqlite3.Connection, settled: list[Settled], now: int) -> tuple[list[Settled], list[Ended]]:
    good, others = _parted(settled)
    db.execute("SAVEPOINT finish")
    finished = db.executemany(_SUCCEED, [_succeed_row(one, now) for one in good]).rowcount if good else 0
    finished += db.executemany(_FINISH, [_finish_row(one, now) for one in others]).rowcount if others else 0
    if finished == len(settled):
        db.execute("RELEASE finish")
        return settled, []
    db.execute("ROLLBACK TO finish")  # someone rescued one of these jobs: find out which, one by one
    db.execute("RELEASE finish")
    accepted, refused = [], []
    for one in settled:
        if db.execute(_FINISH, _finish_row(one, now)).rowcount == 1:
            accepted.append(one)
        else:
            refused.append(Ended(one.claim, one.outcome))
    return accepted, refused


def _parted(settled: list[Settled]) -> tuple[list[Settled], list[Settled]]:
    """Those that succeeded, and the others."""
    good = [one for one in settled if one.outcome.status == SUCCEEDED]
    return good, [] if len(good) == len(settled) else [one for one in settled if one.outcome.status != SUCCEEDED]


def _succeed_row(one: Settled, now: int) -> tuple[object, ...]:
    claim, outcome, _ = one
    return outcome.started_at or claim.started_at or now, now, claim.id, claim.token


def _finish_row(one: Settled, now: int) -> tuple[object, ...]:
    to = one.settlement
    finished = now if to.state in FINAL else None
    started = one.outcome.started_at or one.claim.started_at or now
    return (
        to.state, to.due_at, to.failures, to.crashes, to.interruptions, to.why, finished, started, one.claim.id,
        one.claim.token,
    )  # fmt: skip


def _success_row(one: Settled, runner: int, now: int) -> tuple[object, ...]:
    claim, out, _ = one
    return (
        claim.id, claim.attempt, claim.token, runner, out.started_at or now, out.finished_at or now, out.seconds,
        out.cpu, out.peak, out.exit_code, out.result, out.leftovers,
    )  # fmt: skip


def _attempt_row(one: Settled, runner: int, now: int) -> tuple[object, ...]:
    claim, out = one.claim, one.outcome
    kind, message, trace = out.failure or (None, None, None)
    return (
        claim.id, claim.attempt, claim.token, runner, out.status, out.started_at or now, out.finished_at or now,
        out.seconds, out.cpu, out.peak, out.exit_code, out.signal, kind, message, trace or None, out.result,
        out.leftovers,
    )  # fmt: skip


_PRINT = """
INSERT OR REPLACE INTO outputs SELECT ?1, ?2, ?4, ?5, ?6, ?7
WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND token = ?3)"""


def _output_rows(
    claim: Claim, stdout: Stream | None, stderr: Stream | None
) -> list[tuple[int, int, str, str, bytes, bytes, int]]:
    return [
        (claim.id, claim.attempt, claim.token, name, *stream)
        for name, stream in (("stdout", stdout), ("stderr", stderr))
        if stream is not None and stream.total
    ]


# --- claiming ----------------------------------------------------------------------------------------------------------


def _promote(db: sqlite3.Connection, now: int) -> None:
    for why in ("retry", "delay"):
        where = (
            f"id IN (SELECT id FROM jobs WHERE state = 'scheduled' AND why = '{why}' AND due_at <= :now"
            " ORDER BY due_at LIMIT :most)"
        )
        states.move(
            db, "scheduled", "queued", where, {"now": now, "most": PROMOTED_AT_ONCE}, also="due_at = NULL, why = NULL"
        )


# --- what is left ------------------------------------------------------------------------------------------------------


def outlook(store: Store, runner: Runner) -> Outlook:
    """What a runner that has nothing to do could still wait for; read without a lock."""
    wanted = runner.wanted
    named = wanted.named() | {"runner": runner.id, "slots": runner.slots}
    lanes = claiming.lanes(store.db, wanted)
    kinds = "1" if wanted.payloads else "kind <> 'payload'"
    mine = f"state = 'queued' AND {kinds} AND slots <= :slots AND {wanted.condition()}"
    queued = any(
        _exists(store, f"{mine} AND jobs.queue = :lane", named | {"lane": lane.name})
        for lane in lanes
        if not lane.is_shut
    )
    ((next_due,),) = store.fetch(
        "SELECT min(due_at) FROM jobs WHERE state = 'scheduled' AND why = 'retry'"
        f" AND {kinds} AND slots <= :slots AND {wanted.condition()} AND NOT EXISTS (SELECT 1 FROM queues"
        " WHERE name = jobs.queue AND (paused OR running_limit = 0))",
        named,
    )
    elsewhere = (
        wanted.is_selective
        and _exists(store, f"state = 'running' AND runner <> :runner AND {wanted.condition()}", named)
    ) or _is_awaited(store, wanted, named)
    return Outlook(queued, next_due, elsewhere, _left_alone(store, runner, lanes, named))


def _is_awaited(store: Store, wanted: Wanted, named: dict[str, object]) -> bool:
    """Whether a job that this runner may take waits, directly or not, for one that another runner runs."""
    below = """
        WITH RECURSIVE below (id) AS (
            SELECT d.child FROM jobs AS p JOIN dependencies AS d ON d.parent = p.id
                WHERE p.state = 'running' AND p.runner <> :runner
            UNION SELECT d.child FROM below JOIN dependencies AS d ON d.parent = below.id)
        SELECT id FROM below"""
    return bool(store.fetch("SELECT 1 FROM counters WHERE state = 'blocked' LIMIT 1")) and _exists(
        store, f"id IN ({below}) AND state = 'blocked' AND {wanted.condition()}", named
    )


def _left_alone(store: Store, runner: Runner, lanes: Sequence[Lane], named: dict[str, object]) -> dict[str, int]:
    wanted = runner.wanted
    if wanted.ids is None:
        cell = "(:queue IS NULL OR queue = :queue) AND (:batch IS NULL OR batch = :batch)"
        left = "SELECT state, sum(jobs) FROM counters WHERE state IN ('held', 'scheduled', 'blocked') AND {} GROUP BY state"
        alone = dict(store.fetch(left.format(cell), named))
    else:
        cell = wanted.condition()
        left = "SELECT state, count(*) FROM jobs WHERE state IN ('held', 'scheduled', 'blocked') AND {} GROUP BY state"
        alone = dict(store.fetch(left.format(cell), named))
    for reason, where in (
        ("payload", "0" if wanted.payloads else "kind = 'payload'"),
        ("paused", "queue IN (SELECT name FROM queues WHERE paused OR running_limit = 0)"),
        ("slots", "slots > 1 AND slots > :slots"),
    ):
        if where == "0" or (reason == "paused" and not any(lane.is_shut for lane in lanes)):
            continue
        condition = wanted.condition() if reason != "slots" else f"{wanted.condition()} AND kind <> 'payload'"
        ((jobs,),) = store.fetch(f"SELECT count(*) FROM jobs WHERE state = 'queued' AND {where} AND {condition}", named)
        if jobs:
            alone[reason] = jobs
    return alone


def unwanted(store: Store, runner: Runner) -> list[str]:
    """The tokens of the jobs that this runner runs and that were cancelled; read without a lock."""
    rows = store.fetch(
        "SELECT token FROM jobs WHERE cancel_asked <> 0 AND finished_at IS NULL AND runner = ?", (runner.id,)
    )
    return [token for (token,) in rows]


def failed_since(store: Store, wanted: Wanted, since: int) -> list[int]:
    """The jobs of a selection that ended failed at or after ``since`` (milliseconds), whoever ran them."""
    where = f"state = 'failed' AND finished_at >= :since AND {wanted.condition()}"
    rows = store.fetch(f"SELECT id FROM jobs WHERE {where} ORDER BY id", wanted.named() | {"since": since})
    return [id for (id,) in rows]


def waiting(store: Store, wanted: Wanted) -> int:
    """How many jobs of this kind are queued or wait for their time or their parents; payload jobs count too."""
    states = "state IN ('queued', 'scheduled', 'blocked')"
    if wanted.ids is None:  # from the counters
        cell = "(:queue IS NULL OR queue = :queue) AND (:batch IS NULL OR batch = :batch)"
        sql = f"SELECT coalesce(sum(jobs), 0) FROM counters WHERE {states} AND {cell}"
    else:
        sql = f"SELECT count(*) FROM jobs WHERE {states} AND {wanted.condition()}"
    ((jobs,),) = store.fetch(sql, wanted.named())
    return int(jobs)


def _exists(store: Store, where: str, parameters: Mapping[str, object]) -> bool:
    return bool(store.fetch(f"SELECT EXISTS (SELECT 1 FROM jobs WHERE {where})", parameters)[0][0])


# --- rescue ------------------------------------------------------------------------------------------------------------


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


def lost_runners(store: Store, runner: Runner | None = None, here: Here | None = None) -> list[Lost]:
    """The dead runners of the store, by the kernel's word: their liveness byte is free. Read without a lock.

    Runners of another machine are left out, because their locks are not seen here, and so is one whose process lives
    although its byte is free: somebody has deleted the lock file under it.
    """
    rows = store.fetch(
        "SELECT id, pid, liveness, host, boot_id, namespace, born FROM runners WHERE ended_at IS NULL AND id IS NOT ?"
        " ORDER BY id",
        (None if runner is None else runner.id,),
    )
    lost = []
    for row, pid, byte, host, boot_id, namespace, born in rows:
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


def _claims_of(store: Store, runner: int) -> list[Claim]:
    rows = store.fetch(f"SELECT {claiming.COLUMNS} FROM jobs WHERE state = 'running' AND runner = ?", (runner,))
    return claiming.claims_of(store.db, rows)


def rescue(store: Store, lost: Lost, now: int) -> list[Settled]:
    """Settle the attempts of a dead runner: crashed if they had started, else given back.

    The token is checked again, so two rescuers do it once.
    """
    failure = Failure("RunnerDied", f"its runner (pid {lost.pid}) died while it ran")
    ended = [
        Ended(claim, Outcome(INTERRUPTED, started_at=now, finished_at=now))
        if claim.started_at is None
        else Ended(claim, Outcome(CRASHED, failure=failure, started_at=claim.started_at, finished_at=now))
        for claim in lost.claims
    ]
    with store.writing() as db:
        settled, _ = _record(db, Runner(lost.runner, 0, Wanted()), ended, now)
        db.execute(
            "UPDATE runners SET state = 'dead', ended_at = ? WHERE id = ? AND ended_at IS NULL", (now, lost.runner)
        )
        failpoints.hit("rescue_before_commit")
    return settled
