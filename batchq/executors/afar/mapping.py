"""Folders that have another path elsewhere: ``--cwd-map LOCAL=REMOTE``."""

from collections.abc import Iterable, Sequence

from batchq import folder
from batchq.errors import UsageError

Pair = tuple[str, str]  #: a folder here, and the same one elsewhere


def pairs(texts: Iterable[str]) -> list[Pair]:
    """Read ``LOCAL=REMOTE`` texts; a relative LOCAL is below the current folder. Raises UsageError."""
    found: dict[str, str] = {}
    for text in texts:
        local, _, remote = text.partition("=")
        if not local or not remote.startswith("/"):
            raise UsageError(f"--cwd-map {text!r}: write LOCAL=REMOTE, a folder here and its absolute path there")
        here = folder.absolute(local).rstrip("/")
        if here in found:
            raise UsageError(f"--cwd-map {text!r}: {here or '/'} has been mapped already")
        found[here] = remote.rstrip("/")
    return [*found.items()]


def mapped(path: str, pairs: Sequence[Pair]) -> str:
    """Return the path elsewhere: by the longest folder that it is in, or unchanged if it is in none."""
    around = [pair for pair in pairs if f"{path}/".startswith(f"{pair[0]}/")]
    if not around:
        return path
    here, there = max(around, key=lambda pair: len(pair[0]))
    return there + path[len(here) :] or "/"
