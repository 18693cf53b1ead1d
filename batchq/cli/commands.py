"""The commands, each with the room in which its table is, and how one is read and called."""

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
    """What the command of this name takes."""
    options = _module(f"{ROOMS[name]}.options")
    commands: tuple[Command, ...] = options.COMMANDS
    return next(command for command in commands if command.name == name)


def named(argv: list[str]) -> tuple[str, list[str]]:
    """The command that a command line names, "" for none, and the rest of the line.

    The store can be named before the words of the command; what is named after them counts more.
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
    """The command of a command line whose words after ``--`` were split off, and its values; None if it is not valid."""
    name, rest = named(argv)
    if not name:
        return None
    command = table(name)
    values = byhand.read(command, rest, after)
    return None if values is None else (command, values)


def call(command: "Command", values: "dict[str, Any]") -> int:
    """Do what a command line asks for; the exit code. Raises BatchqError and OSError."""
    module, _, function = command.function.partition(":")
    if command.selects:
        from batchq.cli.choosing import selection_of

        values = selection_of(values)
    return getattr(_module(module), function)(**values) or 0


def _module(name: str) -> "Any":
    __import__(f"batchq.cli.{name}")
    return sys.modules[f"batchq.cli.{name}"]
