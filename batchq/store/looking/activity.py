"""What a store is at right now: the runs at work, the jobs of one state in their order, where running jobs run.

It is read once a second next to runs, so each statement uses an index or reads a bounded number of rows.
"""

import json
from collections.abc import Iterable, Sequence

from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.looking.pieces import STREAMS
from batchq.store.selecting import condition

FILTERED = 5_000  #: jobs among which a text is searched,
NEWEST = 20_000  #: blocked and held jobs have no index: they are searched among so many of the newest ids,
FAILED = 1_000  #: failed jobs with the highest ids among which the ones that failed last are searched,
ENDED = 1_000  #: attempts of a run from which its pace is estimated
LINE = 600  #: last bytes of a stream that are read for its last line

_BY_ID = "jobs.id DESC"
_AMONG_NEWEST = f"jobs.id > (SELECT max(id) FROM jobs) - {NEWEST}"
#: The parts of each list, one after the other: a condition besides the state, and an order that an index has.
_PARTS = {
    "running": (("1", "jobs.started_at IS NULL, jobs.started_at, jobs.id"),),
    "queued": (
        ("jobs.kind <> 'payload'", "jobs.priority DESC, jobs.id"),
        ("jobs.kind = 'payload'", "jobs.priority DESC, jobs.id"),
    ),
    "scheduled": (("jobs.why = 'retry'", "jobs.due_at"), ("jobs.why = 'delay'", "jobs.due_at")),
    "blocked": ((_AMONG_NEWEST, _BY_ID),),
    "held": ((_AMONG_NEWEST, _BY_ID),),
    "failed": (("1", _BY_ID),),
    "": (("1", _BY_ID),),
}
_INDEX = {"running": "INDEXED BY jobs_running", "failed": "INDEXED BY jobs_failed"}  # SQLite prefers the one on batch
STATES = tuple(state for state in _PARTS if state)  #: the states that have a list; the list "" has the newest jobs


class Run(NamedTuple):
    """A run that has recorded no end. ``used`` are the slots of its jobs; it claims no more if it ``is_stopping``.

    If it ``is_dead``, the next run takes its jobs back. ``boot_id`` and ``namespace`` are those of its process.
    """

    id: int
    pid: int
    host: str
    slots: int
    started_at: int
    boot_id: str
    namespace: str
    is_stopping: bool
    is_dead: bool
    used: int


class Leader(NamedTuple):
    """The first process of a running attempt, if it is known, and the run that started it."""

    token: str
    run: int
    pid: int | None
    born: int | None


def runs(store: Store) -> list[Run]:
    """The runs at work, and the dead ones that no run has cleared away yet."""
    used = dict(
        store.fetch(
            "SELECT runner, sum(slots) FROM jobs WHERE state = 'running' AND started_at IS NOT NULL GROUP BY runner"
        )
    )
    rows = store.fetch(
        "SELECT id, pid, host, slots, started_at, boot_id, namespace, state = 'stopping', liveness FROM runners"
        " WHERE ended_at IS NULL ORDER BY id"
    )
    return [Run._make((*row[:7], bool(row[7]), not store.lock.is_held(row[8]), used.get(row[0], 0))) for row in rows]


def ids(store: Store, selection: Selection, state: str, most: int, text: str = "") -> list[int]:
    """The first ``most`` selected jobs in this state (-1: all), running ones by their start, queued ones by their turn.

    Without a state they are the newest jobs. With a ``text`` only those whose command or name contains it, among the first
    ``FILTERED``.
    """
    if state and selection.states and state not in selection.states:
        return []
    where, named = condition(selection.in_state(state) if state else selection)
    found: list[int] = []
    for also, order in _PARTS[state]:
        sql = f"FROM jobs {_INDEX.get(state, '')} WHERE {where} AND {also} ORDER BY {order}"
        left = most - len(found) if most >= 0 else -1
        if text:
            contains, _ = condition(Selection(grep=text))
            sql = (
                f"SELECT id FROM (SELECT jobs.id, jobs.name, jobs.kind, jobs.work {sql} LIMIT {FILTERED}) AS jobs"
                f" WHERE {contains.replace(':grep', ':text')} LIMIT :left"
            )
        else:
            sql = f"SELECT jobs.id {sql} LIMIT :left"
        found += [id for (id,) in store.fetch(sql, {**named, "left": left, "text": text})]
    return found


def leaders(store: Store, jobs: Iterable[int]) -> dict[int, Leader]:
    """Where each of these jobs runs; jobs that do not run are missing."""
    rows = store.fetch(
        "SELECT jobs.id, jobs.token, jobs.runner, p.pid, p.born FROM json_each(:ids) AS wanted"
        " JOIN jobs ON jobs.id = wanted.value LEFT JOIN processes AS p ON p.job = jobs.id AND p.token = jobs.token"
        " WHERE jobs.state = 'running'",
        {"ids": json.dumps([*jobs])},
    )
    return {job: Leader(*leader) for job, *leader in rows}


def printed(store: Store, jobs: Sequence[int]) -> dict[int, bytes]:
    """The end of what the last attempt of each job printed last, of one stream; jobs that printed nothing are missing.

    If it is not known to which stream that was, it is stderr, if there is any.
    """
    rows = store.fetch(
        f"SELECT o.job, o.stream, iif(length(o.tail) > 0, substr(o.tail, -{LINE}), substr(o.head, -{LINE})),"
        " iif(json_valid(o.turns), json_array_length(o.turns), 0)"
        " FROM json_each(:ids) AS wanted JOIN jobs ON jobs.id = wanted.value"
        " JOIN outputs AS o ON o.job = jobs.id AND o.number = jobs.attempt WHERE o.total > 0",
        {"ids": json.dumps([*jobs])},
    )
    streams: dict[int, dict[str, bytes]] = {}
    turns: dict[int, int] = {}
    for job, stream, data, number in rows:
        if data.strip():
            streams.setdefault(job, {})[stream] = data
            turns[job] = max(turns.get(job, 0), number)
    found = {}
    for job, data_of in streams.items():
        last = STREAMS[(turns[job] - 1) % 2] if turns[job] else "stderr"
        found[job] = data_of.get(last) or next(iter(data_of.values()))
    return found


def last_failed(store: Store, selection: Selection, most: int) -> list[tuple[int, int]]:
    """The selected jobs that failed last, each with when that was (ms), the newest failure first."""
    if selection.states and "failed" not in selection.states:
        return []
    where, named = condition(selection.in_state("failed"))
    return store.fetch(
        f"SELECT id, finished_at FROM (SELECT jobs.id, jobs.finished_at FROM jobs {_INDEX['failed']}"
        f" WHERE {where} ORDER BY jobs.id DESC LIMIT {FAILED}) ORDER BY finished_at DESC, id DESC LIMIT :most",
        {**named, "most": most},
    )


def ended(store: Store, run: int) -> list[int]:
    """When the attempts of a run ended (ms), those of the ``ENDED`` jobs with the highest ids."""
    rows = store.fetch(f"SELECT finished_at FROM attempts WHERE runner = ? ORDER BY job DESC LIMIT {ENDED}", (run,))
    return [at for (at,) in rows]
