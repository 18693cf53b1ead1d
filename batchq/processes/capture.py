"""The output of a job, in bounded memory: the first and the last bytes of a stream, and their total number."""

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
# One buffer for all reads: to allocate that much for each, and free most of it, fragments the memory of a long run.
_ROOM = memoryview(bytearray(_CHUNK))


class Sink(Protocol):
    """A receiver of everything that is printed."""

    def write(self, stream: str, data: memoryview) -> None:
        """Write what was printed to ``stream``, or drop it: raises nothing."""

    def close(self) -> None:
        """Close it after the last write."""

    def discard(self) -> None:
        """Close it, because nothing will be written."""


class Capture:
    """One stream of one slot: a pipe that is reused for the next job while no process of an earlier job holds it.

    ``stream`` is ``stdout`` or ``stderr``; ``sinks`` receive all that it captures.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        # Most commands print nothing, and a poll takes a third of the time of a read that finds nothing.
        self._ready = select.poll()
        self._ready.register(self.reader, select.POLLIN)
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._reported = 0
        self.sinks: tuple[Sink, ...] = ()

    def close(self) -> None:
        """Close both ends."""
        os.close(self.reader)
        os.close(self.writer)

    def pump(self) -> bool:
        """Read what has been printed so far, without waiting; return whether there was anything."""
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
        for sink in self.sinks:
            sink.write(self.stream, data)
        if room := KEPT - len(self._head):
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data[-KEPT:]
            if len(self._tail) > 4 * KEPT:
                del self._tail[:-KEPT]

    def news(self) -> Stream | None:
        """Return what the running job has printed so far; None if nothing is new."""
        if self._total == self._reported:
            return None
        self._reported = self._total
        return Stream(bytes(self._head), bytes(self._tail[-KEPT:]), self._total)

    def take(self) -> Stream | None:
        """Return all output of the ended job, None for nothing; the capture is empty afterwards."""
        while self._ready.poll(0) and self.pump():
            pass
        if not self._total:
            return None
        stream = Stream(bytes(self._head), bytes(self._tail[-KEPT:]), self._total)
        self._head.clear()
        self._tail.clear()
        self._total = self._reported = 0
        return stream

    def reset(self) -> None:
        """Make writers block again: a job that set O_NONBLOCK has set it for all later holders of this pipe."""
        os.set_blocking(self.writer, True)


class Filed:
    """One stream that goes to a file, not to a pipe: leftovers may print there when nobody reads any more.

    The file is open for reading and appending; the first of the ``sinks`` closes it.
    """

    def __init__(self, stream: str, fd: int, sink: Sink) -> None:
        self.stream = stream
        self.writer = fd
        self.sinks: tuple[Sink, ...] = (sink,)
        self._reported = self._read = 0

    def news(self) -> Stream | None:
        """Return what the running job has printed so far; None if nothing is new."""
        self._pass_on()
        total = os.fstat(self.writer).st_size
        if total == self._reported:
            return None
        self._reported = total
        return read_kept(self.writer)

    def take(self) -> Stream | None:
        """Return everything printed so far, None for nothing."""
        self._pass_on()
        return read_kept(self.writer)

    def _pass_on(self) -> None:
        """Pass what was printed since the last call to the sinks after the first."""
        while self.sinks[1:] and (size := os.preadv(self.writer, [_ROOM], self._read)):
            self._read += size
            for sink in self.sinks[1:]:
                sink.write(self.stream, _ROOM[:size])


Output = Capture | Filed  #: where one stream of an attempt goes


def read_kept(fd: int) -> Stream | None:
    """Read the kept part of a stream from an open file; None if it is empty or not a file."""
    facts = os.fstat(fd)
    total = facts.st_size
    if not total or not stat.S_ISREG(facts.st_mode):
        return None
    head = os.pread(fd, KEPT, 0)
    return Stream(head, os.pread(fd, KEPT, max(len(head), total - KEPT)), total)
