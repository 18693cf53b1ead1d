"""Adds: the jobs that were added together, as ranges of ids, and which earlier add is *last time*.

Everything is found by an index or by bisection, because ids and adds grow together.
"""

from collections.abc import Iterator
from itertools import islice

from batchq.jobs.selection import NO_JOB, Range, Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.looking import twins
from batchq.store.selecting import condition

COVERED = 30  #: adds of a selection that are looked at, the newest first
LOOK_BACK = 30  #: earlier adds that are tried for last time
SAMPLE = 16  #: jobs of an add, spread evenly, by which last time is recognized

RECOGNIZED = 10_000  #: an earlier add of more jobs is recognized by places and names, and not by work
NEAR = 2_000  #: jobs before a small add that are searched for the same work

# min: in a damaged store the first job of an add may come after others.
_NAMESAKE = """
SELECT min(t.add_id, t.id) FROM jobs AS j JOIN jobs AS t ON t.name = j.name AND t.id < :first
WHERE j.id = :id AND t.batch = j.batch AND t.kind = j.kind ORDER BY t.id DESC LIMIT 1"""
_SAME_WORK = """
SELECT min(t.add_id, t.id) FROM jobs AS j JOIN jobs AS t ON t.id >= :near AND t.id < :first
WHERE j.id = :id AND j.name IS NULL AND t.name IS NULL AND t.work = j.work AND t.batch = j.batch AND t.kind = j.kind
ORDER BY t.id DESC LIMIT 1"""


class Add(NamedTuple):
    """The new jobs of one add, ids ``first`` to ``last``; ``at`` is when (ms); ``files`` are its job files, as stored."""

    first: int
    last: int
    at: int
    files: str | None = None

    @property
    def ids(self) -> Range:
        """The ids as a range."""
        return self.first, self.last

    @property
    def jobs(self) -> int:
        """How many there were."""
        return self.last - self.first + 1


def covered(store: Store, selection: Selection) -> list[Add]:
    """The newest adds that have a job in the selection, the newest first: at most ``COVERED``."""
    return [*islice(newest(store, selection), COVERED)]


def newest(store: Store, selection: Selection) -> Iterator[Add]:
    """The adds that have a job in the selection, one by one, the newest first."""
    before = 1 << 62
    while rows := _newest_before(store, selection, before):
        yield _add(store, rows[0][0])
        before = rows[0][0]


def _newest_before(store: Store, selection: Selection, before: int) -> "list[tuple[int]]":
    ids = selection.ranges
    if ids:  # of two upper bounds on an id SQLite uses one, and reads all jobs up to the other
        cut = tuple((low, min(high, before - 1)) for low, high in ids if low < before)
        selection = selection.within(cut or NO_JOB)
    where, named = condition(selection)
    return store.fetch(
        f"SELECT min(add_id, id) FROM jobs WHERE {where} AND jobs.id < :before ORDER BY jobs.id DESC LIMIT 1",
        named | {"before": before},
    )


def last_time(store: Store, add: Add) -> Add | None:
    """The newest earlier add of the same jobs; None if there is none.

    It is the newest earlier one of the same files, if these are known, else of the same batch or with a job of the same
    name; and some of ``SAMPLE`` jobs of the one must be in the other, else it is an add of something else.
    """
    sample = _spread(add)
    scan = twins.SCANNED
    for earlier in _of_same_files(store, add):
        if _is_same(store, add, earlier, sample, scan):
            return earlier
        scan = RECOGNIZED
    for earlier in _before(store, add, sample):
        if _is_same(store, add, earlier, sample, RECOGNIZED):
            return earlier
    return None


def _is_same(store: Store, add: Add, earlier: Add, sample: list[int], scan: int) -> bool:
    """Whether a job of the sample is in the earlier add; or one that failed then, if the others were pruned."""
    if twins.is_any(store, sample, add.ids, earlier.ids, scan):
        return True
    rows = store.fetch(
        "SELECT id FROM jobs WHERE state = 'failed' AND id BETWEEN ? AND ? ORDER BY id LIMIT ?", (*earlier.ids, SAMPLE)
    )
    return bool(rows) and twins.is_any(store, [id for (id,) in rows], earlier.ids, add.ids, scan)


