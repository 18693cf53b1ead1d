"""The folder of a worker: its name, its identity, and the current folder."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def home() -> "tuple[str, object]":
    """Return the folder of the jobs by the name that they use, and its identity.

    A link in the name may lead elsewhere later, to another version of the modules.
    """
    named, place = os.environ.get("PWD", ""), identity(".")
    return named if os.path.isabs(named) and identity(named) == place else os.getcwd(), place


def identity(folder: str) -> object:
    """Return which folder it is, whatever its name; None if it cannot be read, which the next job reports."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def current(_now: "Any" = os.getcwd) -> str | None:
    """Return the working directory; None if it was removed."""
    try:
        folder: str = _now()
    except OSError:
        return None
    return folder
