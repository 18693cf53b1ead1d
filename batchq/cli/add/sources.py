"""The sources of ``batchq add``: the words of its command line, files, stdin, a template for each line.

The readers of files are imported only when needed: most adds are one command.
"""

import io
import os
import sys
from itertools import chain, islice

from batchq import folder
from batchq.cli.add import together
from batchq.errors import InputError, MissingError, UsageError
from batchq.jobs.fields import FIELDS
from batchq.jobs.model import JobSpec, job_spec
from batchq.jobs.work import argv_work, shell_work
from batchq.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from batchq.cli.request import Request
    from batchq.jobs.reading.spool import Jobs

IN_MEMORY = 20_000  #: jobs


def specs_of(request: "Request", verb: str = "add") -> "Jobs":
    """Return the checked jobs that a command line of ``batchq VERB`` describes.

    They can be iterated any number of times; if there are many, they are kept in a file. Raises UsageError, InputError and
    MissingError.
    """
    if request.each:
        request = _with_lists(request)
    together.check(request, verb)
    fields = _fields(request)
    cwd, path = folder.current(), os.environ.get("PATH", os.defpath)
    if request.each:
        return _each(request, fields, cwd, path)
    if request.files:
        return _gathered(
            (spec for file in request.files for spec in _read(file, request, verb, fields, cwd, path)),
            " and ".join(map(_name, request.files[:3])),
        )
    if request.call is not None:
        work = {"call": request.call, "args": _args(request.args)}
        return list(_with_checked_callables([job_spec(fields | work, "the command line", cwd, path)]))
    spec = job_spec(fields | {"command": "true"}, "the command line", cwd, path)  # the work itself follows
    try:
        if request.command is not None:
            spec.kind, spec.work = "shell", shell_work([request.command, *(request.words or [])])
        else:
            spec.kind, spec.work = "argv", argv_work(request.words)
    except ValueError as error:
        raise InputError(f"the command {error}") from None
    _hint(request, verb)
    return [spec]


def _hint(request: "Request", verb: str) -> None:
    """Warn of a command that is probably not meant as it is; most commands cannot be such."""
    words = request.words or []
    is_odd = any("{" in word or word == ":::" for word in words) or (len(words) == 1 and not words[0].isidentifier())
    if not request.quiet and (is_odd or sys.stderr.isatty()):
        from batchq.cli.add import hints

        hints.for_command(words, verb, script=request.command)


def reads_stdin(request: "Request") -> bool:
    """Whether jobs or values come from stdin."""
    if not request.each:
        return "-" in request.files
    from batchq.jobs.reading import lists

    return request.source is None and not lists.are_in([*request.files[:1], *(request.words or [])])


def _with_lists(request: "Request") -> "Request":
    """Return the request with the lists after ``:::`` as ``lists``: they are among the words, or look like files."""
    from batchq.cli.request import Request
    from batchq.jobs.reading import lists

    files, words = request.files, request.words
    if lists.are_in(files[:1]):
        files, words = [], [*files, *(words or [])]
    if not words or not lists.are_in(words):
        return Request(vars(request) | {"lists": []})
    words, chosen = lists.taken_apart(words, is_linked=request.link)
    return Request(vars(request) | {"files": files, "words": words or None, "lists": chosen})


def _fields(request: "Request") -> "dict[str, Any]":
    given = ((name, getattr(request, name)) for name in FIELDS)
    fields = {name: value for name, value in given if value is not None and value is not False and value != []}
    if request.env:
        fields["env"] = {}
        for item in request.env:
            name, equals, value = item.partition("=")
            if not equals and name not in os.environ:
                raise UsageError(f"--env {name}: this variable is not set here; write --env {name}=VALUE")
            fields["env"][name] = value if equals else os.environ[name]
    for name, value in fields.items():
        try:
            FIELDS[name].check(value)
        except ValueError as error:
            raise UsageError(f"option {FIELDS[name].flags[0]} {error}") from None
    return fields


def _args(text: str | None) -> object:
    if text is None:
        return {}
    from batchq.jobs.reading import jobfile

    return jobfile.json_value(text, "--args")


def _each(request: "Request", fields: "dict[str, Any]", cwd: str, path: str) -> "Jobs":
    from batchq.jobs.reading import each

    layout = "csv" if request.csv else "tsv" if request.tsv else "nul" if request.nul else "lines"
    file = request.source or "-"
    name = _name(file)
    pattern = each.Pattern(request.words or [], request.command, request.call, _args(request.args))
    if request.lists:
        name = "the lists after :::"
        found = each.combined(request.lists, pattern, fields, cwd, path, is_linked=request.link)
    else:
        if not request.quiet and sys.stderr.isatty():
            from batchq.cli.add import hints

            hints.for_input(file)
            hints.for_template(request.words or [], is_plain=layout in ("lines", "nul") and request.command is None)
        found = each.stream(_blocks(file), layout, name, pattern, fields, cwd, path, request.per_job or 1)
    specs = _gathered(found if request.call is None else _with_checked_callables(found), name)
    if specs and pattern.warning is not None:
        note(f"warning: {pattern.warning}")
    return specs


def _read(
    file: str, request: "Request", verb: str, fields: "dict[str, Any]", cwd: str, path: str
) -> "Iterator[JobSpec]":
    from batchq.jobs.reading import jobfile

    kind = request.format or ("lines" if file == "-" or request.nul else jobfile.format_of(file))
    if kind is None:
        from batchq.cli.programs import advice

        raise UsageError(advice(verb, file))
    if file == "-" and not request.quiet and sys.stderr.isatty():
        from batchq.cli.add import hints

        hints.for_input(file)
    if request.nul and kind != "lines":
        raise UsageError(f"-0 belongs to lines, not to the format {kind}")
    found = jobfile.stream(_blocks(file), kind, _name(file), fields, cwd, path, nul=request.nul)
    return found if kind == "lines" else _with_checked_callables(found)


def _gathered(specs: "Iterator[JobSpec]", source: str) -> "Jobs":
    """Read all of the jobs: few into a list, many into a file."""
    try:
        found = list(islice(specs, IN_MEMORY))
        if len(found) < IN_MEMORY:
            return found
        from batchq.jobs.reading.spool import spooled

        return spooled(chain(found, specs), source)
    except MemoryError:
        raise InputError(f"{source}: memory ran out while reading it; split it") from None


def _with_checked_callables(specs: "Iterable[JobSpec]") -> "Iterator[JobSpec]":
    """Yield the same jobs; warn at the end about missing callables. Raises InputError."""
    callables = None
    for spec in specs:
        if spec.kind == "call":
            if callables is None:
                from batchq.jobs.callables import Callables

                callables = Callables()
            callables.look(spec)
        yield spec
    for warning in callables.warnings if callables is not None else ():
        note(f"warning: {warning}")


def _name(file: str) -> str:
    return "stdin" if file == "-" else file


def _blocks(file: str) -> "Iterator[bytes]":
    from batchq.jobs.reading.blocks import BLOCK

    try:
        if file == "-":
            if sys.stdin is None:
                raise MissingError("stdin is closed: there is nothing to read jobs from")
            stdin = sys.stdin.buffer
            # From a terminal read() would want more after Ctrl-D.
            read = stdin.read1 if isinstance(stdin, io.BufferedReader) and stdin.isatty() else stdin.read
            while block := read(BLOCK):
                yield block
            return
        with open(file, "rb") as opened:
            while block := opened.read(BLOCK):
                yield block
    except OSError as error:
        raise MissingError(f"cannot read {file}: {error.strerror}") from None