def _spread(add: Add) -> list[int]:
    step = max(1, (add.last - add.first) // (SAMPLE - 1))
    return sorted({*range(add.first, add.last + 1, step), add.last})


def _of_same_files(store: Store, add: Add) -> Iterator[Add]:
    if add.files is None:
        return
    rows = store.fetch(
        "SELECT first FROM adds WHERE files = ? AND files IS NOT NULL AND id < ? AND jobs > 0 ORDER BY id DESC LIMIT ?",
        (add.files, _record(store, add.first)[0], LOOK_BACK),
    )
    for (first,) in rows:
        if store.fetch("SELECT 1 FROM jobs WHERE id >= ? AND add_id = ? LIMIT 1", (first, first)):
            yield _add(store, first)


def _before(store: Store, add: Add, sample: list[int]) -> Iterator[Add]:
    """Earlier adds that may be last time, the newest first: those of the newest jobs of the same name or work, and
    ``LOOK_BACK`` of the same batch. In the default batch, which is for anything, a small add needs no more than its jobs.
    """
    ((batch,),) = store.fetch("SELECT batch FROM jobs WHERE id >= ? ORDER BY id LIMIT 1", (add.first,))
    firsts = {first for id in sample for (first,) in store.fetch(_NAMESAKE, {"id": id, "first": add.first})}
    is_small = add.jobs <= SAMPLE
    if is_small:
        near = {"first": add.first, "near": add.first - NEAR}
        firsts |= {first for id in sample for (first,) in store.fetch(_SAME_WORK, near | {"id": id})}
    if batch != "default":
        firsts |= {*_of_batch(store, add, "batch = :batch AND batch <> 'default'", batch)}
    elif not is_small or store.fetch("SELECT 1 FROM jobs WHERE key IS NOT NULL AND id BETWEEN ? AND ?", add.ids):
        firsts |= {*_of_batch(store, add, "1", batch)}
    yield from (_add(store, first) for first in sorted(firsts, reverse=True))


def _of_batch(store: Store, add: Add, where: str, batch: str) -> Iterator[int]:
    before = add.first
    for _ in range(LOOK_BACK):
        rows = store.fetch(
            f"SELECT min(add_id, id) FROM jobs WHERE {where} AND id < :before ORDER BY id DESC LIMIT 1",
            {"batch": batch, "before": before},
        )
        if not rows:
            return
        before = rows[0][0]
        yield before


def _add(store: Store, first: int) -> Add:
    """The add whose first job is, or was, ``first``."""
    _, noted, jobs, files = _record(store, first)
    ((at,),) = store.fetch("SELECT created_at FROM jobs WHERE id >= ? ORDER BY id LIMIT 1", (first,))
    return Add(first, first + jobs - 1 if noted == first else _end(store, first), at, files if noted == first else None)


def _record(store: Store, first: int) -> tuple[int, int, int, str | None]:
    """The record of the add whose first job is ``first``, else of the one before it: its id, first, jobs and files.

    Records grow by ``first``; those of adds that stored nothing have the ``first`` of the next one that did.
    """
    ((low, high),) = store.fetch("SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM adds")
    found: tuple[int, int, int, str | None] = (0, 0, 0, None)
    while low <= high:
        rows = store.fetch(
            "SELECT id, first, jobs, files FROM adds WHERE id >= ? ORDER BY id LIMIT 1", ((low + high) // 2,)
        )
        if rows[0][1] <= first:
            found, low = rows[0], rows[0][0] + 1
        else:
            high = (low + high) // 2 - 1
    return found


def _end(store: Store, first: int) -> int:
    """The last job of an add of which there is no record: those of version 1 have none."""
    low = first
    ((high,),) = store.fetch("SELECT max(id) FROM jobs")
    while low < high:
        middle = (low + high + 1) // 2
        ((id, of),) = store.fetch("SELECT id, add_id FROM jobs WHERE id >= ? ORDER BY id LIMIT 1", (middle,))
        if of == first:
            low = int(id)
        else:
            high = middle - 1
    return low
