"""The beginning of every command that batchq prints, so that it can be pasted anywhere, and the place of a store."""

import os
import shlex
import sys

from batchq.visible import visible

_NAME = "batchq"


def program(db: str | None) -> str:
    """How commands for this store begin: ``batchq``, or ``batchq --db PATH`` if ``db`` is given.

    Where no ``batchq`` is on the PATH, as under cron, it is named by its whole path.
    """
    words = [_NAME] if _is_on_path() else _started_as()
    return shlex.join([visible(word, one_line=True) for word in [*words, *(["--db", db] if db else [])]])


def place(path: str, folder: str | None = None) -> str:
    """Where a text comes from that is read elsewhere: ``on web1, store /home/ann/night/batchq.db``.

    ``folder`` is where the run was started; it is left out if the store is there.
    """
    started = f", started in {folder}" if folder and os.path.realpath(folder) != os.path.dirname(path) else ""
    return visible(f"on {os.uname().nodename}, store {path}{started}", one_line=True)


def _is_on_path() -> bool:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(_is_program(os.path.join(folder or ".", _NAME)) for folder in folders)


def _started_as() -> list[str]:
    """The words that start this batchq: its script, or its Python."""
    started = os.path.abspath(sys.argv[0])
    for script in (started, os.path.join(os.path.dirname(sys.executable), _NAME)):
        if os.path.basename(script) == _NAME and _is_program(script):
            return [script]
    return [sys.executable, "-m", _NAME]


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
