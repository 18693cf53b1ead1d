"""The commands: importing a module of ``batchq.cli`` registers its commands with the application."""

import signal
from importlib import import_module
from typing import Any

import typer

from batchq.cli.app import Interrupted, Invocation, app
from batchq.visible import visible

# The family of errors that typer words itself; it exports but this one member of it.
_Complaint: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

MODULES = (
    "add.adding", "change.changing", "keep.keeping", "look.looking", "look.showing", "change.queueing", "run.running",
    "look.waiting",
)  # fmt: skip


def load() -> None:
    """Register all commands."""
    for name in MODULES:
        import_module(f"batchq.cli.{name}")


def run(argv: list[str], words: list[str] | None) -> int:
    """Run one command line whose words after ``--`` were split off; its exit code, -2 for an interrupt.

    Raises BatchqError and OSError.
    """
    load()
    try:
        return app(args=argv, prog_name="batchq", obj=Invocation(words), standalone_mode=False) or 0
    except _Complaint as complaint:
        complaint.message = visible(complaint.message)
        complaint.show()
        return int(complaint.exit_code)
    except Interrupted:
        return -signal.SIGINT
    except SystemExit:
        return 0  # so typer ends when the reader of a pipe has gone, and `batchq list | head` is no failure
