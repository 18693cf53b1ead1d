"""What a runner says to the store: I am here; these ended, give me more; I am gone. One short transaction each.

A claim is an ``UPDATE … RETURNING`` that gives each job a fresh token; a result is accepted only with the token that
is still current, so a runner that was taken for dead cannot overwrite what happened since.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

from batchq import clock, failpoints
from batchq.jobs.attempt import (
    CRASHED,
    INTERRUPTED,
    SUCCEEDED,
    Claim,
    Ended,
    Failure,
    Outcome,
    Printed,
    Standing,
    Stream,
)
from batchq.jobs.lifecycle import FINAL, SUCCESS, Settlement, settle, withdrawn
from batchq.store import claiming, order, states
from batchq.store.connection import Store
from batchq.store.runners import Runner

PROMOTED_AT_ONCE = 1000  #: due jobs that one exchange makes claimable, so that no transaction grows long


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


def exchange(
    store: Store,
    runner: Runner,
    ended: Sequence[Ended],
    free: int,
    now: int | None = None,
    *,
    at_most: int | None = None,
    ahead: int = 0,
    started: Sequence[Claim] = (),
    printed: Sequence[Printed] = (),
) -> Exchange:
    """Record what ended, make due jobs claimable, and claim jobs for ``free`` slots, in one transaction.

    No more than ``at_most`` are claimed. The claims come in the order in which they should start. Work may begin only
    after this returns: that is when the claims are on disk. Up to ``ahead`` further jobs are claimed that will start
    soon; as long as such a job is not among ``started`` of a later exchange, the death of the runner costs it nothing.
    Jobs with ``on_crash = "hold"`` are not claimed ahead. ``printed`` is the output of jobs that still run.

    ``now`` (milliseconds) is by default when the store is ours: with a time from before a wait for it, starts would be
    paid for that a rate does not let through yet.

    Raises BusyError or LedgerError; then nothing happened and the same call may be repeated.
    """
    with store.writing() as db:
        now = clock.now() if now is None else now
        settled, refused = _record(db, runner.id, ended, now)
        db.executemany(
            "UPDATE jobs SET started_at = ? WHERE id = ? AND token = ?",
            [(claim.started_at or now, claim.id, claim.token) for claim in started],
        )
        db.executemany(_PRINT, [row for one in printed for row in _output_rows(one.claim, one.stdout, one.stderr)])
        claims: list[Claim] = []
        again_at = None
        if free > 0:
            _promote(db, now)
            claims, again_at = claiming.claim(store, runner, free, now, at_most)
        if ahead > 0 and len(claims) == free:
            claims += claiming.claim_ahead(store, runner, ahead, now)
        if ended:
            failpoints.hit("before_finish")
    if claims:
        failpoints.hit("after_claim")
    if ended:
        failpoints.hit("after_finish")
    return Exchange(settled, refused, claims, again_at)


# --- recording ---------------------------------------------------------------------------------------------------------


# Most attempts succeed, and each statement and each value that is bound costs time (None as much as four others). So
# successes have statements of their own, for many at once: what is the same for all of them stands in the text. Short jobs
# of successive numbers end together; a range of them is updated in one pass, and a single job is a range too.
_SUCCEED = """
UPDATE jobs SET state = 'succeeded', why = NULL, interruptions = 0, started_at = ?, finished_at = ?, token = NULL,
    runner = NULL
WHERE id BETWEEN ? AND ? AND token = ? || id AND state = 'running'"""
_FINISH = """
UPDATE jobs SET state = ?, due_at = ?, failures = coalesce(?, failures), crashes = coalesce(?, crashes), interruptions = ?,
    why = ?, finished_at = ?, started_at = ?, token = NULL, runner = NULL
WHERE id = ? AND token = ? AND state = 'running'"""
_AT_ONCE = (64, 16, 4, 1)  #: rows in one statement
_NOTE_SUCCESSES = """
INSERT INTO attempts
    (job, number, token, runner, outcome, started_at, finished_at, seconds, cpu_seconds, peak_kib, exit_code, result)
