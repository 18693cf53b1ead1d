"""What a job prints, in bounded memory: the first and the last bytes of a stream, and how many there were."""

import os
import select
import stat

from batchq.jobs.attempt import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

KEPT = 64 * 1024  #: bytes kept of the beginning of a stream, and as many of its end
_CHUNK = 64 * 1024  #: bytes: as much as a pipe holds
# One for all reads: to ask for so much each time, and to give most of it back, breaks the memory of a long run into pieces.
_ROOM = memoryview(bytearray(_CHUNK))


class Sink(Protocol):
    """What gets all that is printed."""

    def write(self, data: memoryview) -> None:
        """Take it, or do without: raises nothing."""

    def close(self) -> None:
        """Nothing more comes."""

    def discard(self) -> None:
        """Nothing comes at all."""


class Capture:
    """One stream of one slot: a pipe that is reused from job to job as long as no process of an old job holds it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        # Most commands print nothing, and to ask takes a third of the time of a read that finds nothing.
        self._ready = select.poll()
        self._ready.register(self.reader, select.POLLIN)
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._told = 0
        self.sink: Sink | None = None  # for --log-dir

    def close(self) -> None:
        """Give both ends back."""
        os.close(self.reader)
        os.close(self.writer)

    def pump(self) -> bool:
        """Take in what has been printed so far, without waiting; whether there was anything."""
        got = False
        while True:
            try:
                size = os.readv(self.reader, [_ROOM])
            except BlockingIOError:
                return got
            got = True
            self._take(_ROOM[:size])
            if size < _CHUNK // 2:
                return got

    def _take(self, data: memoryview) -> None:
        self._total += len(data)
        if self.sink is not None:
            self.sink.write(data)
        if room := KEPT - len(self._head):
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data[-KEPT:]
            if len(self._tail) > 4 * KEPT:
                del self._tail[:-KEPT]

    def news(self) -> Stream | None:
        """What the running job has printed so far; None if that was told before."""
        if self._total == self._told:
            return None
        self._told = self._total
        return Stream(bytes(self._head), bytes(self._tail[-KEPT:]), self._total)

    def take(self) -> Stream | None:
        """The whole of what the ended job printed, None for nothing; the capture is empty afterwards."""
        while self._ready.poll(0) and self.pump():
            pass
        if not self._total:
            return None
        stream = Stream(bytes(self._head), bytes(self._tail[-KEPT:]), self._total)
        self._head.clear()
        self._tail.clear()
        self._total = self._told = 0
        return stream

    def reset(self) -> None:
        """Make writers wait for room again: a job that set O_NONBLOCK has set it for all who will hold this pipe."""
        os.set_blocking(self.writer, True)


class Filed:
    """One stream that goes to a file, not to a pipe: what the job leaves behind may print there when nobody reads.

    The file is open for reading and appending; ``sink`` is what closes it.
    """

    def __init__(self, fd: int, sink: Sink) -> None:
        self.writer = fd
        self.sink: Sink | None = sink
        self._told = 0

    def news(self) -> Stream | None:
        """What the running job has printed so far; None if that was told before."""
        total = os.fstat(self.writer).st_size
        if total == self._told:
            return None
        self._told = total
        return read_kept(self.writer)

    def take(self) -> Stream | None:
        """The whole of what was printed until now, None for nothing."""
        return read_kept(self.writer)


Output = Capture | Filed  #: where one stream of an attempt goes


def read_kept(fd: int) -> Stream | None:
    """What an open file has of a stream, as much as is kept of it; None for nothing, and for what is not a file."""
    facts = os.fstat(fd)
    total = facts.st_size
    if not total or not stat.S_ISREG(facts.st_mode):
        return None
    head = os.pread(fd, KEPT, 0)
    return Stream(head, os.pread(fd, KEPT, max(len(head), total - KEPT)), total)
