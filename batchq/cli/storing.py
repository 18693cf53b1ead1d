"""What ``batchq add`` does, whichever parser read its command line. Light to import: no typer, no rich."""

import os
import sys

from batchq.errors import InputError, MissingError, UsageError
from batchq.jobs import jobfile
from batchq.jobs.model import FIELDS, JobSpec, job_spec
from batchq.jobs.work import argv_work, call_work, shell_work
from batchq.store import intake
from batchq.store.connection import open_at
from batchq.store.location import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class AddRequest:
    """One ``batchq add``: where the jobs come from, the fields given as options, and how to tell the ids."""

    def __init__(self) -> None:
        self.words: list[str] | None = None
        self.command: str | None = None
        self.call: str | None = None
        self.args: str | None = None
        self.files: list[str] = []
        self.format: str | None = None
        self.nul = False
        self.quiet = False
        self.db: str | None = None
        self.fields: dict[str, Any] = {}
        self.env: list[str] = []


def add(request: AddRequest) -> None:
    """Store the jobs of one command line and print their ids, one a line. Raises BatchqError; then nothing is stored."""
    _check_sources(request)
    specs = specs_of(request)
    path = locate(request.db)
    is_new = not os.path.exists(path)
    with open_at(path, create=True) as store:
        ids = intake.add(store, specs).ids
        for warning in store.warnings:
            sys.stderr.write(f"batchq: warning: {warning}\n")
    if request.quiet:
        return
    if is_new:
        sys.stderr.write(f"batchq: made the store {path}\n")
    if ids:
        sys.stdout.write("\n".join(map(str, ids)) + "\n")


def _check_sources(request: AddRequest) -> None:
    given = [
        name
        for name, present in (
            ("FILE", request.files),
            ("-c", request.command is not None),
            ("--call", request.call is not None),
        )
        if present
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other; run 'batchq add' once for each")
    if not given and request.words is None:
        raise UsageError(
            "nothing to add: give a FILE, '-' for stdin, -c 'COMMAND', --call MODULE:FUNCTION or -- COMMAND"
        )
    if given and given != ["-c"] and request.words is not None:
        raise UsageError(f"{given[0]} and a command after -- exclude each other; run 'batchq add' once for each")
    if request.args is not None and request.call is None:
        raise UsageError("--args belongs to --call")
    if (request.format or request.nul) and not request.files:
        raise UsageError("--format and -0 belong to FILE or '-'")


def specs_of(request: AddRequest) -> list[JobSpec]:
    """The checked jobs of one command line. Raises BatchqError."""
    fields = _fields(request)
    cwd, path = _working_directory(), os.environ.get("PATH", os.defpath)
    if request.files:
        return [spec for file in request.files for spec in _read(file, request, fields, cwd, path)]
    spec = job_spec(fields | {"command": "true"}, "the command line", cwd, path)  # the work itself follows
    try:
        if request.call is not None:
            spec.kind, spec.work = "call", call_work(request.call, _args(request.args))
        elif request.command is not None:
            spec.kind, spec.work = "shell", shell_work([request.command, *(request.words or [])])
        else:
            spec.kind, spec.work = "argv", argv_work(request.words)
    except ValueError as error:
        raise InputError(f"the command {error}") from None
    return [spec]


def _fields(request: AddRequest) -> "dict[str, Any]":
    fields = dict(request.fields)
    if request.env:
        fields["env"] = {}
        for item in request.env:
            name, equals, value = item.partition("=")
            if not equals and name not in os.environ:
                raise UsageError(f"--env {name}: there is no such variable here; write --env {name}=VALUE")
            fields["env"][name] = value if equals else os.environ[name]
    for name, value in fields.items():
        try:
            FIELDS[name](value)
        except ValueError as error:
            raise UsageError(f"option --{name.replace('_', '-')} {error}") from None
    return fields


def _args(text: str | None) -> object:
    if text is None:
        return {}
    return jobfile.json_value(text, "--args")


def _read(file: str, request: AddRequest, fields: "dict[str, Any]", cwd: str, path: str) -> list[JobSpec]:
    name = "stdin" if file == "-" else file
    kind = request.format or ("lines" if file == "-" or request.nul else jobfile.format_of(file))
    return jobfile.read(_contents(file), kind, name, fields, cwd, path, nul=request.nul)


def _contents(file: str) -> bytes:
    try:
        if file == "-":
            if sys.stdin is None:
                raise MissingError("stdin is closed: there is nothing to read jobs from")
            return sys.stdin.buffer.read()
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise MissingError(f"cannot read {file}: {error.strerror}") from None


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise MissingError("the current directory does not exist any more; change to another one") from None
