"""Jobs that an add has requeued, because it named their keys again: last time is their own attempt before that add."""

import json
from collections.abc import Mapping

from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.selecting import condition

LOOKED_AT = 1_000  #: newest adds that are looked at,
REQUEUING = 30  #: and those of them that requeued jobs

_NEWEST = f"""
SELECT at, again FROM adds WHERE again IS NOT NULL AND id > (SELECT max(id) FROM adds) - {LOOKED_AT}
ORDER BY id DESC LIMIT {REQUEUING}"""
_BEFORE = """
SELECT a.outcome, a.started_at FROM attempts AS a
WHERE a.job = ? AND a.finished_at <= ? AND a.outcome <> 'interrupted' ORDER BY a.number DESC LIMIT 1"""
_FAILED = ("failed", "timed_out", "crashed")


class Rerun(NamedTuple):
    """A job that was requeued by its key: its state, how it ended before (``failed``, ``succeeded`` or another word; ""
    if it did not), and when that attempt began (ms)."""

    id: int
    state: str
    before: str
    at: int


def newest(store: Store) -> dict[int, int]:
    """When each job was requeued last, by its id: of those that one of the newest adds requeued."""
    found: dict[int, int] = {}
    for at, again in store.fetch(_NEWEST):
        for id in _ids(again):
            found.setdefault(id, at)
    return found


def _ids(again: str) -> list[int]:
    """The ids of a stored list; none if another program has put something else there."""
    try:
        listed = json.loads(again)
    except ValueError:
        return []
    return [id for id in listed if isinstance(id, int)] if isinstance(listed, list) else []


def reruns(store: Store, selection: Selection, requeued: Mapping[int, int]) -> list[Rerun]:
    """Those of the requeued jobs that are selected, in the order of their ids."""
    if not requeued:
        return []
    where, named = condition(selection)
    named["requeued"] = json.dumps([*requeued])
    rows = store.fetch(
        f"SELECT id, state FROM jobs WHERE {where} AND id IN (SELECT value FROM json_each(:requeued)) ORDER BY id",
        named,
    )
    return [_rerun(store, id, state, requeued[id]) for id, state in rows]


def _rerun(store: Store, id: int, state: str, requeued_at: int) -> Rerun:
    rows = store.fetch(_BEFORE, (id, requeued_at))
    outcome, at = rows[0] if rows else ("", 0)
    return Rerun(id, state, "failed" if outcome in _FAILED else outcome, at)
