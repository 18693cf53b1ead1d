"""Claiming: which queued jobs a runner gets, within the limits, rates and pauses of their queues, and within its slots."""

import json
import os
from collections import Counter
from collections.abc import Collection, Sequence
from operator import attrgetter

from batchq import clock
from batchq.jobs.attempt import Claim
from batchq.jobs.vacancy import Vacancy
from batchq.store import states
from batchq.store.file.connection import Store
from batchq.store.running import limits
from batchq.store.running.limits import QueueLimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.store.running.runners import Runner
    from batchq.store.running.wanted import RunSelection

PASSED_OVER = 2_000  #: queued jobs of bounded queues that a claim reads on its way to jobs of other queues
ENTRIES = 100  #: index entries that are read in the time of one query

_WORK = ", ".join(Claim._fields[3:-4])  # between id, token, attempt and started_at, cwd, path, parents
_MORE = (
    "context, failures, retry_timeout_factor,"
    " json_valid(work) AND (env IS NULL OR json_valid(env))"  # of NULL some versions of SQLite say 0
)
#: What a claim is made of: its fields, with the context in place of its folder and path, without parents; what changes
#: its timeout; and whether its JSON is valid.
COLUMNS = f"id, token, attempt, {_WORK}, started_at, {_MORE}"
_CONTEXT = len(Claim._fields) - 3
_FAILURES, _FACTOR, _READABLE = _CONTEXT + 1, _CONTEXT + 2, _CONTEXT + 3
# Jobs are read before they are changed: that is faster than RETURNING, for which SQLite first keeps each row in a table
# of its own. The tokens of jobs claimed together differ only in the id.
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
    store: Store, runner: "Runner", vacancy: Vacancy, now: int, at_most: int | None = None
) -> tuple[list[Claim], int | None]:
    """Claim at most ``at_most`` jobs for which the ``vacancy`` suffices, in the order in which they should start.

    Also returns when (milliseconds) the rate of a queue lets the next job start; None if no rate is in the way.
    """
    most = vacancy.free if at_most is None else min(vacancy.free, at_most)
    queues = bounded(store, runner.wanted)
    room = {
        queue.name: limits.room(queue, 0 if queue.limit is None else running_in(store, queue.name), most, now)
        for queue in queues
    }
    claims = _take(store, runner, room, most, vacancy, started_at=now)
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
    """Claim jobs that will start soon, but none that must not run twice, and none of a queue with a limit or a rate,
    where they would count as running too early."""
    if is_any_wide(store):
        return []
    room = {queue.name: 0 for queue in bounded(store, runner.wanted)}
    return _take(store, runner, room, most, Vacancy(most), started_at=None)


def bounded(store: Store, wanted: "RunSelection") -> list[QueueLimits]:
    """The queues that have settings and in which jobs of the selection are queued."""
    rows = store.fetch(
        "SELECT name, paused, running_limit, rate, allowance, allowance_at FROM queues WHERE EXISTS"
        " (SELECT 1 FROM counters WHERE state = 'queued' AND queue = name AND jobs > 0"
        " AND (:queue IS NULL OR queue = :queue) AND (:batch IS NULL OR batch = :batch))",
        {"queue": wanted.queue, "batch": wanted.batch},
    )
    return [QueueLimits._make(row) for row in rows]


def limits_of(store: Store, name: str) -> QueueLimits:
    """The settings of one queue."""
    rows = store.fetch(
        "SELECT name, paused, running_limit, rate, allowance, allowance_at FROM queues WHERE name = ?", (name,)
    )
    return QueueLimits._make(rows[0]) if rows else QueueLimits(name)


def running_in(store: Store, queue: str) -> int:
    """How many jobs of a queue run, in all runs together."""
    ((jobs,),) = store.fetch("SELECT total(jobs) FROM counters WHERE state = 'running' AND queue = ?", (queue,))
    return int(jobs)


