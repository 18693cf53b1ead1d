"""Queues: their limit, rate and pause. A setting applies to every runner of the store from its next claim."""

from collections.abc import Mapping

from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.running import runners
from batchq.store.selecting import condition

_EVERY_JOB = Selection()


class Queue(NamedTuple):
    """A queue with its settings, and how many of its jobs are in each state; ``lost`` are those whose run died.

    ``rate`` is in starts per second.
    """

    name: str
    paused: bool
    limit: int | None
    rate: float | None
    jobs: dict[str, int]


def queues(store: Store, selection: Selection = _EVERY_JOB) -> list[Queue]:
    """Every queue that has selected jobs, by name; without a selection also those that only have settings."""
    rows = store.fetch("SELECT name, paused, running_limit, rate FROM queues")
    settings = {name: (bool(paused), limit, rate) for name, paused, limit, rate in rows}
    jobs: dict[str, dict[str, int]] = {name: {} for name in settings} if selection.is_empty else {}
    for name, state, number in _counted(store, selection):
        jobs.setdefault(name, {})[state] = number
    if any("running" in found for found in jobs.values()):
        for name, lost in _lost(store, selection).items():
            still = jobs[name].pop("running") - lost
            jobs[name] |= ({"running": still} if still else {}) | {"lost": lost}
    return [Queue(name, *settings.get(name, (False, None, None)), jobs[name]) for name in sorted(jobs)]


def _counted(store: Store, selection: Selection) -> list[tuple[str, str, int]]:
    """The number of selected jobs by queue and state: from the counters, if these know what the selection asks for."""
    where, named = condition(selection)
    if selection._replace(batch=None, queue=None, states=(), everything=False).is_empty:
        return store.fetch(
            f"SELECT queue, state, sum(jobs.jobs) FROM counters AS jobs WHERE {where} GROUP BY queue, state", named
        )
    return store.fetch(f"SELECT queue, state, count(*) FROM jobs WHERE {where} GROUP BY queue, state", named)


def _lost(store: Store, selection: Selection) -> dict[str, int]:
    """How many jobs of each queue are ``running`` in the store although their run is dead."""
    where, named = condition(selection._replace(states=("running",)))
    rows = store.fetch(
        f"SELECT queue, runner, count(*) FROM jobs INDEXED BY jobs_running WHERE {where} GROUP BY queue, runner", named
    )
    gone = runners.dead(store, {runner for _, runner, _ in rows})
    lost: dict[str, int] = {}
    for queue, runner, jobs in rows:
        if runner in gone:
            lost[queue] = lost.get(queue, 0) + jobs
    return lost


def set_limit(store: Store, name: str, limit: int | None) -> None:
    """Let at most ``limit`` jobs of a queue run at once, in all runners together; None: any number."""
    change(store, name, {"running_limit": limit})


def set_rate(store: Store, name: str, rate: float | None) -> None:
    """Let at most ``rate`` jobs of a queue start per second, in all runners together; None: any number."""
    change(store, name, {"rate": rate})


def pause(store: Store, name: str) -> None:
    """Let no more jobs of a queue start; running ones continue."""
    change(store, name, {"paused": 1})


def resume(store: Store, name: str) -> None:
    """Let the jobs of a paused queue start again."""
    change(store, name, {"paused": 0})


def change(store: Store, name: str, settings: Mapping[str, float | None]) -> None:
    """Set several columns of a queue at once: a run sees all of them with its next claim, or none."""
    columns = dict(settings)
    if "rate" in columns:
        columns |= {"allowance": None, "allowance_at": None}
    with store.writing() as db:
        db.execute("INSERT INTO queues (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
        assigned = ", ".join(f"{column} = ?" for column in columns)
        db.execute(f"UPDATE queues SET {assigned} WHERE name = ?", (*columns.values(), name))
        db.execute(
            "DELETE FROM queues WHERE name = ? AND NOT paused AND running_limit IS NULL AND rate IS NULL", (name,)
        )
