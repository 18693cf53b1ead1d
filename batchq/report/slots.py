"""Which slot each attempt ran in, worked out from the times: the store does not record it."""

from collections.abc import Mapping
from heapq import heappop, heappush


class Slots:
    """The slots of some runs, filled by attempts in the order of their starts.

    ``sizes`` is how many slots each run has, by its id. Times are milliseconds.
    """

    def __init__(self, sizes: Mapping[int, int]) -> None:
        self._sizes = sizes
        self._free: dict[int, list[int]] = {}
        self._busy: dict[int, list[tuple[float, int]]] = {}

    def take(self, run: int, start: float, end: float) -> tuple[int, float]:
        """Return the slot of an attempt, counted from 0 within its run, and from when it has the slot.

        That is the lowest free slot. If the times leave none, because clocks are rounded or were set, it is the one that
        is free first, from then on: the attempts of a slot never overlap.
        """
        free, busy = self._free.setdefault(run, []), self._busy.setdefault(run, [])
        while busy and busy[0][0] <= start:
            heappush(free, heappop(busy)[1])
        if free:
            slot = heappop(free)
        elif len(busy) < self._sizes.get(run, 1):
            slot = len(busy)
        else:
            before, slot = heappop(busy)
            start = max(start, before)
        heappush(busy, (max(start, end), slot))
        return slot, start