def claims_of(store: Store, rows: "Sequence[tuple[Any, ...]]") -> list[Claim]:
    """Make claims of rows of ``COLUMNS``. One that cannot be run as it is stored gets an empty folder (``cwd``)."""
    contexts = _contexts(store, {row[_CONTEXT] for row in rows})
    claims = [Claim._make((*row[:_CONTEXT], *contexts[row[_CONTEXT]], None)) for row in rows]
    for number, row in enumerate(rows):
        if row[_FACTOR] is not None and (timeout := claims[number].timeout) is not None:
            claims[number] = claims[number]._replace(timeout=_stretched(timeout, row[_FACTOR], row[_FAILURES]))
        if not row[_READABLE] and not _is_json(claims[number]):
            claims[number] = claims[number]._replace(cwd="")
    return claims


def _is_json(claim: Claim) -> bool:
    """Check again in Python: SQLite also calls JSON invalid that is nested deeper than SQLite allows."""
    try:
        json.loads(claim.work)
        json.loads(claim.env or "{}")
    except (ValueError, RecursionError):
        return False
    return True


def _stretched(timeout: int, factor: float, failures: int) -> int:
    """The timeout of an attempt after ``failures``, at most the longest that is allowed."""
    try:
        # SQLite may return a whole number as an int, and a power of two ints may take for ever
        return min(round(timeout * float(factor) ** failures), clock.LONGEST)
    except OverflowError:
        return clock.LONGEST


def is_any_wide(store: Store) -> bool:
    """Whether a job of several slots is queued."""
    ((found,),) = store.fetch("SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued' AND slots > 1)")
    return bool(found)


def _take(
    store: Store, runner: "Runner", room: dict[str, int], most: int, vacancy: Vacancy, *, started_at: int | None
) -> list[Claim]:
    """Claim up to ``most`` jobs for which the ``vacancy`` suffices, and from a bounded queue at most its ``room``."""
    wanted = runner.wanted
    also = wanted.condition() + (" AND on_crash <> 'hold'" if started_at is None else "")
    named = wanted.named() | {"runner": runner.id, "started": started_at, "jobs": most, "slots": runner.widest}
    named["random"] = os.urandom(8).hex() + "."
    has_wide = started_at is not None and is_any_wide(store)
    if room or has_wide:
        also += " AND slots <= :slots" if has_wide else ""
        named["ids"] = json.dumps(_choose(store, wanted, also, named, room, most, vacancy))
        chosen = _CHOSEN
    else:
        chosen = " UNION ALL ".join(_CANDIDATES.format(_CLAIMED, f"{kind} AND {also}") for kind in kinds(wanted))
        if wanted.payloads:  # each kind has its own index, and each query returns up to :jobs
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
    vacancy: Vacancy,
) -> list[int]:
    """Pick the jobs to claim if queues are bounded or jobs need several slots: the first of each queue, in order."""
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
            found += sorted(mine, key=in_order)[:jobs]
    chosen = []
    for id, _, slots in sorted(found, key=in_order)[:most]:
        if not vacancy.take(slots):  # a job that does not fit yet keeps its place, or it would starve
            break
        chosen.append(id)
    return chosen


def in_order(row: tuple[int, int, int]) -> tuple[int, int]:
    """The place in line of a job: of its id, its priority and its slots."""
    return -row[1], row[0]


def kinds(wanted: "RunSelection") -> tuple[str, ...]:
    """The kinds of jobs that a selection takes: one condition for each that has an index of its own."""
    return (_PLAIN, _PAYLOAD) if wanted.payloads else (_PLAIN,)


def in_queue(name: str) -> str:
    """The condition for the jobs of queue ``:only``, whose name this is."""
    return "queue = :only" + (" AND queue <> 'default'" if name != "default" else "")  # or SQLite uses no index


def passable(store: Store, wanted: "RunSelection", shut: Collection[str]) -> list[tuple[str, dict[str, object]]]:
    """Conditions on ``queue``, each with its parameters, that together leave out the ``shut`` queues.

    Usually it is one: a query for each queue takes long if there are thousands. But if the shut queues have so many jobs
    that skipping them takes longer still, it is one for each of the other queues.
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
