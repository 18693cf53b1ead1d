"""What an ended attempt leaves behind: finding it among our children, and ending it.

A process whose parent dies becomes our child, because we are its subreaper. It belongs to an attempt if it is of its
session or carries its token; one that hides both is taken for a leftover when nothing runs that could have started it.
"""

import signal
import time
from collections.abc import Collection
from typing import NamedTuple

from batchq.processes import tree

SWEEP = 1.0  #: seconds within which a leftover must be dead, or it is given up: the system has it in an endless call


class Alive(NamedTuple):
    """What runs now: the processes that we started (each leads a session), the tokens of attempts, and whether any does."""

    processes: Collection[int]
    tokens: Collection[str]
    is_busy: bool


class Leftovers:
    """``kept`` are the tokens whose processes stay (``leftovers = "keep"``); ``unkillable`` the processes given up.

    ``are_hidden``: the last sweep saw a process of which nobody knows to which attempt it belongs.
    """

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.unkillable: set[int] = set()
        self.are_hidden = False

    def sweep(self, ended: dict[int, str], alive: Alive) -> dict[int, int]:
        """Kill what the ``ended`` attempts (process: token) left; for each of them how many processes were alive."""
        counts: dict[int, int] = {}
        seen: set[int] = set()
        deadline = time.monotonic() + SWEEP
        while True:
            strangers = self._orphans(alive)
            orphans = [pid for pid in strangers if self._is_left_behind(pid, ended, alive)]
            if not orphans:
                self.are_hidden = bool(strangers)
                return counts
            for orphan in orphans:
                owner = _owner(orphan, ended)
                for pid in (orphan, *tree.descendants(orphan)):
                    if pid not in seen and not tree.is_zombie(pid):
                        counts[owner] = counts.get(owner, 0) + 1
                    seen.add(pid)
                    tree.kill(pid, signal.SIGKILL)
            if all([tree.reap(orphan) for orphan in orphans]):
                continue
            if time.monotonic() > deadline:
                self.unkillable.update(orphans)
            time.sleep(0.0005)

    def _orphans(self, alive: Alive) -> list[int]:
        return [pid for pid in tree.own_children() if pid not in alive.processes and pid not in self.unkillable]

    def _is_left_behind(self, pid: int, ended: dict[int, str], alive: Alive) -> bool:
        session, token = tree.session(pid), tree.token_of(pid)
        if token in self.kept:
            return False
        if session in alive.processes or (token is not None and token in alive.tokens):
            return token in ended.values()
        return session in ended or token is not None or not alive.is_busy


def _owner(pid: int, ended: dict[int, str]) -> int:
    session, token = tree.session(pid), tree.token_of(pid)
    if session in ended:
        return session
    return next((one for one, carried in ended.items() if carried == token), next(iter(ended), 0))
