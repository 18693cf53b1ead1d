"""Jobs from values, one for each line of input, for some lines, or for each combination of lists: a command, a script or a
call with placeholders, which fields may contain, too.

A script of ``-c`` is never filled: it gets the values as ``"$1"``, ``"$2"`` …. Words are filled; if
one of them is program text (``sh -c 'echo {}'``), there is a warning.
"""

from itertools import islice

from batchq.errors import InputError, UsageError
from batchq.jobs.model import AUTO, Maker
from batchq.jobs.reading import lists, numbered, placeholders, records
from batchq.jobs.reading.pasting import pasted
from batchq.jobs.work import argv_work, did_you_mean, quoted, shell_work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import Any

    from batchq.jobs.model import JobSpec

    Work = tuple[str, str]
    Make = Callable[[placeholders.Line, list[str]], Work]
    Input = tuple[str, str, list[str]]  # where it is written, its text, its columns or values


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
    per_job: int = 1,
) -> "Iterator[JobSpec]":
    """Yield the jobs of ``pattern`` and ``fields``, one for each line of ``blocks``, in order, or for ``per_job`` lines.

    ``layout`` is ``lines``, ``nul``, ``csv`` or ``tsv``. If the words contain no placeholder, the value, or the columns,
    are appended; a script gets them as ``"$1"`` … before its words. Raises InputError with the line, and UsageError for a
    pattern that cannot take a value.
    """
    unit = "item" if layout == "nul" else "line"
    if layout in ("csv", "tsv"):
        names, rows = records.table(blocks, source, tabs=layout == "tsv")
    else:
        names, rows = [], records.lines(blocks, source, nul=layout == "nul")
    known = placeholders.of_lines(names, per_job)
    if names:
        _refuse_unknown(
            [pattern.words, pattern.args, *(fields.get(name) for name in placeholders.FILLED)], known, names, source
        )
    inputs: Iterator[Input]
    if per_job == 1:
        inputs = ((f"{source}, {unit} {number}", text, columns) for number, text, columns in rows)
    else:
        inputs = _grouped(rows, per_job, f"{source}, {unit}s")
    yield from _made(inputs, names, known, per_job > 1, source, Maker(cwd, path), pattern, fields)


def combined(
    chosen: "lists.Lists", pattern: Pattern, fields: "Mapping[str, Any]", cwd: str, path: str, *, is_linked: bool
) -> "Iterator[JobSpec]":
    """Yield the jobs of ``pattern`` and ``fields``, one for each combination of the values of lists."""
    number = sum(map(len, chosen))
    known = placeholders.of_lines([], number)
    for word in pattern.words:
        if (token := placeholders.unknown_in(word, known, [])) is not None and token.isdecimal():
            raise UsageError(f"{{{token}}} names a list after :::, but there are only {number}")
    found = enumerate(lists.combinations(chosen, is_linked=is_linked), 1)
    inputs = ((f"the lists after :::, combination {count}", " ".join(values), [*values]) for count, values in found)
    yield from _made(inputs, [], known, True, "the lists after :::", Maker(cwd, path), pattern, fields)


def _grouped(rows: "Iterator[records.Row]", size: int, where: str) -> "Iterator[Input]":
    while group := [*islice(rows, size)]:
        values = [text for _, text, _ in group]
        yield f"{where} {group[0][0]}-{group[-1][0]}", " ".join(values), values


