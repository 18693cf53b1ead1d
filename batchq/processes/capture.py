"""The output of an attempt, in bounded memory: of each stream the first and the last bytes, and their total number."""

import os
import select
import stat
import sys
import time

from batchq.jobs.attempt import KEPT, SILENCE, Printout, Stream, ends_of
from batchq.processes.pipe import ROOM, Pipe
from batchq.processes.turns import Turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

_NEWS = 1024 * 1024  #: bytes of a running job that are reported in a second: each report has all that is kept


class Sink(Protocol):
    """A receiver of everything that is printed."""

    def write(self, stream: str, data: memoryview) -> None:
        """Write what was printed to ``stream``, or drop it: raises nothing."""

    def close(self) -> None:
        """Close it after the last write."""

    def discard(self) -> None:
        """Close it, because nothing will be written."""


class Piped:
    """The two pipes of one slot, reused for the next job while no process of an earlier job holds them.

    ``sinks`` receive all that is captured. ``readers`` are the descriptors to watch: when one is readable, ``pump`` reads.
    If it ``knows_first``, for which it needs one more descriptor, it reads the pipe first that was printed to first.
    """

    def __init__(self, *, knows_first: bool = False) -> None:
        self.sinks: tuple[Sink, ...] = ()
        self._kept = KEPT
        self._quiet_until = 0.0
        self._turns = Turns(*ends_of(KEPT))
        self._epoll: select.epoll | None = None
        out = Pipe(self.note, "stdout")
        try:
            self.pipes = out, Pipe(self.note, "stderr")
        except OSError:
            out.close()
            raise
        # Most commands print nothing, and a poll takes a third of the time of a read that finds nothing.
        self.readers = [pipe.reader for pipe in self.pipes]
        ready: select.poll | select.epoll = select.poll()
        if sys.platform == "linux" and knows_first:
            try:
                ready = self._epoll = select.epoll()  # which returns them in the order in which they became readable
            except OSError:
                self.close()
                raise
        for reader in self.readers:
            ready.register(reader, select.POLLIN)
        if self._epoll is not None:
            self.readers = [self._epoll.fileno()]
        self._ready = ready

    def writers(self) -> tuple[int, int]:
        """Return the descriptors to print to."""
        return self.pipes[0].writer, self.pipes[1].writer

    def begin(self, kept: int) -> None:
        """Keep that many bytes of each stream of the next attempt."""
        if kept != self._kept:
            self._kept = kept
            self._turns = Turns(*ends_of(kept))
            for pipe in self.pipes:
                pipe.keep(*ends_of(kept))

    def note(self, stream: str, data: memoryview) -> None:
        """Note which stream these bytes came from, and pass them on."""
        self._turns.add(len(data), is_stderr=stream == "stderr")
        for sink in self.sinks:
            sink.write(stream, data)

    def news(self) -> Printout | None:
        """Return what the running job has printed so far, by stream None if nothing is new; None if nothing is at all.

        After much output nothing is new for a while.
        """
        if time.monotonic() < self._quiet_until:
            return None
        out, err = self.pipes[0].news(), self.pipes[1].news()
        if out is None and err is None:
            return None
        self._quiet_until = _next_news(out, err)
        return Printout(out, err, self._turns.text())

    def pump(self) -> bool:
        """Read what has been printed so far, without waiting, the pipe first that was first to be readable; return whether
        there was anything."""
        got = False
        for fd, _ in self._ready.poll(0):
            got = self.pipes[fd != self.pipes[0].reader].pump() or got
        if got:
            self._ready.poll(0)  # it must find the pipes empty to know which is first next time
        return got

    def take(self) -> Printout:
        """Return all output of the ended job; nothing is kept afterwards."""
        while self.pump():
            pass
        out, err = self.pipes[0].take(), self.pipes[1].take()
        if out is None and err is None:
            return SILENCE
        turns = None if out is None or err is None else self._turns.text()
        self._turns.clear()
        self._quiet_until = 0.0
        return Printout(out, err, turns)

    def reset(self) -> None:
        """Make writers block again: a job that set O_NONBLOCK has set it for all later holders of this pipe."""
        for pipe in self.pipes:
            os.set_blocking(pipe.writer, True)

    def close(self) -> None:
        """Close the pipes."""
        if self._epoll is not None:
            self._epoll.close()
        for pipe in self.pipes:
            pipe.close()


class Filed:
    """The output of a job that goes to files, not to pipes: leftovers may print there when nobody reads any more.

    ``files`` are open for reading and appending, by stream; both streams may share one. ``sinks`` close them; those that
    come later receive all that is printed there.
    """

    def __init__(self, files: dict[str, int], sinks: tuple[Sink, ...]) -> None:
        self.sinks = sinks
        self._files = files
        self._closers = len(sinks)
        self._kept = KEPT
        self._quiet_until = 0.0
        self._passed_on = dict.fromkeys(files, 0)
        self._reported = dict.fromkeys(files, 0)

    def writers(self) -> tuple[int, int]:
        """Return the descriptors to print to."""
        out = self._files["stdout"]
        return out, self._files.get("stderr", out)

    def begin(self, kept: int) -> None:
        """Keep that many bytes of each stream."""
        self._kept = kept

    def news(self) -> Printout | None:
        """Return what the running job has printed so far, as ``Piped.news`` does."""
        self._pass_on()
        if time.monotonic() < self._quiet_until:
            return None
        news = {stream: self._news(stream, fd) for stream, fd in self._files.items()}
        if not any(news.values()):
            return None
        self._quiet_until = _next_news(*news.values())
        return Printout(news["stdout"], news.get("stderr"))

    def _news(self, stream: str, fd: int) -> Stream | None:
        total = os.fstat(fd).st_size
        if total == self._reported[stream]:
            return None
        self._reported[stream] = total
        return read_kept(fd, self._kept)

    def take(self) -> Printout:
        """Return everything printed so far."""
        self._pass_on()
        found = {stream: read_kept(fd, self._kept) for stream, fd in self._files.items()}
        return Printout(found["stdout"], found.get("stderr"))

    def _pass_on(self) -> None:
        """Pass what was printed since the last call to the sinks that do not have it anyway."""
        for stream, fd in self._files.items() if len(self.sinks) > self._closers else ():
            while size := os.preadv(fd, [ROOM], self._passed_on[stream]):
                self._passed_on[stream] += size
                for sink in self.sinks[self._closers :]:
                    sink.write(stream, ROOM[:size])


Output = Piped | Filed  #: where the output of an attempt goes


def _next_news(*streams: Stream | None) -> float:
    """Return when (monotonic seconds) these streams may be reported again."""
    return time.monotonic() + sum(len(one.head) + len(one.tail) for one in streams if one is not None) / _NEWS


def read_kept(fd: int, kept: int) -> Stream | None:
    """Read the kept part of a stream from an open file; None if it is empty or not a file."""
    facts = os.fstat(fd)
    total = facts.st_size
    if not total or not stat.S_ISREG(facts.st_mode):
        return None
    of_head, of_tail = ends_of(kept)
    head = os.pread(fd, of_head, 0)
    return Stream(head, os.pread(fd, of_tail, max(len(head), total - of_tail)), total)
