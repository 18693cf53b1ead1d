"""What is still to come for a runner that has nothing to do: how a drain knows that it is over. Read without a lock."""

import json
from collections.abc import Mapping

from batchq.named import NamedTuple
from batchq.store import order
from batchq.store.file.connection import Store
from batchq.store.running import claiming, runners
from batchq.store.running.runners import Runner, RunSelection


class Forecast(NamedTuple):
    """What is still to come for a runner: work now or as soon as limits and rates let it, retries at ``next_due`` (ms),
    jobs that others run and for which it waits.
    """

    queued: bool
    next_due: int | None
    running_elsewhere: bool

    @property
    def is_work_left(self) -> bool:
        """Whether a run that drains goes on."""
        return self.queued or self.next_due is not None or self.running_elsewhere


def look(store: Store, runner: Runner) -> Forecast:
    """What a runner that has nothing to do could still wait for; read without a lock.

    What others run is looked at only where nothing else is left: that may take long.
    """
    wanted = runner.wanted
    named = wanted.named() | {"runner": runner.id, "slots": runner.slots}
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
    """Whether a run will perhaps find work at once, its own or that of a dead run."""
    return bool(store.fetch("SELECT 1 FROM counters WHERE state IN ('queued', 'running') AND jobs > 0 LIMIT 1"))


def _is_awaited(store: Store, runner: Runner, named: dict[str, object]) -> bool:
    """Whether a job that this runner may take waits, directly or not, for one that another runner runs.

    The first one that is found is enough. So the search stands in FROM, where SQLite makes each row when it is asked
    for; it looks at the children first, and below them only where none of those is wanted.
    """
    if not store.fetch("SELECT 1 FROM counters WHERE state = 'blocked' LIMIT 1"):
        return False
    waits = f"jobs.state = 'blocked' AND {runner.wanted.condition()}"
    children = f"""
        SELECT d.child FROM jobs AS p JOIN dependencies AS d ON d.parent = p.id
            WHERE {runner.others("p")}"""
    below = f"""
        WITH RECURSIVE below (id) AS (
            {children} UNION SELECT d.child FROM below JOIN dependencies AS d ON d.parent = below.id)
        SELECT id FROM below"""
    return any(
        store.fetch(
            f"SELECT 1 FROM ({found}) AS found CROSS JOIN jobs ON jobs.id = {column} WHERE {waits} LIMIT 1", named
        )
        for found, column in ((children, "found.child"), (below, "found.id"))
    )


def left_alone(store: Store, runner: Runner) -> dict[str, int]:
    """How many of the wanted jobs a runner does not take: held, scheduled for later, blocked, in a paused queue
    (``paused``), payload without --perform, more ``slots`` than it has. It counts rows: to be asked once, at the end."""
    wanted = runner.wanted
    named = wanted.named() | {"slots": runner.slots}
    shut = [queue.name for queue in claiming.bounded(store, wanted) if queue.is_shut]
    if wanted.ids is None:
        cell = "(:my_queue IS NULL OR queue = :my_queue) AND (:my_batch IS NULL OR batch = :my_batch)"
        left = "SELECT state, sum(jobs) FROM counters WHERE state IN ('held', 'scheduled', 'blocked') AND {} GROUP BY state"
        alone = dict(store.fetch(left.format(cell), named))
    else:
        cell = wanted.condition()
        left = "SELECT state, count(*) FROM jobs WHERE state IN ('held', 'scheduled', 'blocked') AND {} GROUP BY state"
        alone = dict(store.fetch(left.format(cell), named))
    for reason, where in (
        ("payload", "0" if wanted.payloads else "kind = 'payload'"),
        ("slots", "slots > 1 AND slots > :slots"),
    ):
        if where == "0":
            continue
        condition = wanted.condition() if reason != "slots" else f"{wanted.condition()} AND kind <> 'payload'"
        ((jobs,),) = store.fetch(f"SELECT count(*) FROM jobs WHERE state = 'queued' AND {where} AND {condition}", named)
        if jobs:
            alone[reason] = jobs
    if shut:
        number, table = ("total(jobs)", "counters") if wanted.ids is None else ("count(*)", "jobs")
        paused = (
            f"SELECT {number} FROM {table} WHERE state = 'queued' AND queue IN (SELECT value FROM json_each(:shut))"
        )
        ((jobs,),) = store.fetch(f"{paused} AND {cell}", named | {"shut": json.dumps(shut)})
        alone |= {"paused": int(jobs)} if jobs else {}
    return alone


def cancelled_tokens(store: Store, runner: Runner) -> list[str]:
    """The tokens of the jobs that this runner runs and that were cancelled; read without a lock."""
    rows = store.fetch(
        "SELECT token FROM jobs WHERE cancel_asked <> 0 AND finished_at IS NULL AND runner = ?", (runner.id,)
    )
    return [token for (token,) in rows]


def failed_since(store: Store, wanted: RunSelection) -> list[int]:
    """The jobs of a selection that ended failed since its runner was registered over this connection, whoever ran them."""
    where = f"state = 'failed' AND {wanted.condition()} AND NOT EXISTS"
    before = "SELECT 1 FROM temp.failed_before AS f WHERE f.id = jobs.id AND f.attempt = jobs.attempt"
    rows = store.fetch(f"SELECT id FROM jobs WHERE {where} ({before}) ORDER BY id", wanted.named())
    return [id for (id,) in rows]


def waiting(store: Store, wanted: RunSelection) -> int:
    """How many jobs of this kind are queued or wait for their time or their parents; payload jobs count too."""
    states = "state IN ('queued', 'scheduled', 'blocked')"
    if wanted.ids is None:  # from the counters
        cell = "(:my_queue IS NULL OR queue = :my_queue) AND (:my_batch IS NULL OR batch = :my_batch)"
        sql = f"SELECT coalesce(sum(jobs), 0) FROM counters WHERE {states} AND {cell}"
    else:
        sql = f"SELECT count(*) FROM jobs WHERE {states} AND {wanted.condition()}"
    ((jobs,),) = store.fetch(sql, wanted.named())
    return int(jobs)


def _exists(store: Store, where: str, parameters: Mapping[str, object]) -> bool:
    return bool(store.fetch(f"SELECT EXISTS (SELECT 1 FROM jobs WHERE {where})", parameters)[0][0])


def retire(store: Store, runner: Runner) -> bool:
    """Enter that a runner claims no more, if nothing is left for it; whether that is so.

    Looked up and entered in one transaction: what is added before is seen here, and who adds later finds no runner of
    which it could think that it will take the job (``run --if-running skip``).
    """
    with store.writing() as db:
        if look(store, runner).is_work_left:
            return False
        runners.stop_claiming(db, runner)
    return True
