"""The folder of a worker: where its jobs find it, which one it is, and where it is now."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def home() -> "tuple[str, object]":
    """The folder of the jobs, by the name that they have for it, and which one that is.

    A link in the name may lead elsewhere later, to another version of the modules.
    """
    named, place = os.environ.get("PWD", ""), identity(".")
    return named if os.path.isabs(named) and identity(named) == place else os.getcwd(), place


def identity(folder: str) -> object:
    """Which folder it is, whatever its name; None where it cannot be entered, which the next job reports."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def current(_now: "Any" = os.getcwd) -> str | None:
    """The working directory; None where it has been taken away."""
    try:
        folder: str = _now()
    except OSError:
        return None
    return folder
