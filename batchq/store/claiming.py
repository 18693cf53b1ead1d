"""Claiming: which queued jobs a runner gets, within the limits, rates and pauses of their queues, and within its slots."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from batchq.jobs.attempt import Claim
from batchq.store import limits, states
from batchq.store.connection import Store
from batchq.store.limits import Lane

if TYPE_CHECKING:
    from batchq.store.runners import Runner, Wanted

COMPOUND = 400  #: SELECTs that one statement combines; SQLite takes 500 (SQLITE_MAX_COMPOUND_SELECT)

#: What a claim is made of: its fields but the last two, for which the context stands, and what changes its timeout.
COLUMNS = (
    "id, token, attempt, kind, work, name, batch, queue, key, timeout, env, umask, stdin, leftovers, slots, started_at,"
    " context, failures, retry_timeout_factor"
)
_CONTEXT, _FACTOR = 16, 18
# A subquery that refers to nothing outside is evaluated once, so what is claimed together has tokens that differ in the
# job alone. RETURNING gives rows in no promised order, so the claims are sorted afterwards.
_CLAIM = f"""
UPDATE jobs SET state = 'running', token = (SELECT lower(hex(randomblob(8)))) || '.' || id,
    runner = :runner, attempt = attempt + 1, started_at = :started
WHERE id IN (SELECT id FROM ({{chosen}}))
RETURNING {COLUMNS}, -priority"""
_CANDIDATES = """
SELECT * FROM (SELECT id, priority, slots FROM jobs WHERE state = 'queued' AND {} ORDER BY priority DESC, id LIMIT {})"""
# Jobs of several slots are taken in order too: one that does not fit yet keeps its place, or it would starve.
_FITTING = """
SELECT id, priority FROM (
    SELECT id, priority, sum(slots) OVER (ORDER BY priority DESC, id ROWS UNBOUNDED PRECEDING) AS used FROM ({candidates}))
