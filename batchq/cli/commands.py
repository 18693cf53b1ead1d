"""The commands, the room that has the table of each, and how a command line is parsed and called."""

import sys

from batchq.cli import byhand
from batchq.errors import UsageError

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
    "logs": "logs",
    "top": "top",
    "explain": "look",
    "wait": "look",
    "datasette-metadata": "look",
    "retry": "change",
    "cancel": "change",
    "hold": "change",
    "release": "change",
    "update": "update",
    "queue": "change",
    "queue list": "change",
    "queue set": "change",
    "queue pause": "change",
    "queue resume": "change",
    "doctor": "keep",
    "backup": "keep",
    "restore": "keep",
    "prune": "keep",
    "keep-output": "keep",
    "remove": "keep",
    "notify": "keep",
    "help": "about",
    "version": "about",
    "completion": "about",
}
TITLES = {
    "add": "Add",
    "run": "Run",
    "look": "Look",
    "logs": "Look",
    "top": "Look",
    "change": "Change",
    "update": "Change",
    "keep": "Keep",
    "about": "About batchq",
}
HELP, VERSION = ("-h", "--help"), ("-V", "--version")


def table(name: str) -> "Command":
    """Return the table of the command of this name."""
    options = _module(f"{ROOMS[name] if name else 'about'}.options")
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


def read(argv: list[str], after: list[str] | None) -> "tuple[Command, dict[str, Any]]":
    """Return the command and its values; ``after`` are the words after ``--``. Raises UsageError."""
    name, rest = named(argv)
    if not name:
        return _unnamed(rest)
    command = table(name)
    try:
        return command, byhand.read(command, rest, after)
    except byhand.HelpAsked:
        return table("help"), {"words": name.split(), "man": False}
    except UsageError:
        words = [word for word in rest if not word.startswith("-")]
        if words and any(other.startswith(f"{name} ") for other in ROOMS):
            if (meant := f"{name} {words[0]}") in ROOMS:
                raise UsageError(
                    f"put options after the words of a command, as in 'batchq {meant} --json'; see 'batchq {meant} -h'"
                ) from None
            raise unknown(meant) from None
        raise


def _unnamed(rest: list[str]) -> "tuple[Command, dict[str, Any]]":
    """Return what a command line means that names no command."""
    words = iter(rest)
    for word in words:
        if word == "--db":
            next(words, None)
        elif word in HELP:
            return table("help"), {"words": [], "man": False}
        elif word in VERSION:
            return table("version"), {}
        elif word.startswith("-") and not word.startswith("--db="):
            raise UsageError(f"no option {word!r} before a command; see 'batchq -h'")
        elif not word.startswith("-"):
            raise unknown(word)
    return table(""), {}


def unknown(name: str) -> UsageError:
    """Word the complaint that no command has this name."""
    from batchq.cli import synonyms

    group = name.rpartition(" ")[0]
    of_group = group if group in ROOMS else ""
    near = synonyms.meant_command(name, [one for one in ROOMS if one.startswith(of_group)])
    return UsageError(f"no command {name!r}{near}; see 'batchq {of_group} -h'".replace("  ", " "))


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
