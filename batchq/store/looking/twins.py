"""The same job in another add: its twin. Two ranges of ids are compared; in doubt a job has no twin.

Two jobs of two adds are the same if batch and kind are equal and

1. by place: both adds are the same list, and name and work, or name and key, are equal too;
2. else by name: each is the only one of its name in its add;
3. else by key, or by work if it has no key: each is the only one with that, and the same name if it has one.
"""

import json
from collections.abc import Sequence

from batchq.jobs.selection import Range
from batchq.store.file.connection import Store

SCANNED = 1_000_000  #: an add of more jobs is not read to find a job by its work
PLACES = 256  #: jobs, spread evenly, that must be in the same place for two adds to be the same list

_ALIKE = "t.batch = j.batch AND t.kind = j.kind AND t.name IS j.name"
#: The key by which a job is known; automatic ones depend on the contents of files, so the work is better.
_TOKEN = "CASE WHEN key NOT LIKE 'auto:%' THEN 'key ' || key ELSE 'work ' || work END"

_BY_PLACE = f"""
SELECT j.id, t.id, t.work = j.work OR t.key IS NOT NULL AND t.key IS j.key
FROM json_each(:ids) AS wanted JOIN jobs AS j ON j.id = wanted.value
LEFT JOIN jobs AS t ON t.id = :there + (j.id - :here) AND {_ALIKE}
    AND (j.name IS NOT NULL OR t.work = j.work OR t.key = j.key)"""

_BY_NAME = """
SELECT j.id, min(t.id) FROM json_each(:ids) AS wanted JOIN jobs AS j ON j.id = wanted.value
JOIN jobs AS t ON t.id IN (SELECT o.id FROM jobs AS o WHERE o.name = j.name AND o.id BETWEEN :low AND :high LIMIT 2)
WHERE j.name IS NOT NULL
    AND (SELECT count(*) FROM (SELECT 1 FROM jobs AS o WHERE o.name = j.name AND o.id BETWEEN :from AND :to LIMIT 2)) = 1
GROUP BY j.id HAVING count(*) = 1 AND min(t.batch = j.batch AND t.kind = j.kind)"""

_TOKENS = f"SELECT id, batch, kind, name, {_TOKEN} FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))"
_BY_TOKEN = f"""
SELECT min(id), batch, kind, name, {_TOKEN} AS known_by FROM jobs
WHERE id BETWEEN :low AND :high AND {_TOKEN} IN (SELECT value FROM json_each(:tokens))
GROUP BY batch, kind, name, known_by HAVING count(*) = 1"""

_PRESENT = f"""
SELECT DISTINCT {_TOKEN} AS known_by FROM jobs
WHERE id BETWEEN :low AND :high AND known_by IN (SELECT value FROM json_each(:tokens))"""
_UNNAMED = """
SELECT j.id FROM json_each(:ids) AS wanted JOIN jobs AS j ON j.id = wanted.value
WHERE j.name IS NOT NULL AND NOT EXISTS (SELECT 1 FROM jobs AS o WHERE o.name = j.name AND o.id BETWEEN :low AND :high)"""


def find(
    store: Store, ids: Sequence[int], here: Range, there: Range, *, same_list: bool, scan: int = SCANNED
) -> dict[int, int]:
    """The twins in ``there`` of these jobs of ``here``, by id; jobs without one are missing.

    ``same_list`` is whether places count. Adds of more than ``scan`` jobs are not searched for work.
    """
    places = _by_place(store, ids, here, there) if same_list else []
    found = {id: other for id, other, is_sure in places if other is not None and is_sure}
    left = [id for id in ids if id not in found]
    if left:
        found |= dict(
            store.fetch(
                _BY_NAME, {"ids": json.dumps(left), "low": there[0], "high": there[1], "from": here[0], "to": here[1]}
            )
        )
        left = [id for id in left if id not in found]
    if left and max(_length(here), _length(there)) <= scan:
        found |= _by_token(store, left, here, there)
    return found


def are_same_list(store: Store, ids: Sequence[int], here: Range, there: Range) -> bool:
    """Whether the adds have the same jobs in the same order, as far as these ids and ``PLACES`` others show."""
    if _length(here) != _length(there):
        return False
    step = max(1, _length(here) // PLACES)
    places = [*ids, *range(here[0], here[1] + 1, step), here[1]]
    return all(other is not None for _, other, _ in _by_place(store, places, here, there))


def absent(store: Store, ids: Sequence[int], there: Range) -> list[int]:
    """Those of the jobs that are certainly not in ``there``: not even one of the same name, or without one, work."""
    named = {"ids": json.dumps([*ids]), "low": there[0], "high": there[1]}
    nameless = {id: token for id, *_, name, token in store.fetch(_TOKENS, named) if name is None}
    tokens = named | {"tokens": json.dumps(sorted({*nameless.values()}))}
    present = {token for (token,) in store.fetch(_PRESENT, tokens)} if nameless else set()
    gone = {id for (id,) in store.fetch(_UNNAMED, named)}
    return [id for id in ids if (nameless[id] not in present if id in nameless else id in gone)]


def is_any(store: Store, ids: Sequence[int], here: Range, there: Range, scan: int) -> bool:
    """Whether one of these jobs seems to be in ``there``: at its place, counted from either end, or by name or work."""
    from_end = (here[1] - _length(there) + 1, 0)
    if any(
        other is not None and there[0] <= other <= there[1]
        for start in (here, from_end)
        for _, other, _ in _by_place(store, ids, start, there)
    ):
        return True
    return bool(find(store, ids, here, there, same_list=False, scan=scan))


def _by_place(store: Store, ids: Sequence[int], here: Range, there: Range) -> list[tuple[int, int | None, bool]]:
    return store.fetch(_BY_PLACE, {"ids": json.dumps([*ids]), "here": here[0], "there": there[0]})


def _by_token(store: Store, ids: Sequence[int], here: Range, there: Range) -> dict[int, int]:
    rows = store.fetch(_TOKENS, {"ids": json.dumps([*ids])})
    tokens = json.dumps(sorted({row[-1] for row in rows}))
    only_here, only_there = (
        {tuple(row): id for id, *row in store.fetch(_BY_TOKEN, {"low": low, "high": high, "tokens": tokens})}
        for low, high in (here, there)
    )
    return {
        id: only_there[tuple(row)] for id, *row in rows if only_here.get(tuple(row)) == id and tuple(row) in only_there
    }


def _length(ids: Range) -> int:
    return ids[1] - ids[0] + 1
