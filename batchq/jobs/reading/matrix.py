"""``matrix = { day = ["mon", "tue"], n = [1, 2] }``: one job for each combination of the values."""

import math

from batchq.errors import InputError
from batchq.jobs.model import AUTO
from batchq.jobs.reading import numbered, placeholders
from batchq.jobs.work import argument, kind_of, quoted, shell_work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from batchq.jobs.model import JobSpec, Maker

COMBINATIONS_LIMIT = 100_000
_WORK = ("command", "args", "payload")


def jobs(fields: "Mapping[str, Any]", where: str, maker: "Maker") -> "Iterator[JobSpec]":
    """Yield the jobs of ``fields`` with a ``matrix``; the last name changes fastest. Otherwise as ``Maker.spec``.

    ``{name}`` is replaced by the value in the words of a command, in ``args`` and ``payload``, and in the fields that are
    free text; ``{#}`` is the number of the combination. In ``args`` and ``payload`` a string that is just a
    placeholder becomes the value itself. A command for the shell gets the values as ``"$1"``, ``"$2"`` …, in order.
    """
    axes = _axes(fields["matrix"], f"{where}: field 'matrix'")
    plain = {name: value for name, value in fields.items() if name != "matrix"}
    known = {"#", *axes}
    try:
        templates = {
            name: plain[name]
            for name in (*placeholders.FILLED, *_WORK)
            if placeholders.first_in(plain.get(name), known)
        }
        _check(plain, templates, axes, where)
        yield from _combined(plain, templates, axes, where, maker)
    except RecursionError:
        raise InputError(f"{where}: is nested too deeply") from None


def number(matrix: "Any") -> int:
    """Count the jobs of a matrix before it is checked; 1 for anything else."""
    lists = matrix.values() if isinstance(matrix, dict) else ()
    return math.prod(len(values) for values in lists if isinstance(values, list))


def _combined(
    plain: "dict[str, Any]", templates: "dict[str, Any]", axes: "dict[str, list[Any]]", where: str, maker: "Maker"
) -> "Iterator[JobSpec]":
    from itertools import product

    known = {"#", *axes}
    for number, chosen in enumerate(product(*axes.values()), 1):
        values = dict(zip(axes, chosen, strict=True))
        texts = {name: _text(value) for name, value in values.items()} | {"#": str(number)}
        own = {
            name: placeholders.fill_all(value, texts, known, values if name in ("args", "payload") else {})
            for name, value in templates.items()
        }
        place = f"{where}, combination {number}"
        spec = maker.spec({**plain, **own}, place)
        try:
            if spec.kind == "shell":
                spec.work = shell_work([plain["command"], *(texts[name] for name in axes)])
            elif spec.kind == "argv" and numbered.has_any(
                words := [placeholders.taken_apart(word, {*known, numbered.SLOT}) for word in plain["command"]]
            ):
                spec.kind, spec.work = "shell", numbered.work(words, texts)
        except ValueError as error:
            raise InputError(f"{place}: field 'command' {error}") from None
        yield spec


def _axes(matrix: "Any", what: str) -> "dict[str, list[Any]]":
    if not isinstance(matrix, dict):
        raise InputError(f"{what} must be a table of lists, as in {{ day = ['mon', 'tue'] }}, not {kind_of(matrix)}")
    total = 1
    for name, values in matrix.items():
        if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
            raise InputError(
                f"{what} has the name {quoted(name)}: it must begin with a letter and contain only letters, digits, _ and -"
            )
        if not isinstance(values, list) or not values:
            raise InputError(f"{what} must have a list with at least one value for {quoted(name)}")
        for value in values:
            if not isinstance(value, (str, int, float)):
                raise InputError(
                    f"{what} has {kind_of(value)} in the list {quoted(name)}: write strings, numbers, true or false"
                )
            try:
                argument(_text(value))
            except ValueError as error:
                raise InputError(f"{what} has a value in the list {quoted(name)} that {error}") from None
        total *= len(values)
    if not matrix:
        raise InputError(f"{what} is empty: write lists of values, as in {{ day = ['mon', 'tue'] }}")
    if total > COMBINATIONS_LIMIT:
        raise InputError(
            f"{what} has {total:,} combinations, more than {COMBINATIONS_LIMIT:,}: split it into several jobs"
        )
    return matrix


def _check(plain: "dict[str, Any]", templates: "dict[str, Any]", axes: "dict[str, list[Any]]", where: str) -> None:
    command = plain.get("command")
    if isinstance(command, str) and "command" in templates:
        found = placeholders.first_in(command, {"#", *axes})
        values = ", ".join(f'"${position}" for {name}' for position, name in enumerate(axes, 1))
        raise InputError(
            f"{where}: field 'command' has {found} in a script for the shell, which is never filled: write {values}, or a"
            " list of words"
        )
    is_single = all(len(values) == 1 for values in axes.values())
    if plain.get("key", AUTO) != AUTO and "key" not in templates and not is_single:
        raise InputError(
            f"{where}: field 'key' is the same for all combinations of the matrix: put placeholders into it, as in"
            f" 'load-{{{next(iter(axes))}}}'"
        )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
