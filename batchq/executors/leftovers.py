"""The leftovers of ended attempts: finding them among our children, and killing them.

A process whose parent dies becomes our child, because we are its subreaper. It belongs to an attempt if it is in its
session or carries its token. One that hides both counts as a leftover when nothing runs that could have started it.

Some end by themselves: ``tee`` in ``exec > >(tee log)``, a resource tracker. They get a moment, then TERM, then KILL;
the loop does not wait for them.
"""

import signal
import time
from collections.abc import Collection

from batchq.named import NamedTuple
from batchq.processes import proc, tree
from batchq.processes.kept import Kept

MOMENT = 0.3  #: seconds in which leftovers may end by themselves
TERM_TO_KILL = 0.2  #: seconds between their TERM and KILL
SWEEP = 1.0  #: seconds after KILL until a process is given up: it hangs in a system call
BUSY = 60.0  #: the same for one that still waits for the processor to end
_AGAIN = 0.02  #: seconds between checks of processes that are being killed
_NOBODY = 0  #: the owner of a process that hides to which attempt it belongs


class LiveProcesses(NamedTuple):
    """What runs now: the processes that we started (session leaders), the tokens of attempts, and whether there are any."""

    processes: Collection[int]
    tokens: Collection[str]
    is_busy: bool


class Leftovers:
    """``kept`` are those that stay (``leftovers = "keep"``); ``unkillable`` are the processes given up.

    ``are_hidden``: the last sweep saw a process of an unknown attempt.
    """

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.unkillable: set[int] = set()
        self.are_hidden = False
        self._since: dict[int, float] = {}
        # When they first got TERM and KILL, not when they should have got it: this process may be late
        self._asked: dict[int, float] = {}
        self._killed: dict[int, float] = {}
        self._ended: dict[int, set[int]] = {}
        self._outliving: dict[int, list[str]] = {}
        self._next_at: float | None = None

    def sweep(self, ended: dict[int, str], live: LiveProcesses) -> set[int]:
        """Handle the leftovers of the ``ended`` attempts (process: token); return those with some still alive."""
        now = time.monotonic()
        left: set[int] = set()
        self._next_at = None
        strangers = self._orphans(live)
        for orphan in strangers:
            if (owner := self._owner(orphan, ended, live)) is None or tree.reap(orphan):
                continue
            self._since.setdefault(owner, now)
            if self._is_being_ended(orphan, owner, now):
                left.add(owner)
        self.are_hidden = any(self._owner(orphan, ended, live) is None for orphan in strangers)
        for owner in left:
            self._schedule(owner, now)
        for owner in self._since.keys() - left:
            for times in (self._since, self._asked, self._killed):
                times.pop(owner, None)
        left.discard(_NOBODY)
        return left

    def next_at(self) -> float | None:
        """Return when to sweep again, in monotonic seconds; None if nothing is pending."""
        return self._next_at

    def hurry(self, owner: int) -> None:
        """Give the leftovers of this attempt no more time to end by themselves."""
        if owner in self._since:
            self._asked[owner] = time.monotonic() - TERM_TO_KILL
            self._next_at = 0.0

    def summary(self, owner: int) -> tuple[int, list[str]]:
        """Return how many processes of a finished attempt had to be killed, and why others are still alive."""
        return len(self._ended.pop(owner, ())), self._outliving.pop(owner, [])

    def _orphans(self, live: LiveProcesses) -> list[int]:
        return [pid for pid in proc.own_children() if pid not in live.processes and pid not in self.unkillable]

    def _owner(self, pid: int, ended: dict[int, str], live: LiveProcesses) -> int | None:
        """Find the ended attempt that owns a process; ``_NOBODY`` if unknown, None if the process may live."""
        if self.kept.has(pid):
            return None
        session, token = proc.session(pid), proc.token_of(pid)
        of_token = next((one for one, carried in ended.items() if carried == token), None)
        if session in live.processes or (token is not None and token in live.tokens):
            return of_token
        if session in ended:
            return session
        if of_token is not None:
            return of_token
        if token is None and self.kept.sessions.intersection(ended):
            self.kept.spare(pid)  # it may be a service that a job has just left to stay
            return None
        if token is None and live.is_busy:
            return None
        return next(iter(ended), _NOBODY)

    def _is_being_ended(self, orphan: int, owner: int, now: float) -> bool:
        """Send the signal that is due to an orphan and its descendants; False if it is given up."""
        if owner not in self._asked and now < self._since[owner] + MOMENT:
            return True
        number = signal.SIGTERM if now < self._asked.setdefault(owner, now) + TERM_TO_KILL else signal.SIGKILL
        signalled = self._ended.setdefault(owner, set())
        if not tree.may_end(orphan) or self._survives(orphan, now - self._killed.get(owner, now)):
            self.unkillable.add(orphan)
            self._outliving.setdefault(owner, []).append(tree.why_alive(orphan))
            return False
        if number == signal.SIGKILL:
            self._killed.setdefault(owner, now)
        for pid in (orphan, *proc.descendants(orphan)):
            if proc.is_zombie(pid) or (number == signal.SIGTERM and pid in signalled):
                continue
            signalled.add(pid)
            tree.kill(pid, number)
            if number == signal.SIGTERM:
                tree.kill(pid, signal.SIGCONT)
        return True

    def _survives(self, orphan: int, seconds: float) -> bool:
        """Whether an orphan is given up that many seconds after the first KILL of its attempt."""
        return seconds > SWEEP and (seconds > BUSY or not proc.is_runnable(orphan))

    def _schedule(self, owner: int, now: float) -> None:
        if owner not in self._asked:
            at = self._since[owner] + MOMENT
        elif owner not in self._killed:
            at = max(now, self._asked[owner] + TERM_TO_KILL)
        else:
            at = now + _AGAIN
        self._next_at = at if self._next_at is None else min(self._next_at, at)
