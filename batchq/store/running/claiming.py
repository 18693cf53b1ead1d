"""Claiming: which queued jobs a runner gets, within the limits, rates and pauses of their queues, and within its slots."""

import json
import os
from collections import Counter
from collections.abc import Collection, Sequence
from operator import attrgetter

from batchq import clock
from batchq.jobs.attempt import Claim
from batchq.store import states
from batchq.store.file.connection import Store
from batchq.store.running import limits
from batchq.store.running.limits import QueueLimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.store.running.runners import Runner, RunSelection

PASSED_OVER = 2_000  #: queued jobs of bounded queues that a claim reads on its way to those of others
ENTRIES = 100  #: of an index that are read in the time of one question

_WORK = ", ".join(Claim._fields[3:-3])  # between id, token, attempt and started_at, cwd, path
_MORE = (
    "context, failures, retry_timeout_factor,"
    " json_valid(work) AND (env IS NULL OR json_valid(env))"  # of NULL some versions of SQLite say 0
)
#: What a claim is made of: its fields but the last two, for which the context stands, what changes its timeout, and
#: whether it can be read.
COLUMNS = f"id, token, attempt, {_WORK}, started_at, {_MORE}"
_CONTEXT = len(Claim._fields) - 2
_FAILURES, _FACTOR, _READABLE = _CONTEXT + 1, _CONTEXT + 2, _CONTEXT + 3
# What is claimed is read before it is changed: that takes less than RETURNING, for which SQLite keeps each row in a table
# of its own first. What is claimed together has tokens that differ in the job alone.
_CLAIMED = f"id, :random || id, attempt + 1, {_WORK}, :started, {_MORE}, priority"
_CANDIDATES = """
SELECT * FROM (SELECT {} FROM jobs WHERE state = 'queued' AND {} ORDER BY priority DESC, id LIMIT :jobs)"""
_CHOSEN = f"SELECT {_CLAIMED} FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY priority DESC, id"
_CLAIM = """
UPDATE jobs SET state = 'running', token = :random || id, runner = :runner, attempt = attempt + 1, started_at = :started
WHERE id IN (SELECT value FROM json_each(:ids))"""
_PLACE = "id, priority, slots"
_PLAIN, _PAYLOAD = "kind <> 'payload'", "kind = 'payload'"


def claim(
    store: Store, runner: "Runner", free: int, now: int, at_most: int | None = None
) -> tuple[list[Claim], int | None]:
    """Claim jobs that fill up to ``free`` slots, ``at_most`` so many, in the order in which they should start.

    Also returns when (milliseconds) the rate of a queue lets the next job through, None where no rate is in the way.
    """
    most = free if at_most is None else min(free, at_most)
    queues = bounded(store, runner.wanted)
    room = {
        queue.name: limits.room(queue, 0 if queue.limit is None else running_in(store, queue.name), most, now)
        for queue in queues
    }
    claims = _take(store, runner, room, most, free=free, started_at=now)
    if not any(queue.rate for queue in queues):
        return claims, None
    taken = Counter(one.queue for one in claims)
    for queue in queues:
        if queue.rate is not None and taken[queue.name]:
            left, at = limits.paid(queue, taken[queue.name], now)
            store.db.execute("UPDATE queues SET allowance = ?, allowance_at = ? WHERE name = ?", (left, at, queue.name))
    waits = [limits.next_start(queue, now) for queue in bounded(store, runner.wanted)]
    return claims, min((at for at in waits if at is not None), default=None)


def claim_ahead(store: Store, runner: "Runner", most: int, now: int) -> list[Claim]:
    """Claim jobs that will start soon: none that must not run twice, and none of a queue with a limit or a rate, where
    they would count as running before they do."""
    if _is_any_wide(store):
        return []
    room = {queue.name: 0 for queue in bounded(store, runner.wanted)}
    return _take(store, runner, room, most, free=most, started_at=None)


def bounded(store: Store, wanted: "RunSelection") -> list[QueueLimits]:
    """The queues for which something was set and in which something waits that is wanted."""
    rows = store.fetch(
        "SELECT name, paused, running_limit, rate, allowance, allowance_at FROM queues WHERE EXISTS"
        " (SELECT 1 FROM counters WHERE state = 'queued' AND queue = name AND jobs > 0"
        " AND (:queue IS NULL OR queue = :queue) AND (:batch IS NULL OR batch = :batch))",
        {"queue": wanted.queue, "batch": wanted.batch},
    )
    return [QueueLimits._make(row) for row in rows]


def limits_of(store: Store, name: str) -> QueueLimits:
    """One queue, with what was set for it."""
    rows = store.fetch(
        "SELECT name, paused, running_limit, rate, allowance, allowance_at FROM queues WHERE name = ?", (name,)
    )
    return QueueLimits._make(rows[0]) if rows else QueueLimits(name)


def running_in(store: Store, queue: str) -> int:
    """How many jobs of a queue run, whoever runs them."""
    ((jobs,),) = store.fetch("SELECT total(jobs) FROM counters WHERE state = 'running' AND queue = ?", (queue,))
    return int(jobs)


def claims_of(store: Store, rows: "Sequence[tuple[Any, ...]]") -> list[Claim]:
    """The claims in rows of ``COLUMNS``. One that cannot be run as it is stored has no folder (``cwd`` is empty)."""
    contexts = _contexts(store, {row[_CONTEXT] for row in rows})
    claims = [Claim._make(row[:_CONTEXT] + contexts[row[_CONTEXT]]) for row in rows]
    for number, row in enumerate(rows):
        if row[_FACTOR] is not None and (timeout := claims[number].timeout) is not None:
            claims[number] = claims[number]._replace(timeout=_stretched(timeout, row[_FACTOR], row[_FAILURES]))
        if not row[_READABLE] and not _is_json(claims[number]):
            claims[number] = claims[number]._replace(cwd="")
    return claims


