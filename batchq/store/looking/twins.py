"""The same job in another add: its twin. Two ranges of ids, ``here`` and ``there``, are compared; in doubt there is none.

Two jobs of two adds are the same if batch and kind are equal and

1. by place: the one list is the other, perhaps with more jobs at its end or its beginning, and name and work, or name
   and key, are equal, too;
2. else by name: each is the only one of its name in its add;
3. else by key, or by work if it has no key of its own: each is the only one with that and the same name, if any.
"""

import json
from collections.abc import Collection, Iterable

from batchq.jobs.selection import Range
from batchq.store.file.connection import Store

Placed = tuple[int, int, bool, bool]  #: a job, the one in its place, whether they are alike, and surely the same

SCANNED = 1_000_000  #: an add of more jobs is not read to find a job by its work
PLACES = 256  #: jobs, spread evenly, that must be in their places for two lists to be the same

_ALIKE = """
t.batch = j.batch AND t.kind = j.kind AND t.name IS j.name AND (j.name IS NOT NULL OR t.work = j.work OR t.key = j.key)"""
#: What a job is known by; automatic keys depend on the contents of files, so the work is better.
_KNOWN_BY = "CASE WHEN key NOT LIKE 'auto:%' THEN 'key ' || key ELSE 'work ' || work END"

_BY_PLACE = f"""
SELECT j.id, t.id, {_ALIKE}, t.work = j.work OR t.key IS NOT NULL AND t.key IS j.key
FROM json_each(:ids) AS wanted JOIN jobs AS j ON j.id = wanted.value
JOIN jobs AS t ON t.id = j.id + :offset AND t.id BETWEEN :low AND :high"""

_BY_NAME = """
SELECT j.id, min(t.id) FROM json_each(:ids) AS wanted JOIN jobs AS j ON j.id = wanted.value
JOIN jobs AS t ON t.id IN (SELECT o.id FROM jobs AS o WHERE o.name = j.name AND o.id BETWEEN :low AND :high LIMIT 2)
WHERE j.name IS NOT NULL
    AND (SELECT count(*) FROM (SELECT 1 FROM jobs AS o WHERE o.name = j.name AND o.id BETWEEN :from AND :to LIMIT 2)) = 1
GROUP BY j.id HAVING count(*) = 1 AND min(t.batch = j.batch AND t.kind = j.kind)"""

_MARKS = f"SELECT id, batch, kind, name, {_KNOWN_BY} FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))"
_BY_MARK = f"""
SELECT min(id), batch, kind, name, {_KNOWN_BY} AS known_by FROM jobs
WHERE id BETWEEN :low AND :high AND {_KNOWN_BY} IN (SELECT value FROM json_each(:marks))
GROUP BY batch, kind, name, known_by HAVING count(*) = 1"""

_PRESENT = f"""
SELECT DISTINCT {_KNOWN_BY} AS known_by FROM jobs
WHERE id BETWEEN :low AND :high AND known_by IN (SELECT value FROM json_each(:marks))"""
_NAMELESS = """
SELECT j.id FROM json_each(:ids) AS wanted JOIN jobs AS j ON j.id = wanted.value
WHERE j.name IS NOT NULL AND NOT EXISTS (SELECT 1 FROM jobs AS o WHERE o.name = j.name AND o.id BETWEEN :low AND :high)"""


def shift(store: Store, here: Range, there: Range, of_here: Collection[int], of_there: Collection[int]) -> int | None:
    """What to add to an id of ``here`` for the id of the same place ``there``; None if the lists differ.

    All of the given jobs must be in their places, and ``PLACES`` others. A list that repeats itself and has become
    longer fits in two ways, which is a doubt.
    """
    fitting = [
        offset
        for offset in {there[0] - here[0], there[1] - here[1]}
        if all(
            _fits(store, ids, place, by)
            for ids, place, by in (
                (_spread(here), there, offset),
                (_spread(there), here, -offset),
                (of_here, there, offset),
                (of_there, here, -offset),
            )
        )
    ]
    return fitting[0] if len(fitting) == 1 else None


