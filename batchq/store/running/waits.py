"""What the slots of a run wait for while some are empty: read without a lock, for a person who watches.

Everything is counted up to ``MOST`` only: this is read again and again, from stores with millions of jobs.
"""

from batchq import clock
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.running import claiming, forecast, limits
from batchq.store.running.limits import QueueLimits
from batchq.store.running.runners import Runner
from batchq.store.running.wanted import RunSelection

MOST = 1_000  #: jobs that are counted; as many may be more
QUEUES = 3  #: queues with settings that are looked at


class QueueWait(NamedTuple):
    """Jobs that wait because of the settings of their queue; ``next_at`` is when its rate allows the next start (ms)."""

    queue: QueueLimits
    queued: int
    running: int
    next_at: int | None


class Waits(NamedTuple):
    """Jobs of a selection that do not run now: those that wait for a retry, or for their time, each with the time (ms) of
    the next one; those that wait for other jobs, or for more slots than the run has; payload jobs that it does not take;
    jobs that other runs execute; and those of ``queues`` that do not let them start. ``first`` is the next in line with the
    slots that it waits for, if these are several."""

    retries: int
    retry_at: int | None
    later: int
    later_at: int | None
    blocked: int
    wide: int
    payloads: int
    elsewhere: int
    queues: list[QueueWait]
    first: tuple[int, int] | None


def waits(store: Store, runner: Runner, mine: int) -> Waits:
    """Find what the runner waits for, which itself runs ``mine`` jobs."""
    wanted = runner.wanted
    named = wanted.named() | {"runner": runner.id, "slots": runner.widest, "most": MOST}
    where = wanted.condition()

    def due(why: str) -> tuple[int, int | None]:
        jobs = f"SELECT due_at FROM jobs WHERE state = 'scheduled' AND why = '{why}' AND {where}"
        ((number, at),) = store.fetch(f"SELECT count(*), min(due_at) FROM ({jobs} ORDER BY due_at LIMIT :most)", named)
        return number, at

    def in_state(state: str) -> int:
        if wanted.ids is not None:
            return number(f"state = '{state}'")
        return forecast.counted(store, wanted, state)

    def number(condition: str) -> int:
        ((jobs,),) = store.fetch(
            f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE {condition} AND {where} LIMIT :most)", named
        )
        return int(jobs)

    some = {state for (state,) in store.fetch("SELECT DISTINCT state FROM counters WHERE jobs > 0")}
    is_queued = "queued" in some
    return Waits(
        *(due("retry") if "scheduled" in some else (0, None)),
        *(due("delay") if "scheduled" in some else (0, None)),
        in_state("blocked") if "blocked" in some else 0,
        number("state = 'queued' AND slots > 1 AND slots > :slots") if is_queued else 0,
        number("state = 'queued' AND kind = 'payload'") if is_queued and not wanted.payloads else 0,
        max(0, in_state("running") - mine),
        _queues(store, runner) if is_queued else [],
        _wide_first(store, runner) if is_queued else None,
    )


def first_in_line(store: Store, wanted: RunSelection, widest: int) -> tuple[int, int, int] | None:
    """The next queued job that a run with this selection would start: its id, priority and slots, at most the ``widest``.

    As long as not so many slots are free, the run starts none of the jobs after it.
    """
    now = clock.now()
    queues = claiming.bounded(store, wanted)
    shut = {one.name for one in queues if not limits.room(one, claiming.running_in(store, one.name), 1, now)}
    named = wanted.named() | {"slots": widest}
    found = [
        row
        for kind in claiming.kinds(wanted)
        for where, more in claiming.passable(store, wanted, shut)
        for row in store.fetch(
            f"SELECT id, priority, slots FROM jobs WHERE state = 'queued' AND {where} AND {kind}"
            f" AND slots <= :slots AND {wanted.condition()} ORDER BY priority DESC, id LIMIT 1",
            named | more,
        )
    ]
    return min(found, key=claiming.in_order, default=None)


def _wide_first(store: Store, runner: Runner) -> tuple[int, int] | None:
    """The first in line with its slots, if these are several: others would have begun."""
    first = first_in_line(store, runner.wanted, runner.widest) if claiming.is_any_wide(store) else None
    return None if first is None or first[2] == 1 else (first[0], first[2])


def _queues(store: Store, runner: Runner) -> list[QueueWait]:
    """The queues that let no queued job start now."""
    now = clock.now()
    found = []
    for queue in claiming.bounded(store, runner.wanted)[: QUEUES * 2]:
        running = claiming.running_in(store, queue.name)
        if limits.room(queue, running, 1, now) == 0:
            wanted = runner.wanted
            named = wanted.named() | {"only": queue.name, "most": MOST}
            jobs = f"SELECT 1 FROM jobs WHERE state = 'queued' AND {claiming.in_queue(queue.name)} AND {wanted.condition()}"
            ((queued,),) = store.fetch(f"SELECT count(*) FROM ({jobs} LIMIT :most)", named)
            if queued:
                found.append(QueueWait(queue, queued, running, limits.next_start(queue, now)))
    return found[:QUEUES]
