"""The claims of a lost place, which may still run there."""

import math
import time
from collections.abc import Collection, Sequence

from batchq.executors.seam import Left, Lost


class Ghosts:
    """They may run until the successor of the place has ended everything left of it and is sure of that.

    Else ``until``, in monotonic seconds, when its lease of so many seconds has run out. Without ghosts that is never.
    """

    def __init__(self, lease: float) -> None:
        self.until = math.inf
        self._lease = lease
        self._lost: list[Lost] = []

    def __len__(self) -> int:
        return len(self._lost)

    def add(self, lost: Sequence[Lost]) -> None:
        """Note the claims of a place that is lost as of now."""
        self._lost += lost
        if self._lost:
            self.until = time.monotonic() + self._lease

    def tokens(self) -> list[str]:
        """Return their tokens."""
        return [one.claim.token for one in self._lost]

    def left(self) -> str:
        """Say how long they may still run."""
        return f"{max(0.0, self.until - time.monotonic()):.0f} s"

    def leave(self, tokens: Collection[str]) -> list[Left]:
        """Return those of ``tokens`` to be left to the next run, and forget them."""
        left = [Left(one.claim) for one in self._lost if one.claim.token in tokens]
        self._lost = [one for one in self._lost if one.claim.token not in tokens]
        self.until = self.until if self._lost else math.inf
        return left

    def settle(self) -> list[Lost]:
        """Return all, of which nothing runs any more."""
        settled, self._lost, self.until = self._lost, [], math.inf
        return settled
