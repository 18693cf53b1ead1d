"""What an idle runner can still expect: how a drain finds out that it has finished. Read without a lock."""

import json
from collections.abc import Mapping

from batchq.named import NamedTuple
from batchq.store import order
from batchq.store.file.connection import Store
from batchq.store.running import claiming, runners
from batchq.store.running.runners import Runner
from batchq.store.running.wanted import RunSelection


class Forecast(NamedTuple):
    """What a runner can still expect: work now or as soon as limits and rates allow, retries at ``next_due`` (ms), jobs
    that other runs execute and that it waits for.
    """

    queued: bool
    next_due: int | None
    running_elsewhere: bool

    @property
    def is_work_left(self) -> bool:
        """Whether a run that drains continues."""
        return self.queued or self.next_due is not None or self.running_elsewhere


def look(store: Store, runner: Runner) -> Forecast:
    """Work out what an idle runner can still wait for.

    The jobs of other runs are checked only if nothing else is left: that may take long.
    """
    wanted = runner.wanted
    named = wanted.named() | {"runner": runner.id, "slots": runner.widest}
    shut = {queue.name for queue in claiming.bounded(store, wanted) if queue.is_shut}
    queued = order.is_unfinished(store.db) or any(
        _exists(
            store, f"state = 'queued' AND {where} AND {kind} AND slots <= :slots AND {wanted.condition()}", named | more
        )
        for kind in claiming.kinds(wanted)
        for where, more in claiming.passable(store, wanted, shut)
    )
    kinds = "1" if wanted.payloads else "kind <> 'payload'"
    ((next_due,),) = store.fetch(
        "SELECT min(due_at) FROM jobs WHERE state = 'scheduled' AND why = 'retry'"
        f" AND {kinds} AND slots <= :slots AND {wanted.condition()} AND NOT EXISTS (SELECT 1 FROM queues"
        " WHERE name = jobs.queue AND (paused OR running_limit <= 0))",
        named,
    )
    if queued or next_due is not None:
        return Forecast(queued, next_due, False)
    elsewhere = (
        wanted.is_selective and _exists(store, f"{runner.others('jobs')} AND {wanted.condition()}", named)
    ) or _is_awaited(store, runner, named)
    return Forecast(queued, next_due, elsewhere)


def is_anything_queued(store: Store) -> bool:
    """Whether a run may find work at once: queued jobs, or those of a dead run."""
    return bool(store.fetch("SELECT 1 FROM counters WHERE state IN ('queued', 'running') AND jobs > 0 LIMIT 1"))


def _is_awaited(store: Store, runner: Runner, named: dict[str, object]) -> bool:
    """Whether a job that this runner may take waits, directly or not, for a job that another runner runs.

    The search stops at the first hit. That is why it is in FROM: there SQLite produces one row at a time. Direct children
    come first; all levels below are searched only if none of the children is a hit.
    """
    if not store.fetch("SELECT 1 FROM counters WHERE state = 'blocked' LIMIT 1"):
        return False
    waits = f"jobs.state = 'blocked' AND {runner.wanted.condition()}"
    children = (
        f"SELECT d.child AS id FROM jobs AS p JOIN dependencies AS d ON d.parent = p.id WHERE {runner.others('p')}"
    )
    below = f"""
        WITH RECURSIVE below (id) AS (
            {children} UNION SELECT d.child FROM below JOIN dependencies AS d ON d.parent = below.id)
        SELECT id FROM below"""
    for found in (children, below):
        sql = f"SELECT 1 FROM ({found}) AS found CROSS JOIN jobs ON jobs.id = found.id WHERE {waits} LIMIT 1"
        if store.fetch(sql, named):
            return True
    return False