def _made(
    inputs: "Iterable[Input]",
    names: "list[str]",
    known: "Collection[str]",
    has_several: bool,
    source: str,
    maker: Maker,
    pattern: Pattern,
    fields: "Mapping[str, Any]",
) -> "Iterator[JobSpec]":
    shared = maker.spec({**fields, **_stand_in(pattern)}, "command line")
    _refuse_slot(pattern, fields)
    templates = {name: fields[name] for name in placeholders.FILLED if placeholders.first_in(fields.get(name), known)}
    make = _maker(pattern, known, has_several=has_several)
    is_single = shared.key not in (None, AUTO) and "key" not in templates
    for count, (where, text, columns) in enumerate(inputs, 1):
        line = placeholders.Line(text, count, columns, names)
        if templates or pattern.call is not None:
            alone = {"": columns} if has_several else {}
            own = {
                name: _filled(value, line, known, columns if has_several else None) for name, value in templates.items()
            }
            args = {"args": placeholders.fill_all(pattern.args, line, known, alone)} if pattern.call is not None else {}
            spec = maker.spec({**fields, **own, **_stand_in(pattern), **args}, where)
        else:
            spec = shared.like(shared.kind, shared.work)
            spec.where = where
        if make is not None:
            try:
                spec.kind, spec.work = make(line, columns)
            except ValueError as error:
                raise InputError(f"{where}: the command {error}{' or a smaller -n' * has_several}") from None
        if is_single and count > 1:
            raise InputError(
                f"{source}: has several lines, but the key {quoted(shared.key)} can belong to only one job: put a"
                " placeholder into it, as in 'convert {}'"
            )
        yield spec


def _filled(value: "Any", line: placeholders.Line, known: "Collection[str]", values: "list[str] | None") -> "Any":
    """Fill the value of a field; with several ``values`` an entry of a list becomes one for each."""
    if values is None or not isinstance(value, list):
        return placeholders.fill_all(value, line, known, {})
    return [word for one in value for word in placeholders.spread(placeholders.taken_apart(one, known), line, values)]


def _stand_in(pattern: Pattern) -> "dict[str, Any]":
    return {"command": "true"} if pattern.call is None else {"call": pattern.call, "args": pattern.args}


def _maker(pattern: Pattern, known: "Collection[str]", *, has_several: bool) -> "Make | None":
    """Return the function that makes the work of one job; None for a call, whose arguments are checked with its fields."""
    if pattern.call is not None:
        if placeholders.first_in(pattern.args, known) is None:
            raise UsageError('--each with --call needs a placeholder in --args, as in \'{"path": "{}"}\'')
        return None
    parts = [placeholders.taken_apart(word, known) for word in pattern.words]
    if (script := pattern.script) is not None:
        _refuse_pasting(script, known)
        fill = _filler(parts, has_several=has_several)
        return lambda line, columns: ("shell", shell_work([script, *columns, *fill(line, columns)]))
    try:
        argv_work(pattern.words)
    except ValueError as error:
        raise InputError(f"the command {error}") from None
    first = [f"{{{part[1]}}}" if len(part) > 1 else None for part in parts]
    is_filled = any(first)
    pattern.warning = pasted(pattern.words, first) if is_filled else None
    with_slot = [placeholders.taken_apart(word, {*known, numbered.SLOT}) for word in pattern.words]
    if numbered.has_any(with_slot):
        return lambda line, columns: (
            "shell",
            numbered.work(with_slot, line, columns if has_several else None, () if is_filled else columns),
        )
    fill = _filler(parts, has_several=has_several)
    return lambda line, columns: ("argv", argv_work(fill(line, columns) + ([] if is_filled else columns)))


def _filler(parts: "list[list[str]]", *, has_several: bool) -> "Callable[[placeholders.Line, list[str]], list[str]]":
    if has_several:
        return lambda line, values: [word for part in parts for word in placeholders.spread(part, line, values)]
    return lambda line, _: [placeholders.fill(part, line) for part in parts]


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


def _refuse_slot(pattern: Pattern, fields: "Mapping[str, Any]") -> None:
    """Refuse ``{%}`` where it would stay as it is: it is filled only in the words of a command."""
    others = {name: fields.get(name) for name in placeholders.FILLED} | {"args": pattern.args}
    if pattern.script is not None:
        script = [] if "BATCHQ_SLOT" in pattern.script else [pattern.script]
        if placeholders.first_in([*script, *pattern.words], {numbered.SLOT}) is not None:
            raise UsageError('{%} with -c would stay as it is: a shell gets the number of the slot as "$BATCHQ_SLOT"')
    for name, value in others.items():
        if placeholders.first_in(value, {numbered.SLOT}) is not None:
            raise UsageError(
                f"{{%}} in --{name.replace('_', '-')} would stay as it is: the slot is known only when the job runs, in"
                " the words of a command, as $BATCHQ_SLOT and as batchq.current_job().slot"
            )