WHERE used <= :free"""


def claim(
    store: Store, runner: "Runner", free: int, now: int, at_most: int | None = None
) -> tuple[list[Claim], int | None]:
    """Claim jobs that fill up to ``free`` slots, ``at_most`` so many, in the order in which they should start.

    Also returns when (milliseconds) the rate of a queue lets the next job through, None where no rate is in the way.
    """
    most = free if at_most is None else min(free, at_most)
    open_lanes = [lane for lane in lanes(store, runner.wanted) if not lane.is_shut]
    room = {
        lane.name: limits.room(lane, 0 if lane.limit is None else running_in(store, lane.name), most, now)
        for lane in open_lanes
    }
    claims = _take(store, runner, {name: jobs for name, jobs in room.items() if jobs}, most, free=free, started_at=now)
    taken = Counter(one.queue for one in claims)
    for lane in open_lanes:
        if lane.rate is not None and taken[lane.name]:
            left, at = limits.paid(lane, taken[lane.name], now)
            store.db.execute("UPDATE queues SET allowance = ?, allowance_at = ? WHERE name = ?", (left, at, lane.name))
    if not any(lane.rate for lane in open_lanes):
        return claims, None
    waits = [limits.next_start(lane, now) for lane in lanes(store, runner.wanted)]
    return claims, min((at for at in waits if at is not None), default=None)


def claim_ahead(store: Store, runner: "Runner", most: int, now: int) -> list[Claim]:
    """Claim jobs that will start soon: none that must not run twice, and none of a queue with a limit or a rate, where
    they would count as running before they do."""
    if _is_any_wide(store):
        return []
    room = {lane.name: most for lane in lanes(store, runner.wanted) if not lane.is_bounded}
    return _take(store, runner, room, most, free=most, started_at=None)


def lanes(store: Store, wanted: "Wanted") -> list[Lane]:
    """The queues in which something waits that is wanted."""
    rows = store.fetch(
        "SELECT waiting.queue, coalesce(q.paused, 0), q.running_limit, q.rate, q.allowance, q.allowance_at FROM"
        " (SELECT DISTINCT queue FROM counters WHERE state = 'queued' AND jobs > 0"
        "  AND (:queue IS NULL OR queue = :queue) AND (:batch IS NULL OR batch = :batch)) AS waiting"
        " LEFT JOIN queues AS q ON q.name = waiting.queue",
        {"queue": wanted.queue, "batch": wanted.batch},
    )
    return [Lane._make(row) for row in rows]


def lane_named(store: Store, name: str) -> Lane:
    """One queue, with what was set for it."""
    rows = store.fetch(
        "SELECT name, paused, running_limit, rate, allowance, allowance_at FROM queues WHERE name = ?", (name,)
    )
    return Lane._make(rows[0]) if rows else Lane(name)


def running_in(store: Store, queue: str) -> int:
    """How many jobs of a queue run, whoever runs them."""
    ((jobs,),) = store.fetch("SELECT total(jobs) FROM counters WHERE state = 'running' AND queue = ?", (queue,))
    return int(jobs)


def claims_of(store: Store, rows: Sequence[tuple[Any, ...]]) -> list[Claim]:
    """The claims in rows of ``COLUMNS``."""
    contexts = _contexts(store, {row[_CONTEXT] for row in rows})
    claims = [Claim._make(row[:_CONTEXT] + contexts[row[_CONTEXT]]) for row in rows]
    for number, row in enumerate(rows):
        if row[_FACTOR] is not None and (timeout := claims[number].timeout) is not None:
            claims[number] = claims[number]._replace(timeout=round(timeout * row[_FACTOR] ** row[_FACTOR - 1]))
    return claims


def _is_any_wide(store: Store) -> bool:
    ((found,),) = store.fetch("SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued' AND slots > 1)")
    return bool(found)


def _take(
    store: Store, runner: "Runner", room: dict[str, int], most: int, *, free: int, started_at: int | None
) -> list[Claim]:
    """Claim up to ``most`` jobs that fill up to ``free`` slots, from each queue no more than ``room`` says."""
    if not room:
        return []
    db = store.db
    wanted = runner.wanted
    kinds = ("kind <> 'payload'", "kind = 'payload'") if wanted.payloads else ("kind <> 'payload'",)
    also = wanted.condition() + (" AND on_crash <> 'hold'" if started_at is None else "")
    is_any_wide = started_at is not None and _is_any_wide(store)
    also += " AND slots <= :slots" if is_any_wide else ""
    parameters = wanted.named() | {"runner": runner.id, "started": started_at, "jobs": most, "free": free}
    parameters["slots"] = runner.slots
    candidates = []
    for number, (queue, jobs) in enumerate(room.items()):
        parameters |= {f"queue{number}": queue, f"room{number}": jobs}
        # Two kinds are two indexes, so each gives as many; what is over the queue's room is cut off behind them.
        both = [_CANDIDATES.format(f"queue = :queue{number} AND {kind} AND {also}", f":room{number}") for kind in kinds]
        candidates.append(both[0] if len(both) == 1 else _first(both, f":room{number}"))
    while len(candidates) > COMPOUND:
        candidates = [_first(candidates[at : at + COMPOUND], ":jobs") for at in range(0, len(candidates), COMPOUND)]
    chosen = " UNION ALL ".join(candidates)
    if is_any_wide:
        chosen = _FITTING.format(candidates=chosen)
    if len(candidates) > 1:
        chosen = _first([chosen], ":jobs")
    rows = db.execute(_CLAIM.format(chosen=chosen), parameters).fetchall()
    rows.sort(key=itemgetter(-1, 0))
    claims = claims_of(store, rows)
    lanes_taken = Counter(map(attrgetter("queue", "batch"), claims))
    states.count(db, states.tally_moves({("queued", "running", *lane): jobs for lane, jobs in lanes_taken.items()}))
    return claims


def _first(selects: Iterable[str], most: str) -> str:
    return f"SELECT * FROM ({' UNION ALL '.join(selects)} ORDER BY priority DESC, id LIMIT {most})"


def _contexts(store: Store, ids: set[int]) -> dict[int, tuple[str, str]]:
    found = {}
    for context in ids:
        ((cwd, path),) = store.fetch("SELECT cwd, path FROM contexts WHERE id = ?", (context,))
        found[context] = (os.fsdecode(cwd), os.fsdecode(path))
    return found