def find(
    store: Store,
    here: Range,
    there: Range,
    of_here: Collection[int],
    of_there: Collection[int] = (),
    *,
    offset: int | None = None,
    scan: int = SCANNED,
) -> dict[int, int]:
    """The pairs of the same job, ``here`` and ``there``, to which one of the given jobs belongs.

    ``offset`` is the ``shift`` of the lists. Adds of more than ``scan`` jobs are not searched for work.
    """
    placed: list[Placed] = []
    if offset is not None:
        placed = _by_place(store, of_here, there, offset)
        placed += [(id, other, alike, sure) for other, id, alike, sure in _by_place(store, of_there, here, -offset)]
    found = {id: other for id, other, _, is_sure in placed if is_sure}

    left, left_there = _without(of_here, found), _without(of_there, found.values())
    found |= _by_name(store, left, here, there)
    found |= {id: other for other, id in _by_name(store, left_there, there, here).items()}

    left, left_there = _without(left, found), _without(left_there, found.values())
    if offset is not None:  # every other job has its own place
        here_placed, there_placed = {one[0] for one in placed}, {one[1] for one in placed}
        left, left_there = [id for id in left if id in here_placed], [id for id in left_there if id in there_placed]
    if (left or left_there) and max(_length(here), _length(there)) <= scan:
        found |= _by_mark(store, left, left_there, here, there)
    return found


def absent(store: Store, ids: Collection[int], there: Range) -> list[int]:
    """Those of the jobs that are certainly not in ``there``: none has their name, or if they have none, their mark."""
    named = {"ids": json.dumps([*ids]), "low": there[0], "high": there[1]}
    gone = {id for (id,) in store.fetch(_NAMELESS, named)}
    marks = {id: mark for id, *_, name, mark in store.fetch(_MARKS, named) if name is None}
    if marks:
        rows = store.fetch(_PRESENT, named | {"marks": json.dumps(sorted({*marks.values()}))})
        present = {mark for (mark,) in rows}
        gone |= {id for id, mark in marks.items() if mark not in present}
    return [id for id in ids if id in gone]


def is_any(store: Store, ids: Collection[int], here: Range, there: Range, scan: int) -> bool:
    """Whether one of these jobs seems to be in ``there``: at its place, counted from either end, or by name or work."""
    offsets = {there[0] - here[0], there[1] - here[1]}
    if any(is_alike for offset in offsets for _, _, is_alike, _ in _by_place(store, ids, there, offset)):
        return True
    return bool(find(store, here, there, ids, scan=scan))


def _fits(store: Store, ids: Collection[int], there: Range, offset: int) -> bool:
    return all(is_alike for _, _, is_alike, _ in _by_place(store, ids, there, offset))


def _by_place(store: Store, ids: Collection[int], there: Range, offset: int) -> "list[Placed]":
    """The jobs whose places are in ``there`` and not pruned, with the jobs in these places."""
    return store.fetch(_BY_PLACE, {"ids": json.dumps([*ids]), "offset": offset, "low": there[0], "high": there[1]})


def _by_name(store: Store, ids: Collection[int], here: Range, there: Range) -> dict[int, int]:
    if not ids:
        return {}
    spans = {"low": there[0], "high": there[1], "from": here[0], "to": here[1]}
    return dict(store.fetch(_BY_NAME, spans | {"ids": json.dumps([*ids])}))


def _by_mark(
    store: Store, of_here: Collection[int], of_there: Collection[int], here: Range, there: Range
) -> dict[int, int]:
    rows = store.fetch(_MARKS, {"ids": json.dumps([*of_here, *of_there])})
    marks = json.dumps(sorted({mark for *_, mark in rows}))
    only_here, only_there = (
        {tuple(row): id for id, *row in store.fetch(_BY_MARK, {"low": low, "high": high, "marks": marks})}
        for low, high in (here, there)
    )
    wanted = {*of_here, *of_there}
    pairs = [(id, only_there[row]) for row, id in only_here.items() if row in only_there]
    return {id: other for id, other in pairs if id in wanted or other in wanted}


def _spread(ids: Range) -> list[int]:
    return [*range(ids[0], ids[1] + 1, max(1, _length(ids) // PLACES)), ids[1]]


def _without(ids: Iterable[int], known: Collection[int]) -> list[int]:
    known = {*known}
    return [id for id in ids if id not in known]


def _length(ids: Range) -> int:
    return ids[1] - ids[0] + 1
