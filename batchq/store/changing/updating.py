"""Change the terms of stored jobs: in slices, as ``control`` does, each a small transaction."""

from batchq.errors import InputError
from batchq.jobs.fields import FIELDS
from batchq.jobs.selection import Selection
from batchq.store import names, states
from batchq.store.changing.control import WAITING, Changed, found_in, slices
from batchq.store.file.connection import Store
from batchq.store.selecting import condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def update(store: Store, selection: Selection, values: "Mapping[str, object]", *, list_ids: bool = False) -> Changed:
    """Give the selected jobs that wait other ``values``, stored forms by the names of fields.

    Running and finished jobs are left alone. A value that only commands may have refuses the whole call if a callable is
    among the jobs. Raises InputError, and MissingError for an id that does not exist.
    """
    left, (found,) = found_in(store, selection, [selection.in_states(WAITING)])
    for name, value in values.items():
        if FIELDS[name].for_commands and value != FIELDS[name].default:
            _require_commands(store, selection.in_states(WAITING), name)
    assignments = ", ".join(f"{name} = :new_{name}" for name in values)
    named = {f"new_{name}": value for name, value in values.items()}
    ids: list[int] = []
    for jobs in slices(found):
        where, chosen = condition(jobs.in_states(WAITING))
        with store.writing() as db:
            cells = "SELECT state, queue, batch, count(*) FROM jobs WHERE {} GROUP BY state, queue, batch"
            before = db.execute(cells.format(where), chosen).fetchall()
            done = db.execute(f"UPDATE jobs SET {assignments} WHERE {where} RETURNING id", chosen | named).fetchall()
            tally: dict[tuple[str, str, str], int] = {}
            for state, queue, batch, count in before:
                after = (state, str(values.get("queue", queue)), str(values.get("batch", batch)))
                tally[state, queue, batch] = tally.get((state, queue, batch), 0) - count
                tally[after] = tally.get(after, 0) + count
                left[state] = left.get(state, 0) - count
            states.count(db, tally)
            names.remember(db, {(queue, batch) for _, queue, batch, _ in before})
        ids += [id for (id,) in done]
    return Changed(len(ids), {state: jobs for state, jobs in left.items() if jobs > 0}, sorted(ids) if list_ids else [])


def _require_commands(store: Store, selection: Selection, name: str) -> None:
    where, named = condition(selection)
    rows = store.fetch(f"SELECT id FROM jobs WHERE {where} AND kind IN ('call', 'payload') ORDER BY id LIMIT 1", named)
    if rows:
        raise InputError(f"job {rows[0][0]}: field {name!r} is for commands only: {FIELDS[name].for_commands}")
