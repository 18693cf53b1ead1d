"""Jobs in a CSV file: the first row names fields, each other row is a job, and an empty cell leaves its field unset."""

from batchq.errors import InputError
from batchq.jobs.fields import FIELDS, WORK_FIELDS
from batchq.jobs.reading import records
from batchq.jobs.work import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

_BOOLEANS = {"true": True, "false": False}


def jobs(
    blocks: "Iterable[bytes]", source: str, json_value: "Callable[[str, str], Any]"
) -> "Iterator[tuple[str, dict[str, Any]]]":
    """Yield the place and the fields of each job; ``json_value`` reads a cell with JSON. Raises InputError.

    A ``command`` is a script for the shell. Lists have ``;`` between their parts, ``env`` is ``A=1;B=2``; both may also
    be JSON. ``args`` and ``payload`` are JSON.
    """
    names, rows = records.table(blocks, source, tabs=False)
    for name in names:
        if name not in FIELDS and name not in WORK_FIELDS:
            from batchq.jobs.synonyms import meant_field

            raise InputError(
                f"{source}, line 1: unknown field {quoted(name)}{meant_field(name)}: the first row names fields of jobs"
            )
    for number, _, cells in rows:
        where = f"{source}, line {number}"
        yield (
            where,
            {
                name: _value(name, cell, f"{where}: field {name!r}", json_value)
                for name, cell in zip(names, cells, strict=True)
                if cell
            },
        )


def _value(name: str, cell: str, place: str, json_value: "Callable[[str, str], Any]") -> "Any":
    """Return the value of a cell. An invalid number or truth value stays text, and the check of the field refuses it."""
    text = cell.strip()
    form = FIELDS[name].form if name in FIELDS else "text" if name in ("command", "call") else "json"
    if form == "json" or (form == "list" and text[:1] == "[") or (form == "table" and text[:1] == "{"):
        return json_value(text, place)
    if form == "list":
        return [part.strip() for part in text.split(";") if part.strip()]
    if form == "table":
        return _variables(cell, place)
    if form in ("number", "decimal"):
        return _number(text)
    if form == "flag":
        return _BOOLEANS.get(text.lower(), cell)
    return cell


def _variables(cell: str, place: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in cell.split(";") if part.strip()]
    for name, equals, _ in pairs:
        if not equals:
            raise InputError(f"{place} has {quoted(name)} without a value: write it as in A=1;B=2")
    return {name.strip(): value for name, _, value in pairs}


def _number(text: str) -> int | float | str:
    for read in (int, float):
        try:
            return read(text) if len(text) <= 32 else text
        except ValueError:
            pass
    return text
