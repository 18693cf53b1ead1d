"""``batchq update``: give stored jobs other limits, priorities, labels, before they start."""

from batchq.cli.change.changing import change_jobs, note_change
from batchq.cli.request import Request
from batchq.cli.update.options import SETTERS
from batchq.errors import UsageError
from batchq.jobs.fields import FIELDS
from batchq.store.changing import updating

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.jobs.selection import Selection

NONE = "none"  #: as a value: the field is empty again


def update(**given: "Any") -> None:
    """Change fields of jobs that wait; running and finished ones are left alone."""
    request = Request(given)
    selection: Selection = request.selection
    values = values_of(given)
    if not values:
        raise UsageError("update: say what to change, as in --priority 9 or --timeout 2h")
    done = change_jobs(
        "update",
        lambda store, found, list_ids: updating.update(store, found, values, list_ids=list_ids),
        selection,
        json=request.json,
        db=request.db,
    )
    note_change("update", "updated", done, {"running": "running", "lost": "lost with its run"})


def values_of(given: "dict[str, Any]") -> "dict[str, Any]":
    """Return the stored values of the fields that are given. Raises UsageError."""
    values: dict[str, Any] = {}
    for name, option in SETTERS.items():
        value = given[option.name]
        if value in (None, []):
            continue
        field = FIELDS[name]
        if value in (NONE, [NONE]) and field.default in (None, ()):
            values[name] = None
            continue
        try:
            values[name] = field.check(value)
        except ValueError as error:
            raise UsageError(f"{option.flags[0]} {error}") from None
    return values
