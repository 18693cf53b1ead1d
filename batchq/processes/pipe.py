"""One stream of a job through a pipe: its first and last bytes, and their total number."""

import os
from collections.abc import Callable

from batchq.jobs.attempt import KEPT, Stream, ends_of

_CHUNK = 64 * 1024  #: bytes: as much as a pipe holds
_CHUNKS = 4  #: that are read of one pipe before the other, and everything else, gets its turn
_SLACK = 192 * 1024  #: bytes beyond the tail after which it is cut
# One buffer for all reads: to allocate that much for each, and free most of it, fragments the memory of a long run.
ROOM = memoryview(bytearray(_CHUNK))


class Pipe:
    """The pipe of ``stream``, and what is kept of it. ``note`` is called with all that is read."""

    def __init__(self, note: Callable[[str, memoryview], None], stream: str) -> None:
        self.stream = stream
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._note = note
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._reported = 0
        self.keep(*ends_of(KEPT))

    def keep(self, head: int, tail: int) -> None:
        """Keep that many bytes of its beginning and its end."""
        self._of_head, self._of_tail = head, tail

    def close(self) -> None:
        """Close both ends."""
        os.close(self.reader)
        os.close(self.writer)

    def pump(self) -> bool:
        """Read what has been printed so far, without waiting; return whether there was anything."""
        got = False
        for _ in range(_CHUNKS):
            try:
                size = os.readv(self.reader, [ROOM])
            except BlockingIOError:
                return got
            got = True
            self._take(ROOM[:size])
            if size < _CHUNK // 2:
                return got
        return got

    def _take(self, data: memoryview) -> None:
        self._total += len(data)
        self._note(self.stream, data)
        if room := self._of_head - len(self._head):
            self._head += data[:room]
            data = data[room:]
        if data and self._of_tail:
            self._tail += data[-self._of_tail :]
            if len(self._tail) > self._of_tail + _SLACK:
                del self._tail[: -self._of_tail]

    def news(self) -> Stream | None:
        """Return what the running job has printed so far; None if nothing is new."""
        if self._total == self._reported:
            return None
        self._reported = self._total
        return self._stream()

    def take(self) -> Stream | None:
        """Return all that was read, None for nothing; nothing is kept afterwards."""
        if not self._total:
            return None
        stream = self._stream()
        self._head.clear()
        self._tail.clear()
        self._total = self._reported = 0
        return stream

    def _stream(self) -> Stream:
        return Stream(bytes(self._head), bytes(self._tail[-self._of_tail :] if self._of_tail else b""), self._total)
