"""Lines for the person, on stderr: stdout is for data."""

import sys

from batchq.visible import visible


def note(text: str) -> None:
    """Print one line, in which nothing can steer a terminal; one that cannot be printed is lost and changes nothing."""
    try:
        sys.stderr.write(f"batchq: {visible(text)}\n")
    except OSError:
        pass


def warn(warnings: list[str]) -> None:
    """Print each warning of a store as a line."""
    for warning in warnings:
        note(f"warning: {warning}")


def note_outer_store(path: str, nearer: str | None) -> None:
    """Warn that the store of the job in which this runs is used, and not a nearer one."""
    if nearer is not None:
        note(
            f"warning: this runs inside of a job, whose BATCHQ_DB is {path}; for {nearer} use --db, or unset BATCHQ_DB"
        )
