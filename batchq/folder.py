"""Folders as the user has them: the current one, and paths that are written from it."""

import os

from batchq import paths
from batchq.errors import MissingError


def current() -> str:
    """The current folder as it is called in ``$PWD``, links and all, where that names it; else as the system calls it.

    A job that is added in ``/srv/app/current`` is to run in what that leads to when it runs. Raises MissingError.
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
    """The current folder as the system calls it. Raises MissingError."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise MissingError("the current folder does not exist any more; change to another one") from None


def absolute(path: str) -> str:
    """``path`` as from the current folder, with its links as written. Raises MissingError."""
    return paths.absolute(path, "/" if path.startswith("/") else physical())
