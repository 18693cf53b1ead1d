"""Lines for the person, on stderr: stdout is for data."""

import sys


def note(text: str) -> None:
    """One line."""
    sys.stderr.write(f"batchq: {text}\n")


def warn(warnings: list[str]) -> None:
    """What a store warns of, a line each."""
    for warning in warnings:
        note(f"warning: {warning}")
