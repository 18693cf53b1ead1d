"""Output that waits for its turn: a little in memory, the rest in temporary files, so that memory stays bounded."""

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

MEMORY = 4 << 20  #: bytes of all jobs together that wait in memory
SEGMENT = 64 << 20  #: bytes after which another file is begun: each is removed when all of it was taken
PIECE = 64 * 1024  #: bytes that are taken at once


class _Segment:
    def __init__(self) -> None:
        import tempfile  # takes a few milliseconds, and only much output needs it

        self.file: BinaryIO = tempfile.TemporaryFile()
        self.end = 0
        self.pieces = 0


class Backlog:
    """The memory and the files that the waiting output of all jobs shares."""

    def __init__(self) -> None:
        self.in_memory = 0
        self._segment: _Segment | None = None

    def room(self, size: int) -> bool:
        """Whether so many bytes more may wait in memory."""
        return self.in_memory + size <= MEMORY

    def store(self, data: bytes) -> "tuple[_Segment, int]":
        """Write to a file; return it and the place there. Raises OSError."""
        if self._segment is None or self._segment.end >= SEGMENT:
            self._segment = _Segment()
        segment, place = self._segment, self._segment.end
        segment.file.seek(place)
        segment.file.write(data)
        segment.file.flush()
        segment.end += len(data)
        segment.pieces += 1
        return segment, place

    def release(self, segment: _Segment) -> None:
        """Forget a piece of a file that has been taken."""
        segment.pieces -= 1
        if segment.pieces == 0:
            segment.file.close()
            if segment is self._segment:
                self._segment = None


class Waiting:
    """The waiting output of one job: pieces of its streams, in order."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._pieces: deque[tuple[str, bytearray | _Segment, int, int]] = deque()  # stream, where, from, to

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def put(self, stream: str, data: bytes) -> None:
        """Add a piece. Raises OSError, and drops the piece, if there is no room for it."""
        last = self._pieces[-1] if self._pieces else None
        if self._backlog.room(len(data)):
            self._backlog.in_memory += len(data)
            if last is not None and last[0] == stream and isinstance(last[1], bytearray):
                last[1].extend(data)
            else:
                self._pieces.append((stream, bytearray(data), 0, 0))
            return
        segment, place = self._backlog.store(data)
        if last is not None and last[:2] == (stream, segment) and last[3] == place:
            self._pieces[-1] = (stream, segment, last[2], place + len(data))
            segment.pieces -= 1
        else:
            self._pieces.append((stream, segment, place, place + len(data)))

    def take(self) -> tuple[str, bytes]:
        """Take the next piece, or a part of it. Raises OSError if it cannot be read."""
        stream, where, start, end = self._pieces.popleft()
        if isinstance(where, bytearray):
            data = bytes(where[:PIECE])
            self._backlog.in_memory -= len(data)
            del where[:PIECE]
            if where:
                self._pieces.appendleft((stream, where, 0, 0))
            return stream, data
        where.file.seek(start)
        data = where.file.read(min(PIECE, end - start))
        if data and start + len(data) < end:
            self._pieces.appendleft((stream, where, start + len(data), end))
        else:
            self._backlog.release(where)
        return stream, data
