"""The room that a place has for claims: now, and what it may have again."""

import time
from collections import deque
from collections.abc import Sequence

from batchq.jobs import vacancy
from batchq.jobs.attempt import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ANY = 1 << 30  #: more slots than a job can need


class Room:
    """``slots``, claims ``ahead``, and the slots of the ``widest`` claim, as of an executor; all 0 while a place is away.

    ``most`` is what nobody can exceed there. The workers of a bridge (``is_of_many``) come and go: what one of them had is
    expected back for ``patience`` seconds, and anything while there is none. How many slots each has free, a bridge tells
    of the claims that it has received so far: those on their way there will take some.
    """

    def __init__(self, most: int, patience: float, *, is_of_many: bool) -> None:
        self.slots = self.ahead = self.widest = 0
        self._most = most
        self._patience = patience
        self._is_of_many = is_of_many
        self._before = 0
        self._before_until = 0.0
        self._given = 0
        self._on_their_way: deque[int] = deque()  # the slots of claims given that have not been received
        self._of_each: Sequence[int] | None = None

    def give(self, claims: Sequence[Claim]) -> None:
        """Note claims that are sent there."""
        self._given += len(claims)
        if self._of_each is not None:
            self._on_their_way += [claim.slots for claim in claims]

    def restart(self) -> None:
        """Note that the place is gone; the next one there knows of no claims."""
        self.change(0, 0, 0)
        self._given = 0

    def vacant(self, used: int) -> list[int]:
        """Return how many slots are free at each place here, if claims take the slots that are ``used``."""
        if self._of_each is None:
            return [self.slots - used]
        rooms = [*self._of_each]
        for slots in self._on_their_way:
            vacancy.take(rooms, slots)
        return rooms

    def change(
        self, slots: int, ahead: int, widest: int, of_each: Sequence[int] | None = None, received: int | None = None
    ) -> None:
        """Note the room that there is now."""
        self._of_each = of_each
        while self._on_their_way and (received is None or len(self._on_their_way) > self._given - received):
            self._on_their_way.popleft()
        if widest < self.widest:
            self._before = max(self.widest, self._expected())
            self._before_until = time.monotonic() + self._patience
        self.slots, self.ahead, self.widest = slots, ahead, widest

    def hoped(self) -> int:
        """How wide a claim can become, if what was there comes back."""
        if self.slots:
            return max(self.widest, self._expected() if self._is_of_many else 0)
        return self._before if self._before and not self._is_of_many else self._most

    def _expected(self) -> int:
        return self._before if time.monotonic() < self._before_until else 0


def room_of(setup: "dict[str, Any]") -> Room:
    """Return that of a place with this setup: -j says how wide a claim can be at most, but nothing of workers of Dask."""
    engine = setup["engine"] or ""
    most = ANY if engine.startswith("dask:") else setup["slots"] or ANY
    return Room(most, setup["reconnect"], is_of_many=bool(engine))
