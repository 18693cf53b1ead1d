"""Options in a script: lines ``#BATCHQ --timeout 5m …`` at its head, as Slurm has ``#SBATCH``."""

import os
import shlex

from batchq.cli import byhand
from batchq.cli.add.options import ADD
from batchq.errors import InputError, UsageError
from batchq.jobs.fields import FIELDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MARK = "#BATCHQ"
_HEAD = 64 * 1024  #: bytes of a script that can hold its head


def merged(given: "dict[str, Any]") -> "dict[str, Any]":
    """Return the values of a command line with those of the script that it names; the command line wins.

    The head of a script ends with the first line that is neither blank nor a comment. Raises InputError, with the line,
    for a wrong option, and for one that is not a field of the job.
    """
    words = given["words"]
    if not words or given["command"] is not None or given["call"] is not None or "/" not in words[0]:
        return given
    values, defaults = dict(given), byhand.defaults(ADD)
    for number, line in _directives(words[0]):
        where = f"{words[0]}, line {number}"
        try:
            found = byhand.read(ADD, shlex.split(line), None)
        except (UsageError, ValueError) as error:
            raise InputError(f"{where}: {str(error).removeprefix('add: ').partition('; see ')[0]}") from None
        except byhand.HelpAsked:
            raise InputError(f"{where}: --help is not a field of the job") from None
        for name, value in found.items():
            if value == defaults[name]:
                continue
            if name not in FIELDS:
                raise InputError(f"{where}: only fields of the job can be set here, such as --timeout or --name")
            if given[name] == defaults[name]:
                values[name] = [*values[name], *value] if isinstance(value, list) else value
    return values


def _directives(path: str) -> "Iterator[tuple[int, str]]":
    """Yield the number and the text of each ``#BATCHQ`` line at the head of a script; none for a binary program."""
    try:
        with open(os.path.expanduser(path), "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return
    if not head.startswith(b"#!"):
        return
    for number, line in enumerate(head.decode("utf-8", "replace").splitlines(), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            return
        if text.startswith(_MARK) and text[len(_MARK) :][:1].isspace():
            yield number, text[len(_MARK) :]