VALUES {}"""
_NOTED = "(?, ?, ?, {}, 'succeeded', ?, ?, ?, ?, ?, nullif(?, -1), ?)"
_NOTE = f"INSERT INTO attempts VALUES ({','.join('?' * 17)})"


def _record(db: sqlite3.Connection, runner: int, ended: Sequence[Ended], now: int) -> tuple[list[Settled], list[Ended]]:
    if not ended:
        return [], []
    unwanted = {
        id
        for (id,) in db.execute(
            "SELECT id FROM jobs WHERE cancel_asked <> 0 AND finished_at IS NULL AND runner = ?", (runner,)
        )
    }
    standings = _standings(db, [claim.id for claim, outcome in ended if outcome.status != SUCCEEDED])
    settled = [
        Settled(claim, outcome, SUCCESS if outcome.status == SUCCEEDED else settle(standings[claim.id], outcome, now))
        for claim, outcome in ended
    ]
    if unwanted:
        settled = [
            one._replace(settlement=withdrawn(one.settlement)) if one.claim.id in unwanted else one for one in settled
        ]
    accepted, refused = _finish(db, settled, now)
    _note(db, runner, accepted, now)
    db.executemany(
        "INSERT OR REPLACE INTO outputs VALUES (?1, ?2, ?4, ?5, ?6, ?7)",
        [
            row
            for claim, outcome, _ in accepted
            if outcome.stdout or outcome.stderr
            for row in _output_rows(claim, outcome.stdout, outcome.stderr)
        ],
    )
    states.count(db, states.tally_moves(("running", to.state, claim.queue, claim.batch) for claim, _, to in accepted))
    if order.has_any(db):
        dead = [claim.id for claim, _, to in accepted if to.state in ("failed", "cancelled")]
        waiting = [claim.id for claim, _, to in accepted if to.state not in FINAL]
        order.over(db, [claim.id for claim, _, to in accepted if to.state in FINAL], dead, now, waiting)
    return accepted, refused


def _standings(db: sqlite3.Connection, jobs: list[int]) -> dict[int, Standing]:
    """How far these jobs have come. One that is gone has a standing too: its result will be refused."""
    found = dict.fromkeys(jobs, Standing(1, 0, 1, 0, "retry", 0, 0))
    if jobs:
        rows = db.execute(
            f"SELECT id, {', '.join(Standing._fields)} FROM jobs WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(jobs),),
        )
        found.update((row[0], Standing._make(row[1:])) for row in rows)
    return found


def _finish(db: sqlite3.Connection, settled: list[Settled], now: int) -> tuple[list[Settled], list[Ended]]:
    db.execute("SAVEPOINT finish")
    successes = [one for one in settled if one.settlement is SUCCESS]
    finished = db.executemany(_SUCCEED, _ranges(successes, now)).rowcount if successes else 0
    if len(successes) < len(settled):
        others = [_finish_row(one, now) for one in settled if one.settlement is not SUCCESS]
        finished += db.executemany(_FINISH, others).rowcount
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


def _ranges(successes: list[Settled], now: int) -> list[list[object]]:
    """Jobs of successive numbers that were claimed together and began in the same millisecond, for ``_SUCCEED``."""
    ranges: list[list[object]] = []
    following, began, random = 0, 0, ""
    for claim, outcome, _ in successes:
        started = outcome.started_at or claim.started_at or now
        if claim.id == following and started == began and claim.token.startswith(random):
            ranges[-1][3] = following
        else:
            began, random = started, claim.token[: -len(str(claim.id))]
            ranges.append([began, now, claim.id, claim.id, random])
        following = claim.id + 1
    return ranges


def _note(db: sqlite3.Connection, runner: int, accepted: list[Settled], now: int) -> None:
    """A row for each attempt."""
    plain = [
        (
            claim.id, claim.attempt, claim.token, out.started_at or now, out.finished_at or now, out.seconds, out.cpu,
            out.peak, -1 if out.exit_code is None else out.exit_code, out.result,
        )
        for claim, out, to in accepted
        if to is SUCCESS and not out.leftovers
    ]  # fmt: skip
    row, first = _NOTED.format(runner), 0
    for size in _AT_ONCE:
        end = len(plain) - (len(plain) - first) % size
        if first < end:
            parts = [tuple(chain.from_iterable(plain[at : at + size])) for at in range(first, end, size)]
            db.executemany(_NOTE_SUCCESSES.format(", ".join([row] * size)), parts)
            first = end
    if len(plain) < len(accepted):
        others = [one for one in accepted if one.settlement is not SUCCESS or one.outcome.leftovers]
        db.executemany(_NOTE, [_attempt_row(one, runner, now) for one in others])


def _finish_row(one: Settled, now: int) -> tuple[object, ...]:
    to = one.settlement
    finished = now if to.state in FINAL else None
    started = one.outcome.started_at or one.claim.started_at or now
    return (
        to.state, to.due_at, to.failures, to.crashes, to.interruptions, to.why, finished, started, one.claim.id,
        one.claim.token,
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
    return claiming.claims_of(store, rows)


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
        settled, _ = _record(db, lost.runner, ended, now)
        db.execute(
            "UPDATE runners SET state = 'dead', ended_at = ? WHERE id = ? AND ended_at IS NULL", (now, lost.runner)
        )
        failpoints.hit("rescue_before_commit")
    return settled
