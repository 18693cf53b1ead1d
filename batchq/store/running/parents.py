"""What a claimed job can read about the jobs after which it runs: how they ended, and what they returned."""

import json

from batchq.jobs.attempt import Claim
from batchq.store import order
from batchq.store.file.connection import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST = 1_000  #: parents of one job that are listed
ROOM = 1024 * 1024  #: bytes that their results may take together
ERROR = 500  #: characters of an error

_HAVE = "SELECT DISTINCT child FROM dependencies WHERE child IN (SELECT value FROM json_each(?))"
_COUNT = "SELECT count(*) FROM dependencies WHERE child = ?"
# SQLite makes the JSON: that takes a third of the time.
_ENDED = f"""
SELECT json_object('id', p.id, 'name', p.name, 'key', p.key, 'batch', p.batch, 'kind', d.kind, 'state', p.state,
        'attempt', p.attempt, 'outcome', a.outcome, 'exit_code', a.exit_code, 'signal', a.signal,
        'error_type', a.error_type, 'error', substr(a.error, 1, {ERROR}), 'seconds', a.seconds,
        'finished_at', strftime('%Y-%m-%dT%H:%M:%fZ', p.finished_at / 1000.0, 'unixepoch')),
    iif(length(CAST(a.result AS BLOB)) <= {ROOM} AND json_valid(a.result), a.result, NULL), a.result IS NOT NULL
FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent LEFT JOIN attempts AS a ON a.job = p.id AND a.number = p.attempt
WHERE d.child = ? ORDER BY d.parent LIMIT {MOST}"""


def attached(store: Store, claims: "Sequence[Claim]") -> list[Claim]:
    """Return the claims, those of jobs with parents with a description of these, as JSON text."""
    if not claims or not order.has_any(store.db):
        return [*claims]
    children = {claim.id for claim in claims}
    if len(claims) > 1:
        children = {id for (id,) in store.fetch(_HAVE, (json.dumps([*children]),))}
    return [one._replace(parents=_described(store, one.id)) if one.id in children else one for one in claims]


def _described(store: Store, child: int) -> str | None:
    listed = [*_listed(store, child)]
    if not listed:
        return None
    count = len(listed) if len(listed) < MOST else store.fetch(_COUNT, (child,))[0][0]
    return "\n".join((f'{{"schema": 1, "job": {child}, "count": {count}, "parents": [', ",\n".join(listed), "]}\n"))


def _listed(store: Store, child: int) -> "Iterator[str]":
    room = ROOM
    for known, result, has_result in store.fetch(_ENDED, (child,)):
        is_in = result is not None and len(result) <= room
        room -= len(result) if is_in else 0
        left_out = "true" if has_result and not is_in else "false"
        # The result is JSON already, in one line.
        yield f'{known[:-1]},"result_left_out":{left_out},"result":{result if is_in else "null"}}}'
