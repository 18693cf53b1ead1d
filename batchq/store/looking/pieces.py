"""The two streams of an attempt as one: the pieces that it printed, in the order of printing, as far as that is known."""

import json
from collections.abc import Iterator, Mapping

from batchq.named import NamedTuple
from batchq.store.looking.rows import Output

STREAMS = ("stdout", "stderr")


class Piece(NamedTuple):
    """A part of what was printed to ``stream``; or, without ``data``, the place where that many bytes are ``missing``."""

    stream: str
    data: bytes
    missing: int = 0

    def gap(self, advice: str) -> str:
        """Say how many bytes are missing here."""
        return f"[batchq: {self.missing:,} bytes of {self.stream} are missing here: {advice}]"


class Transcript(NamedTuple):
    """What an attempt printed: ``outputs`` by stream, and the ``turns`` of the streams as stored, if they are known."""

    attempt: int
    outputs: Mapping[str, Output]
    turns: str | None

    def pieces(self, seen: Mapping[str, int] | None = None) -> Iterator[Piece]:
        """Yield what the streams have after their first ``seen`` bytes in the order of printing, each byte once.

        The gap of a stream is one piece, where its first missing byte would be. If the order is unknown, as it is for jobs
        that an older version of batchq has run, stdout comes before stderr.
        """
        return in_order(self.outputs, self.turns, seen)


def in_order(
    outputs: Mapping[str, Output], turns: str | None, seen: Mapping[str, int] | None = None
) -> Iterator[Piece]:
    """Yield what the streams have after their first ``seen`` bytes, each byte once.

    The gap of a stream is one piece, where its first missing byte would be. Without ``turns``, and after the last one,
    stdout comes before stderr; so do the streams of jobs that an older version of batchq has run.
    """
    at = dict.fromkeys(STREAMS, 0)
    gaps = set()
    for number, length in [*enumerate(_lengths(turns)), (0, None), (1, None)]:
        stream = STREAMS[number % 2]
        if (output := outputs.get(stream)) is None:
            continue
        first, last = at[stream], output.total
        if length is not None:
            last = min(first + length, last)
        at[stream] = last
        first = max(first, (seen or {}).get(stream, 0))
        gap, tail = len(output.head), output.total - len(output.tail)  # where these begin
        if data := output.head[first:last]:
            yield Piece(stream, data)
        if max(first, gap) < min(last, tail) and stream not in gaps:
            gaps.add(stream)
            yield Piece(stream, b"", tail - max(first, gap))
        if data := output.tail[max(0, first - tail) : max(0, last - tail)]:
            yield Piece(stream, data)


def _lengths(turns: str | None) -> list[int]:
    """Return the lengths of the turns; none if another program has written nonsense there."""
    try:
        found = json.loads(turns or "[]")
    except ValueError:
        return []
    if not isinstance(found, list) or not all(type(one) is int and one >= 0 for one in found):
        return []
    return found


def longest(turns: "list[str | None]") -> str | None:
    """Return the turns that count most bytes, of those stored with the streams: the newest."""
    return max(turns, key=lambda one: sum(_lengths(one)), default=None)
