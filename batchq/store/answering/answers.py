"""The states of the jobs that a run answers for, and the jobs that it leaves: read once, at its end, without a lock."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from batchq.jobs.lifecycle import FINAL
from batchq.jobs.selection import NO_JOB, Range, Selection, merged
from batchq.named import NamedTuple
from batchq.store.adding import keys
from batchq.store.answering import asking
from batchq.store.file.connection import Store
from batchq.store.looking import obstacles
from batchq.store.looking.obstacles import NotRun
from batchq.store.running import runners
from batchq.store.running.runners import Runner
from batchq.store.running.wanted import RunSelection
from batchq.store.selecting import condition, resolved
from batchq.store.states import ON_HOLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.store.adding.intake import Added


EARLIER = 50  #: adds of the same files that are searched for unfinished jobs


class Asked(NamedTuple):
    """The jobs of one add that a run answers for. ``before`` were known by their keys and had finished by then; of
    these, ``gone`` were pruned, and have their final states."""

    ids: tuple[Range, ...]
    before: frozenset[int] = frozenset()
    gone: tuple[tuple[int, str], ...] = ()


def asked(store: Store, done: "Added") -> Asked:
    """The jobs asked for by an add, in the same transaction."""
    ids = tuple(merged((id, id) for id in done.ids))
    known = [done.ids[position] for position, fate in done.others.items() if fate == keys.SKIPPED]
    states = dict(_states(store, known))
    before = frozenset(id for id, state in states.items() if state in FINAL)
    return Asked(ids, before, tuple((id, state) for id, state in done.gone.items() if state is not None))


def answered(store: Store, asked: Asked | None, run: int | None, failed: Iterable[int]) -> Selection | None:
    """The jobs that a run answers for, to compare them with last time: those that were asked for, except known ones that
    had finished before; else those that it ran, and that ``failed`` in another way. None if there are none."""
    if asked is not None:
        ids = tuple(_without(asked.ids, asked.before))
    elif run is not None:
        ran = resolved(store, Selection(run=run)).ran or NO_JOB
        ids = tuple(merged([*(ran if ran != NO_JOB else ()), *((id, id) for id in failed)]))
    else:
        ids = ()
    return Selection(ids) if ids else None


def _without(ranges: Iterable[Range], ids: Iterable[int]) -> Iterator[Range]:
    """These ranges without some ids."""
    left = sorted(ids)
    for low, high in ranges:
        free = low
        for id in left[bisect_left(left, low) : bisect_right(left, high)]:
            if free < id:
                yield free, id - 1
            free = id + 1
        if free <= high:
            yield free, high


def still_open(store: Store, ids: Sequence[Range]) -> tuple[Range, ...]:
    """Those of the jobs that have not finished, as ranges."""
    where, named = condition(Selection(tuple(ids) or NO_JOB))
    rows = store.fetch(f"SELECT id FROM jobs WHERE finished_at IS NULL AND {where}", named)
    return tuple(merged((id, id) for (id,) in rows)) or NO_JOB


def ended_as(store: Store, ids: Iterable[int], state: str) -> set[int]:
    """Those of the jobs that are in this state now."""
    return {id for id, found in _states(store, ids) if found == state}


def failed(store: Store, asked: Asked) -> list[int]:
    """The asked jobs that have failed, in order."""
    where, named = condition(Selection(asked.ids or NO_JOB))
    return [
        id for (id,) in store.fetch(f"SELECT id FROM jobs WHERE {where} AND jobs.state = 'failed' ORDER BY id", named)
    ]


class Before(NamedTuple):
    """A job that was known by its key and had failed or been cancelled, ``at`` that time (ms; None: it is pruned)."""

    id: int
    state: str
    at: int | None


def unsuccessful_before(store: Store, asked: Asked) -> list[Before]:
    """The asked jobs that had failed or been cancelled before they were asked for, and still are."""
    rows = store.fetch(
        "SELECT id, state, finished_at FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
        " AND state IN ('failed', 'cancelled') AND NOT unneeded ORDER BY id",
        (json.dumps([*asked.before]),),
    )
    return [Before._make(row) for row in rows] + [
        Before(id, state, None) for id, state in asked.gone if state in ("failed", "cancelled")
    ]


class Last(NamedTuple):
    """The state of a job, and how its last attempt ended; ``outcome`` is None without one, the rest as in ``Outcome``."""

    state: str
    outcome: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    error_type: str | None = None


def last_of(store: Store, asked: Asked) -> Last | None:
    """How the only asked job stands; None if it has been removed."""
    if asked.gone:
        return Last(asked.gone[0][1])
    rows = store.fetch(
        "SELECT jobs.state, a.outcome, a.exit_code, a.signal, a.error_type FROM jobs LEFT JOIN attempts AS a"
        " ON a.job = jobs.id WHERE jobs.id = ? ORDER BY a.number DESC LIMIT 1",
        (asked.ids[0][0],),
    )
    return Last._make(rows[0]) if rows else None


def not_run(store: Store, runner: Runner, asked: Asked, *, is_stuck: bool = False) -> list[NotRun]:
    """The asked jobs that have not been run, by reason, except those that were cancelled before they were asked for, or
    because one of them failed. ``is_stuck``: the run ended because all running jobs wait for each other."""
    where, named = condition(Selection(asked.ids or NO_JOB))
    found = obstacles.by_reason(store, where, named, slots=runner.widest, payloads=runner.wanted.payloads)
    found.append(obstacles.removed(store, asked.ids))
    reported = set(asked.before)
    if any(one.reason == "dropped" for one in found):
        reported |= _below(store, failed(store, asked))
    found = [one for part in found for one in _at_the_end(store, runner, part, is_stuck=is_stuck)]
    return [left for one in found if (left := one.without(reported)).jobs]


def _at_the_end(store: Store, runner: Runner, one: NotRun, *, is_stuck: bool) -> list[NotRun]:
    """The same jobs with the reasons that apply at the end of a run."""
    if one.reason == "free":
        return [one._replace(reason="stuck" if is_stuck else "stopped", callers=runner.inside)]
    if not runner.inside or one.reason not in ("blocked", "running"):
        return [one]
    before = asking.held_up(store, runner.inside)
    inside = NotRun("inside", None, 0, [id for id in one.jobs if id in before], runner.inside)
    return [inside, one.without(before)]


def left_open(store: Store, runner: Runner, asked: Asked) -> list[int]:
    """The unfinished jobs of earlier adds of the same files that no run at work takes: their run was interrupted. Only
    the newest adds are searched; held jobs are left out."""
    files = json.dumps(runner.wanted.files)
    ((waiting,),) = store.fetch("SELECT total(jobs) FROM counters WHERE state IN ('queued', 'scheduled', 'blocked')")
    if not runner.wanted.files or not waiting:
        return []
    rows = store.fetch(
        f"""
        SELECT jobs.id FROM (SELECT first, jobs FROM adds WHERE files = :files ORDER BY id DESC LIMIT {EARLIER}) AS old
            CROSS JOIN jobs ON jobs.id BETWEEN old.first AND old.first + old.jobs - 1
        WHERE jobs.state IN ('queued', 'scheduled', 'blocked') ORDER BY jobs.id""",
        {"files": files},
    )
    found = NotRun("free", None, 0, [id for (id,) in rows if not any(low <= id <= high for low, high in asked.ids)])
    others = [one for one in runners.living(store) if one.id != runner.id]
    return obstacles.without_taken(store, found, others).jobs


def on_hold(store: Store, wanted: RunSelection) -> list[int]:
    """The jobs of the selection that batchq itself has put on hold, and that wait for a person."""
    if not store.fetch("SELECT 1 FROM counters WHERE state = 'held' LIMIT 1"):
        return []
    rows = store.fetch(f"SELECT id FROM jobs WHERE {ON_HOLD} AND {wanted.condition()} ORDER BY id", wanted.named())
    return [id for (id,) in rows]


def chosen_on_hold(store: Store, selection: Selection) -> list[int]:
    """The selected jobs that batchq itself has put on hold."""
    where, named = condition(selection)
    return [id for (id,) in store.fetch(f"SELECT id FROM jobs WHERE {ON_HOLD} AND {where} ORDER BY id", named)]


def too_wide(store: Store, runner: Runner) -> list[int]:
    """The jobs of the selection, queued or due for a retry, that need more slots than this runner, or any other that
    takes them, has."""
    wanted = runner.wanted
    found = [
        id
        for state in ("state = 'queued'", "state = 'scheduled' AND why = 'retry'")
        for (id,) in store.fetch(
            f"SELECT id FROM jobs WHERE {state} AND slots > 1 AND slots > :slots AND NOT EXISTS (SELECT 1 FROM queues"
            f" WHERE name = jobs.queue AND (paused OR running_limit <= 0)) AND {wanted.condition()}",
            wanted.named() | {"slots": runner.widest},
        )
    ]
    if not found:
        return []
    others = [one for one in runners.living(store) if one.id != runner.id]
    return obstacles.without_taken(store, NotRun("free", None, 0, sorted(found)), others).jobs


def _below(store: Store, ids: list[int]) -> set[int]:
    """The jobs that were cancelled because one of these had failed, directly or through others."""
    rows = store.fetch(
        """
        WITH RECURSIVE below (id) AS (
            SELECT value FROM json_each(:ids)
            UNION SELECT jobs.id FROM below JOIN dependencies AS d ON d.parent = below.id
                JOIN jobs ON jobs.id = d.child AND jobs.state = 'cancelled' AND jobs.cause = below.id)
        SELECT id FROM below""",
        {"ids": json.dumps(ids)},
    )
    return {id for (id,) in rows}


def _states(store: Store, ids: Iterable[int]) -> list[tuple[int, str]]:
    listed = json.dumps([*ids])
    return store.fetch("SELECT id, state FROM jobs WHERE id IN (SELECT value FROM json_each(?))", (listed,))