def _is_json(claim: Claim) -> bool:
    """What SQLite takes for no JSON may only be nested deeper than it looks."""
    try:
        json.loads(claim.work)
        json.loads(claim.env or "{}")
    except (ValueError, RecursionError):
        return False
    return True


def _stretched(timeout: int, factor: float, failures: int) -> int:
    """The timeout of an attempt after so many failures, never longer than any timeout may be."""
    try:
        # RETURNING gives a whole number as an int, and a power of two ints may take for ever
        return min(round(timeout * float(factor) ** failures), clock.LONGEST)
    except OverflowError:
        return clock.LONGEST


def _is_any_wide(store: Store) -> bool:
    ((found,),) = store.fetch("SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued' AND slots > 1)")
    return bool(found)


def _take(
    store: Store, runner: "Runner", room: dict[str, int], most: int, *, free: int, started_at: int | None
) -> list[Claim]:
    """Claim up to ``most`` jobs that fill up to ``free`` slots, from a bounded queue no more than ``room`` says."""
    wanted = runner.wanted
    also = wanted.condition() + (" AND on_crash <> 'hold'" if started_at is None else "")
    named = wanted.named() | {"runner": runner.id, "started": started_at, "jobs": most, "slots": runner.slots}
    named["random"] = os.urandom(8).hex() + "."
    is_any_wide = started_at is not None and _is_any_wide(store)
    if room or is_any_wide:
        also += " AND slots <= :slots" if is_any_wide else ""
        named["ids"] = json.dumps(_choose(store, wanted, also, named, room, most, free))
        chosen = _CHOSEN
    else:
        chosen = " UNION ALL ".join(_CANDIDATES.format(_CLAIMED, f"{kind} AND {also}") for kind in kinds(wanted))
        if wanted.payloads:  # two kinds are two indexes, and each gives as many
            chosen = f"{chosen} ORDER BY priority DESC, id LIMIT :jobs"
    rows = store.db.execute(chosen, named).fetchall()
    if not rows:
        return []
    store.db.execute(_CLAIM, named | {"ids": json.dumps([row[0] for row in rows])})
    claims = claims_of(store, rows)
    places = Counter(map(attrgetter("queue", "batch"), claims))
    states.count(store.db, states.tally_moves({("queued", "running", *place): jobs for place, jobs in places.items()}))
    return claims


def _choose(
    store: Store,
    wanted: "RunSelection",
    also: str,
    named: dict[str, object],
    room: dict[str, int],
    most: int,
    free: int,
) -> list[int]:
    """The jobs to claim where queues have bounds or jobs need several slots: the first of each queue, put in order."""
    found: list[tuple[int, int, int]] = []
    for kind in kinds(wanted):
        for where, more in passable(store, wanted, room):
            found += store.fetch(_CANDIDATES.format(_PLACE, f"{where} AND {kind} AND {also}"), named | more)
    for queue, jobs in room.items():
        if jobs:
            where = in_queue(queue)
            mine = [
                row
                for kind in kinds(wanted)
                for row in store.fetch(
                    _CANDIDATES.format(_PLACE, f"{where} AND {kind} AND {also}"), named | {"only": queue, "jobs": jobs}
                )
            ]
            found += sorted(mine, key=_in_order)[:jobs]
    chosen, used = [], 0
    for id, _, slots in sorted(found, key=_in_order)[:most]:
        used += slots  # one that does not fit yet keeps its place, or it would starve
        if used > free:
            break
        chosen.append(id)
    return chosen


def _in_order(row: tuple[int, int, int]) -> tuple[int, int]:
    return -row[1], row[0]


def kinds(wanted: "RunSelection") -> tuple[str, ...]:
    """What a wanted job may be: a condition for each kind that has an index of its own."""
    return (_PLAIN, _PAYLOAD) if wanted.payloads else (_PLAIN,)


def in_queue(name: str) -> str:
    """The condition for the jobs of queue ``:only``, whose name this is."""
    return "queue = :only" + (" AND queue <> 'default'" if name != "default" else "")  # or SQLite uses no index


def passable(store: Store, wanted: "RunSelection", shut: Collection[str]) -> list[tuple[str, dict[str, object]]]:
    """Conditions on ``queue``, each with its parameters, that together leave out the queues that are ``shut``.

    One where that is possible: to ask queue by queue takes long where there are thousands. But where a shut queue has
    so many jobs that to pass over them takes longer still, it is one for each of the others.
    """
    if not shut:
        return [("1", {})]
    named: dict[str, object] = {"shut": json.dumps([*shut])}
    is_shut = "queue IN (SELECT value FROM json_each(:shut))"
    ((jobs,),) = store.fetch(f"SELECT total(jobs) FROM counters WHERE state = 'queued' AND {is_shut}", named)
    if jobs > PASSED_OVER:
        others = store.fetch(
            f"SELECT DISTINCT queue FROM counters WHERE state = 'queued' AND jobs > 0 AND NOT {is_shut}"
            " AND (:queue IS NULL OR queue = :queue)",
            named | {"queue": wanted.queue},
        )
        if jobs > ENTRIES * len(others):
            return [(in_queue(queue), {"only": queue}) for (queue,) in others]
    return [(f"NOT {is_shut}", named)]


def _contexts(store: Store, ids: set[int]) -> dict[int, tuple[str, str]]:
    found = {}
    for context in ids:
        rows = store.fetch("SELECT cwd, path FROM contexts WHERE id = ?", (context,))
        cwd, path = rows[0] if rows else (b"", b"")
        found[context] = (os.fsdecode(cwd), os.fsdecode(path))
    return found
