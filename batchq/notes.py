"""Messages for people, on stderr; stdout is for data."""

import sys

from batchq.visible import visible


def note(text: str) -> None:
    """Print one line, with control characters escaped. If it cannot be printed, it is dropped and nothing else changes."""
    try:
        sys.stderr.write(f"batchq: {visible(text)}\n")
    except OSError:
        pass


def warn(warnings: list[str]) -> None:
    """Print each warning of a store on a line."""
    for warning in warnings:
        note(f"warning: {warning}")


def note_outer_store(path: str, nearer: str | None) -> None:
    """Warn that the store of the enclosing job is used, not a nearer one."""
    if nearer is not None:
        note(f"warning: this runs inside a job, whose BATCHQ_DB is {path}; for {nearer} use --db, or unset BATCHQ_DB")
