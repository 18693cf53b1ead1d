"""The failed jobs of a selection by the cause of their last attempt, and the evidence of some of them."""

import _sqlite3 as sqlite3
import json
from collections.abc import Iterator, Sequence

from batchq.jobs.attempt import Stream
from batchq.jobs.causes.evidence import TAIL, TRACEBACK, Evidence, end_of, program_of
from batchq.jobs.selection import Range, Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store, translated
from batchq.store.looking.tallies import counts
from batchq.store.selecting import condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.jobs.causes.signature import Signature

COMPUTED = 5_000  #: attempts of batchq 0.1.0, which stored no causes: the cause of the newest ones is computed
_AT_ONCE = 100  #: attempts whose evidence is in memory together
_FAILED = """
SELECT a.cause, jobs.id, jobs.queue, jobs.finished_at FROM jobs {}
LEFT JOIN attempts AS a ON a.job = jobs.id AND a.number = jobs.attempt WHERE {} ORDER BY jobs.id"""
_EVIDENCE = f"""
SELECT jobs.id, jobs.kind, jobs.work, a.outcome, a.exit_code, a.signal, a.error_type, a.error,
    substr(a.traceback, -{TRACEBACK}),
    substr(e.head, -{TAIL}), substr(e.tail, -{TAIL}), e.total > length(e.head) + length(e.tail),
    substr(o.head, -{TAIL}), substr(o.tail, -{TAIL}), o.total > length(o.head) + length(o.tail)
FROM json_each(:ids) AS wanted JOIN jobs ON jobs.id = wanted.value
JOIN attempts AS a ON a.job = jobs.id AND a.number = jobs.attempt
LEFT JOIN outputs AS e ON e.job = jobs.id AND e.number = jobs.attempt AND e.stream = 'stderr'
LEFT JOIN outputs AS o ON o.job = jobs.id AND o.number = jobs.attempt AND o.stream = 'stdout'"""


class Hit(NamedTuple):
    """The failed jobs of one cause. ``cause`` is as it was stored, ``606e2443 exception | …``; "" where it is unknown.

    If not ``is_stored``, it was computed just now, and ``--cause`` does not find these jobs. ``first`` and ``last`` are
    when they failed (ms).
    """

    cause: str
    is_stored: bool
    jobs: int
    ids: tuple[Range, ...]
    first: int
    last: int
    queues: dict[str, int]

    @property
    def id(self) -> str:
        """The eight digits that ``--cause`` takes; "" for an unknown cause."""
        return self.cause[:8]

    @property
    def key(self) -> tuple[str, str]:
        """How the jobs ended, and what else is equal for all of them."""
        ending, _, text = self.cause[9:].partition(" | ")
        return ending, text


def by_cause(store: Store, selection: Selection) -> list[Hit]:
    """Group the failed jobs of a selection by cause; read it where it is stored, else compute it for the newest."""
    found: dict[tuple[str, bool], _Counting] = {}
    without: list[tuple[int, str, int]] = []
    for stored, id, queue, finished_at in _failed(store, selection):
        if stored is None:
            without.append((id, queue, finished_at))
        else:
            found.setdefault((stored, True), _Counting()).add(id, queue, finished_at)
    computed = _computed(store, [id for id, _, _ in without])
    for id, queue, finished_at in without:
        found.setdefault((computed.get(id, ""), False), _Counting()).add(id, queue, finished_at)
    return [one.hit(cause, is_stored=is_stored) for (cause, is_stored), one in found.items()]


def of_range(store: Store, low: int, high: int, state: str) -> dict[str, int]:
    """How many jobs of a range of ids are in this state, by the id of the cause of their last attempt; "" for none."""
    where, named = condition(Selection(((low, high),), states=(state,)))
    rows = store.fetch(
        "SELECT substr(a.cause, 1, 8), count(*) FROM jobs"
        f" LEFT JOIN attempts AS a ON a.job = jobs.id AND a.number = jobs.attempt WHERE {where} GROUP BY 1",
        named,
    )
    return {cause or "": jobs for cause, jobs in rows}


def signatures(store: Store, ids: Sequence[int]) -> "Iterator[tuple[int, Signature]]":
    """Compute the signatures of the last attempts of these jobs from what is kept of them."""
    from batchq.jobs.causes.signature import signature  # it compiles many expressions

    for start in range(0, len(ids), _AT_ONCE):
        for row in store.fetch(_EVIDENCE, {"ids": json.dumps(ids[start : start + _AT_ONCE])}):
            yield row[0], signature(_evidence(row))


def _evidence(row: "Sequence[Any]") -> Evidence:
    kind, work, *end = row[1:9]
    printed = end_of(_stream(*row[9:12])), end_of(_stream(*row[12:15]))
    return Evidence._make((*end, *printed, program_of(kind, work)))


def _stream(head: bytes | None, tail: bytes | None, is_cut: int | None) -> Stream:
    head, tail = head or b"", tail or b""  # SQLite also makes NULL of the end of an empty one
    return Stream(head, tail, len(head) + len(tail) + bool(is_cut))


def _failed(store: Store, selection: Selection) -> "Iterator[tuple[str | None, int, str, int]]":
    """The stored cause, the id, the queue and the end of each failed job, in the order of their ids."""
    where, named = condition(selection.in_state("failed"))
    # SQLite prefers the index on batch, and then reads all jobs of the batch.
    few = Selection(batch=selection.batch, states=("failed",)) == selection.in_state("failed") and selection.batch
    index = "INDEXED BY jobs_failed" if few and _are_few_failed(store, selection) else ""
    try:
        yield from store.db.execute(_FAILED.format(index, where), named)
    except sqlite3.Error as error:
        raise translated(error, store.path) from error


def _are_few_failed(store: Store, of_batch: Selection) -> bool:
    """Whether the store has fewer failed jobs than a batch has jobs."""
    failed = counts(store, Selection(states=("failed",)))
    return sum(failed.values()) < sum(counts(store, of_batch).values())


def _computed(store: Store, ids: Sequence[int]) -> dict[int, str]:
    return {id: one.cause for id, one in signatures(store, ids[-COMPUTED:])}


class _Counting:
    """The jobs of one cause, which arrive in the order of their ids."""

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []
        self._jobs = self._last = 0
        self._first: int | None = None
        self._queues: dict[str, int] = {}

    def add(self, id: int, queue: str, finished_at: int) -> None:
        """Count one job."""
        if self._ranges and self._ranges[-1][1] == id - 1:
            self._ranges[-1][1] = id
        else:
            self._ranges.append([id, id])
        self._jobs += 1
        self._first = finished_at if self._first is None else min(self._first, finished_at)
        self._last = max(self._last, finished_at)
        self._queues[queue] = self._queues.get(queue, 0) + 1

    def hit(self, cause: str, *, is_stored: bool) -> Hit:
        """Return what was counted."""
        ranges = tuple([(low, high) for low, high in self._ranges])
        return Hit(cause, is_stored, self._jobs, ranges, self._first or 0, self._last, self._queues)
