"""The current folder as the user sees it, and paths relative to it."""

import os

from batchq import paths
from batchq.errors import MissingError


def current() -> str:
    """Return the current folder as ``$PWD`` names it, with its links, if that is correct; else as the system names it.

    A job added in ``/srv/app/current`` runs in the folder to which that link points when it runs. Raises MissingError.
    """
    named = os.environ.get("PWD", "")
    if named.startswith("/") and not {".", ".."}.intersection(named.split("/")):
        try:
            if os.path.samestat(os.stat(named), os.stat(".")):
                return named
        except OSError:
            pass
    return physical()


def physical() -> str:
    """Return the current folder as the system names it. Raises MissingError."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise MissingError("the current folder does not exist any more; change to another one") from None


def absolute(path: str) -> str:
    """Resolve ``path`` against the current folder, keeping its links. Raises MissingError."""
    return paths.absolute(path, "/" if path.startswith("/") else physical())
