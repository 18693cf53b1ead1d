"""``batchq help`` and ``version``, also as ``-h`` and ``-V``."""

import contextlib
import sys

from batchq.cli import commands
from batchq.errors import UsageError


def print_help(words: list[str], *, man: bool) -> None:
    """Print the help of one command, or with no words the help of batchq; with ``man`` the manual. Raises UsageError."""
    if man:
        from batchq.cli.about import manual

        sys.stdout.write(manual.page())
        return
    name = " ".join(words)
    if name and name not in commands.ROOMS:
        raise commands.unknown(name)
    from batchq.cli import app  # typer takes half a second of a slow machine, and only help needs it

    app.print_help(name)


def print_start() -> int:
    """Print the help to stderr and return 2: a script whose ``batchq $verb`` has lost its verb has done nothing."""
    with contextlib.redirect_stdout(sys.stderr):
        print_help([], man=False)
    return UsageError.exit_code


def print_version() -> None:
    """Print the version of batchq."""
    from importlib.metadata import version

    sys.stdout.write(f"batchq {version('batchq')}\n")
