"""Lines for the person, on stderr: stdout is for data."""

import sys

from batchq.visible import visible


def note(text: str) -> None:
    """One line, in which nothing can steer a terminal: paths and names may hold anything."""
    sys.stderr.write(f"batchq: {visible(text)}\n")


def note_outer_store(path: str, nearer: str | None) -> None:
    """Say that a job's store is used, and not a nearer one, which the same words mean in a shell."""
    if nearer is not None:
        note(
            f"warning: this runs inside of a job, whose BATCHQ_DB is {path}; for {nearer} use --db, or unset BATCHQ_DB"
        )


def warn(warnings: list[str]) -> None:
    """What a store warns of, a line each."""
    for warning in warnings:
        note(f"warning: {warning}")
