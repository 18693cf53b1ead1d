"""One job for each line of input: a command, a script or a call with placeholders, which fields may contain, too.

A script of ``-c`` is never filled: it gets the values as ``"$1"``, ``"$2"`` …. Words are filled; if
one of them is program text (``sh -c 'echo {}'``), there is a warning.
"""

from batchq.errors import InputError, UsageError
from batchq.jobs.model import AUTO, Maker
from batchq.jobs.reading import placeholders, records
from batchq.jobs.reading.pasting import pasted
from batchq.jobs.work import argv_work, did_you_mean, quoted, shell_work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import Any

    from batchq.jobs.model import JobSpec

    Work = tuple[str, str]
    Make = Callable[[placeholders.Line, list[str]], Work]


class Pattern:
    """The work of each job: ``words`` to execute; or a ``script`` for the shell with ``words`` for it; or a ``call`` with
    ``args``. ``warning`` is set by ``jobs``."""

    def __init__(
        self, words: "list[str]", script: str | None = None, call: str | None = None, args: "Any" = None
    ) -> None:
        self.words = words
        self.script = script
        self.call = call
        self.args = args
        self.warning: str | None = None


def jobs(
    data: bytes, layout: str, source: str, pattern: Pattern, fields: "Mapping[str, Any]", cwd: str, path: str
) -> "list[JobSpec]":
    """Return the jobs of input that has been read already; see ``stream``."""
    return list(stream([data], layout, source, pattern, fields, cwd, path))


def stream(
    blocks: "Iterable[bytes]",
    layout: str,
    source: str,
    pattern: Pattern,
    fields: "Mapping[str, Any]",
    cwd: str,
    path: str,
) -> "Iterator[JobSpec]":
    """Yield the jobs of ``pattern`` and ``fields``, one for each line of ``blocks``, in order.

    ``layout`` is ``lines``, ``nul``, ``csv`` or ``tsv``. If the words contain no placeholder, the value, or the columns,
    are appended; a script gets them as ``"$1"`` … before its words. Raises InputError with the line, and UsageError for a
    pattern that cannot take a value.
    """
    if layout in ("csv", "tsv"):
        names, rows = records.table(blocks, source, tabs=layout == "tsv")
    else:
        names, rows = [], records.lines(blocks, source, nul=layout == "nul")
    known = placeholders.of_lines(names)
    if names:
        _refuse_unknown(
            [pattern.words, pattern.args, *(fields.get(name) for name in placeholders.FILLED)], known, names, source
        )
    maker = Maker(cwd, path)
    shared = maker.spec({**fields, **_stand_in(pattern)}, "command line")
    templates = {name: fields[name] for name in placeholders.FILLED if placeholders.first_in(fields.get(name), known)}
    make = _maker(pattern, known)
    is_single = shared.key not in (None, AUTO) and "key" not in templates
    for count, (number, text, columns) in enumerate(rows, 1):
        where = f"{source}, {'item' if layout == 'nul' else 'line'} {number}"
        line = placeholders.Line(text, count, columns, names)
        if templates or pattern.call is not None:
            own = placeholders.fill_all(templates, line, known, {})
            args = {"args": placeholders.fill_all(pattern.args, line, known, {})} if pattern.call is not None else {}
            spec = maker.spec({**fields, **own, **_stand_in(pattern), **args}, where)
        else:
            spec = shared.like(shared.kind, shared.work)
            spec.where = where
        if make is not None:
            try:
                spec.kind, spec.work = make(line, columns)
            except ValueError as error:
                raise InputError(f"{where}: the command {error}") from None
        if is_single and count > 1:
            raise InputError(
                f"{source}: has several lines, but the key {quoted(shared.key)} can belong to only one job: put a"
                " placeholder into it, as in 'convert {}'"
            )
        yield spec


def _stand_in(pattern: Pattern) -> "dict[str, Any]":
    return {"command": "true"} if pattern.call is None else {"call": pattern.call, "args": pattern.args}


def _maker(pattern: Pattern, known: "Collection[str]") -> "Make | None":
    """Return the function that makes the work of one line; None for a call, whose arguments are checked with its fields."""
    parts = [placeholders.taken_apart(word, known) for word in pattern.words]
    if pattern.call is not None:
        if placeholders.first_in(pattern.args, known) is None:
            raise UsageError('--each with --call needs a placeholder in --args, as in \'{"path": "{}"}\'')
        return None
    if (script := pattern.script) is not None:
        _refuse_pasting(script, known)
        return lambda line, columns: (
            "shell",
            shell_work([script, *columns, *(placeholders.fill(part, line) for part in parts)]),
        )
    try:
        argv_work(pattern.words)
    except ValueError as error:
        raise InputError(f"the command {error}") from None
    first = [f"{{{part[1]}}}" if len(part) > 1 else None for part in parts]
    is_filled = any(first)
    pattern.warning = pasted(pattern.words, first) if is_filled else None
    return lambda line, columns: (
        "argv",
        argv_work([placeholders.fill(part, line) for part in parts] + ([] if is_filled else columns)),
    )


def _refuse_unknown(values: "list[Any]", known: "Collection[str]", names: "list[str]", source: str) -> None:
    """Refuse a word in braces that is not the name of a column."""
    if (word := placeholders.unknown_in(values, known, names)) is not None:
        near = did_you_mean(word, names)
        raise UsageError(
            f"{{{word}}} is not a column of {source}{near}: its columns are {', '.join(names)}; put braces that a program"
            " needs into the script of -c, which is not filled"
        )


def _refuse_pasting(script: str, known: "Collection[str]") -> None:
    # A script with both uses its braces for something else, such as find -exec.
    takes_values = any(f"${sign}" in script or f"${{{sign}" in script for sign in "123456789@*")
    if not takes_values and (found := placeholders.first_in(script, known)) is not None:
        raise UsageError(
            f'{found} in the script of -c would stay as it is: a shell gets the value as "$1", as in'
            " -c 'gzip -k -- \"$1\"'"
        )
