"""Other stores that may be meant where one has no jobs: the user's own, ``$BATCHQ_DB``, those here and above."""

import os

from batchq.errors import BatchqError
from batchq.jobs.selection import Selection
from batchq.store.file import location, schema
from batchq.store.file.opening import open_at
from batchq.store.looking import tallies

_HEADER = 100  #: bytes at the beginning of an SQLite file
_VERSION = slice(60, 64)


def with_jobs(path: str) -> list[tuple[str, int]]:
    """The stores near the one at ``path`` that have jobs, and how many; at most one of each kind. Nothing is changed."""
    found: list[tuple[str, int]] = []
    seen = [path]
    for other in location.candidates():
        if not any(_is_same(other, one) for one in seen) and (jobs := jobs_of(other)):
            found.append((other, jobs))
        seen.append(other)
    return found


def jobs_of(path: str) -> int:
    """How many jobs a store has; 0 if it cannot be read, or only after an upgrade."""
    try:
        location.require_ours(path)
        with open(path, "rb") as file:  # nobody in this process has it open, so closing it drops no locks
            if int.from_bytes(file.read(_HEADER)[_VERSION]) != schema.VERSION:
                return 0
        with open_at(path, reading=True) as store:
            return sum(tallies.counts(store, Selection()).values())
    except (BatchqError, OSError):
        return 0


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return one == other
