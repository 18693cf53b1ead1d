"""The commands, the room that has the table of each, and how a command line is parsed and called."""

import sys

from batchq.cli import byhand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.cli.options import Command

ROOMS = {  # in the order of the help
    "init": "add",
    "add": "add",
    "run": "run",
    "report": "look",
    "list": "look",
    "show": "look",
    "logs": "look",
    "explain": "look",
    "wait": "look",
    "retry": "change",
    "cancel": "change",
    "hold": "change",
    "release": "change",
    "queue": "change",
    "queue list": "change",
    "queue set": "change",
    "queue pause": "change",
    "queue resume": "change",
    "doctor": "keep",
    "backup": "keep",
    "restore": "keep",
    "prune": "keep",
}


def table(name: str) -> "Command":
    """Return the table of the command of this name."""
    options = _module(f"{ROOMS[name]}.options")
    commands: tuple[Command, ...] = options.COMMANDS
    return next(command for command in commands if command.name == name)


def named(argv: list[str]) -> tuple[str, list[str]]:
    """Return the command that a command line names ("" for none) and the rest of the line.

    ``--db`` may come before the words of the command; one after them wins.
    """
    name, rest = "", argv
    store: list[str] = []
    while rest:
        if rest[0] == "--db" or rest[0].startswith("--db="):
            count = 2 if rest[0] == "--db" else 1
            store, rest = [*store, *rest[:count]], rest[count:]
        elif (longer := f"{name} {rest[0]}".lstrip()) in ROOMS:
            name, rest = longer, rest[1:]
        else:
            break
    return name, [*store, *rest]


def read(argv: list[str], after: list[str] | None) -> "tuple[Command, dict[str, Any]] | None":
    """Return the command and its values, or None if the line is not valid; ``after`` are the words after ``--``."""
    name, rest = named(argv)
    if not name:
        return None
    command = table(name)
    values = byhand.read(command, rest, after)
    return None if values is None else (command, values)


def call(command: "Command", values: "dict[str, Any]") -> int:
    """Call a command with its values; return the exit code. Raises BatchqError and OSError."""
    module, _, function = command.function.partition(":")
    if command.selects:
        from batchq.cli.choosing import selection_of

        values = selection_of(values)
    return getattr(_module(module), function)(**values) or 0


def _module(name: str) -> "Any":
    __import__(f"batchq.cli.{name}")
    return sys.modules[f"batchq.cli.{name}"]