def left_alone(store: Store, runner: Runner) -> dict[str, int]:
    """Count the jobs of its selection that a runner leaves, by reason: held, scheduled for later, blocked, in a paused
    queue (``paused``), payload without --perform, more ``slots`` than it has. It counts rows: call it once, at the end."""
    wanted = runner.wanted
    named = wanted.named() | {"slots": runner.widest}
    number, table, where = _counted(wanted)
    states = "state IN ('held', 'scheduled', 'blocked')"
    left = dict(store.fetch(f"SELECT state, {number} FROM {table} WHERE {states} AND {where} GROUP BY state", named))
    reasons = {} if wanted.payloads else {"payload": "kind = 'payload'"}
    reasons["slots"] = "slots > 1 AND slots > :slots AND kind <> 'payload'"
    for reason, too in reasons.items():
        sql = f"SELECT count(*) FROM jobs WHERE state = 'queued' AND {too} AND {wanted.condition()}"
        ((left[reason],),) = store.fetch(sql, named)
    if shut := [queue.name for queue in claiming.bounded(store, wanted) if queue.is_shut]:
        paused = "state = 'queued' AND queue IN (SELECT value FROM json_each(:shut))"
        sql = f"SELECT {number} FROM {table} WHERE {paused} AND {where}"
        ((left["paused"],),) = store.fetch(sql, named | {"shut": json.dumps(shut)})
    return {reason: jobs for reason, jobs in left.items() if jobs}


def cancelled_tokens(store: Store, runner: Runner) -> list[str]:
    """The tokens of the jobs that this runner runs and that were cancelled."""
    rows = store.fetch(
        "SELECT token FROM jobs WHERE cancel_asked <> 0 AND finished_at IS NULL AND runner = ?", (runner.id,)
    )
    return [token for (token,) in rows]


def failed_since(store: Store, wanted: RunSelection) -> list[int]:
    """The jobs of a selection that failed since its runner was registered over this connection, in any run."""
    where = f"state = 'failed' AND {wanted.condition()} AND NOT EXISTS"
    before = "SELECT 1 FROM temp.failed_before AS f WHERE f.id = jobs.id AND f.attempt = jobs.attempt"
    rows = store.fetch(f"SELECT id FROM jobs WHERE {where} ({before}) ORDER BY id", wanted.named())
    return [id for (id,) in rows]


def waiting(store: Store, wanted: RunSelection) -> int:
    """How many jobs of the selection are queued, or wait for their time or their parents; payload jobs count too."""
    return counted(store, wanted, "queued", "scheduled", "blocked")


def counted(store: Store, wanted: RunSelection, *states: str) -> int:
    """How many jobs of the selection are in one of these states. It counts rows if ids are selected."""
    number, table, where = _counted(wanted)
    among = f"state IN ({', '.join(map(repr, states))})"
    ((jobs,),) = store.fetch(f"SELECT {number} FROM {table} WHERE {among} AND {where}", wanted.named())
    return int(jobs)


def _counted(wanted: RunSelection) -> tuple[str, str, str]:
    """How to count the jobs of a selection: the number, the table, and the condition. Only ids need the jobs themselves."""
    if wanted.ids is not None:
        return "count(*)", "jobs", wanted.condition()
    cell = "(:my_queue IS NULL OR queue = :my_queue) AND (:my_batch IS NULL OR batch = :my_batch)"
    return "coalesce(sum(jobs), 0)", "counters", cell


def _exists(store: Store, where: str, parameters: Mapping[str, object]) -> bool:
    return bool(store.fetch(f"SELECT EXISTS (SELECT 1 FROM jobs WHERE {where})", parameters)[0][0])


def retire(store: Store, runner: Runner) -> bool:
    """Record that a runner claims no more, if nothing is left for it; return whether that is so.

    It checks and records in one transaction. Jobs added before are seen here; an add that comes later no longer finds
    this runner and cannot rely on it (``run --if-running skip``).
    """
    with store.writing() as db:
        if look(store, runner).is_work_left:
            return False
        runners.stop_claiming(db, runner)
    return True
