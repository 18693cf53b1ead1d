"""The order in which an attempt printed to its two streams: the lengths of their turns, stdout first, in bounded memory.

Two pipes keep no common order. What a reader finds in one of them after it has read the other was printed since then, or
shortly before; so the order is exact between two reads, and within one it is stdout, then stderr.
"""

import json
from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate

MOST = 64 * 1024  #: turns that are kept; from there on those in the middle are joined
_FEW = 1024  #: turns from which those that belong to no kept byte are searched for


class Turns:
    """The turns of one attempt. ``head`` and ``tail`` are the bytes of a stream that are kept of its two ends.

    Turns alternate, so only the first can be empty. Where all bytes of both streams are dropped, turns need no memory.
    """

    def __init__(self, head: int, tail: int) -> None:
        self._head, self._tail = head, tail
        self._lengths = array("Q")
        self.clear()

    def clear(self) -> None:
        """Begin with the next attempt."""
        if self._lengths:
            self._lengths = array("Q")
        self._is_stderr = False
        self._size = 0
        self._limit = _FEW

    def add(self, size: int, *, is_stderr: bool) -> None:
        """Note that this many bytes were read from a stream."""
        if is_stderr is self._is_stderr:
            self._size += size
            return
        self._lengths.append(self._size)
        self._size, self._is_stderr = size, is_stderr
        if len(self._lengths) >= self._limit:
            self._join()

    def text(self) -> str | None:
        """Return the lengths as a JSON list; None if only one stream has printed."""
        lengths = [*self._lengths, self._size]
        return (
            json.dumps(lengths, separators=(",", ":"))
            if len(lengths) > 2 or (len(lengths) == 2 and lengths[0])
            else None
        )

    def _join(self) -> None:
        """Join the turns of which nothing is kept; if too many are left, also those in the middle."""
        ends = list(accumulate(self._lengths[0::2])), list(accumulate(self._lengths[1::2]))
        totals = [ends[0][-1], (ends[1] or [0])[-1]]
        totals[self._is_stderr] += self._size
        pairs = len(ends[1])
        first = 1 + max(bisect_left(of_one, self._head) for of_one in ends)
        last = min(bisect_right(of_one, max(0, total - self._tail)) for of_one, total in zip(ends, totals, strict=True))
        self._join_pairs(first, min(last, pairs))
        if len(self._lengths) >= MOST:
            pairs = len(self._lengths) // 2
            self._join_pairs(pairs // 4, pairs - pairs // 4)
        self._limit = min(MOST, max(_FEW, 2 * len(self._lengths)))

    def _join_pairs(self, first: int, last: int) -> None:
        if first < last:
            old = self._lengths[2 * first : 2 * last]
            self._lengths[2 * first : 2 * last] = array("Q", [sum(old[0::2]), sum(old[1::2])])
