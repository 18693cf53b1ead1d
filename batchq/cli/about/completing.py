"""``batchq completion``: the script that a shell loads, and the words that it offers then."""

import os
import sys

from batchq.cli import commands
from batchq.cli.options import FLAG, Argument
from batchq.errors import BatchqError
from batchq.jobs.lifecycle import FINAL, STATES
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchq.cli.options import Command, Option

FILES = {"bash": "batchq.bash", "zsh": "_batchq", "fish": "batchq.fish"}
_STATES_OF = {  # the states of the jobs that a command can change
    "retry": ("failed", "cancelled"),
    "cancel": tuple(state for state in STATES if state not in FINAL),
    "hold": ("queued", "scheduled", "blocked"),
    "release": ("held",),
    "wait": tuple(state for state in STATES if state not in FINAL),
}
_WIDTH = 60  #: characters of what a shell shows next to a word

Offer = tuple[str, str]  #: a word and what it means


def complete(shell: str, words: list[str]) -> None:
    """Print the completion script of a shell, or with ``words`` what the last one of a command line can become."""
    if shell != "words":
        with open(os.path.join(os.path.dirname(__file__), "shells", FILES[shell]), encoding="utf-8") as file:
            sys.stdout.write(file.read())
        return
    for word, meaning in offers(words or [""]):
        text = visible(meaning, one_line=True)
        sys.stdout.write(f"{word}\t{text[:_WIDTH]}\n" if word.isprintable() else "")


def offers(words: list[str]) -> "Iterator[Offer]":
    """Yield what the last of ``words``, the words after ``batchq``, can become; nothing means: a file."""
    *before, last = words
    if "--" in before:
        return
    name, rest = commands.named(before)
    found: Iterable[Offer]
    if rest and rest[-1] == "--db":  # its value is missing
        return
    if not name:
        found = [*_commands(""), ("--db", "The store"), ("--help", "All commands"), ("--version", "The version")]
        yield from _beginning(last, found)
        return
    command = commands.table(name)
    flags = {flag: one for one in command.parameters if not isinstance(one, Argument) for flag in one.flags}
    waiting = flags.get(rest[-1]) if rest else None
    flag, equals, text = last.partition("=")
    if waiting is not None and waiting.form != FLAG:
        yield from _beginning(last, _values(command, waiting, last, rest))
    elif equals and flag in flags:
        for word, meaning in _beginning(text, _values(command, flags[flag], text, rest)):
            yield f"{flag}={word}", meaning
    elif last.startswith("-"):
        yield from _beginning(last, [*((flag, one.help) for flag, one in flags.items()), ("--help", "This command")])
    else:
        yield from _beginning(last, [*_commands(f"{name} "), *_arguments(command, rest)])


def _beginning(text: str, found: "Iterable[Offer]") -> "Iterator[Offer]":
    return (one for one in found if one[0].startswith(text))


def _commands(group: str) -> "Iterator[Offer]":
    for name in commands.ROOMS:
        if name.startswith(group) and " " not in (word := name.removeprefix(group)):
            yield word, commands.table(name).help.partition("\n")[0]


def _arguments(command: "Command", rest: list[str]) -> "Iterable[Offer]":
    kinds = [one.metavar for one in command.parameters if isinstance(one, Argument)]
    if "JOB" in kinds:
        return _live("JOB", _STATES_OF.get(command.name, ()), "", rest)
    if "NAME" in kinds:
        return _live("queue", (), "", rest)
    if "SHELL" in kinds:
        return [(shell, f"Print the script for {shell}") for shell in FILES]
    return _commands("") if "COMMAND" in kinds else ()


def _values(command: "Command", option: "Option", text: str, rest: list[str]) -> "Iterable[Offer]":
    """Return the values of an option that are known."""
    if option.choices:
        return [(choice, "") for choice in option.choices]
    if option.name == "states":
        return [(state, "") for state in STATES]
    if option.metavar == "JOB":
        named = _live("name", (), text, rest)
        return [*_live("JOB", (), "", rest), *named, *((f"batch:{one}", "") for one, _ in _live("batch", (), "", rest))]
    return _live(option.name, (), text, rest)


def _live(kind: str, states: tuple[str, ...], text: str, rest: list[str]) -> list[Offer]:
    """Return what the store knows of a kind; nothing if there is no store, or it cannot be read."""
    if kind not in ("JOB", "batch", "queue", "name", "causes", "run"):
        return []
    from batchq.store.file.opening import open_store
    from batchq.store.looking import offers as known

    db = next((rest[n + 1] for n, word in enumerate(rest[:-1]) if word == "--db"), None)
    try:
        with open_store(db, reading=True) as store:
            if kind == "JOB":
                jobs = [(str(id), meaning) for id, meaning in known.ids(store, states)]
                return [*jobs, ("last", "the jobs of the newest add")]
            if kind == "causes":
                return known.causes(store)
            if kind == "run":
                return [("last", "the newest run"), *known.runs(store)]
            names = {"batch": known.batches, "queue": known.queues}
            return [(name, "") for name in (names[kind](store) if kind in names else known.names(store, text))]
    except (BatchqError, OSError):
        return []
