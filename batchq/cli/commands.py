"""All commands together: importing a group registers its commands with the application."""

from batchq.cli import adding, changing, looking, running
from batchq.cli.app import Invocation, app

__all__ = ["adding", "changing", "looking", "run", "running"]


def run(argv: list[str], words: list[str] | None) -> None:
    """Run one command line whose words after ``--`` were split off; ends in SystemExit."""
    app(args=argv, prog_name="batchq", obj=Invocation(words))
