"""The unfinished jobs of a selection, look by look, and those that have finished since: to follow what they print."""

import _sqlite3 as sqlite3
from collections.abc import Iterator, Sequence

from batchq.jobs.selection import NO_JOB, Range, Selection, merged
from batchq.named import NamedTuple
from batchq.store.file.connection import Store, translated
from batchq.store.selecting import condition
from batchq.store.snapshots import snapshot


class Look(NamedTuple):
    """The selected jobs at one moment: the ``unfinished`` ones; of those that have ``begun`` the attempt; and those that
    have ``finished`` since the look before. ``highest`` is the highest id that there was."""

    unfinished: tuple[Range, ...]
    begun: dict[int, int]
    finished: tuple[Range, ...]
    highest: int


def look(store: Store, selection: Selection, before: Look | None = None) -> Look:
    """Look at the selected jobs. Of the first look no job has finished."""
    with snapshot(store):
        ((highest,),) = store.fetch("SELECT coalesce(max(id), 0) FROM jobs")
        begun: dict[int, int] = {}
        unfinished = tuple(_spans(_unfinished(store, selection, begun)))
        finished: tuple[Range, ...] = ()
        if before is not None:
            new = _added_and_finished(store, selection, before.highest) if highest > before.highest else []
            finished = tuple(merged([*_without(before.unfinished, unfinished), *new]))
    return Look(unfinished, begun, finished, max(highest, before.highest if before else 0))


def _unfinished(store: Store, selection: Selection, begun: dict[int, int]) -> Iterator[int]:
    """The ids of the unfinished jobs in order, read row by row; those that have begun are put into ``begun``."""
    where, named = condition(selection)
    try:
        for id, attempt in store.db.execute(
            f"SELECT id, attempt FROM jobs WHERE finished_at IS NULL AND {where} ORDER BY id", named
        ):
            if attempt:
                begun[id] = attempt
            yield id
    except sqlite3.Error as error:
        raise translated(error, store.path) from error


def _added_and_finished(store: Store, selection: Selection, above: int) -> list[Range]:
    where, named = condition(selection)
    rows = store.fetch(
        f"SELECT id FROM jobs WHERE id > :above AND finished_at IS NOT NULL AND {where}", {**named, "above": above}
    )
    return [(id, id) for (id,) in rows]


def _spans(ids: Iterator[int]) -> Iterator[Range]:
    """Sorted ids as ranges."""
    low, high = 0, -1
    for id in ids:
        if id != high + 1:
            if high >= low:
                yield low, high
            low = id
        high = id
    if high >= low:
        yield low, high


def _without(ranges: Sequence[Range], others: Sequence[Range]) -> Iterator[Range]:
    """What is left of sorted ranges without those of ``others``."""
    rest = iter(others)
    other = next(rest, None)
    for low, high in ranges:
        start = low
        while other is not None and other[0] <= high:
            if other[0] > start:
                yield start, other[0] - 1
            start = max(start, other[1] + 1)
            if other[1] > high:  # it may reach into the next range
                break
            other = next(rest, None)
        if start <= high:
            yield start, high


def of(ranges: Sequence[Range]) -> Selection:
    """The selection of these jobs; of no job if there are none."""
    return Selection(tuple(ranges) or NO_JOB)
