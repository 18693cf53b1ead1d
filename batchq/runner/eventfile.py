"""The handler behind ``--events``: one JSON object a line, to a file, a pipe or stdout; the run never waits for it."""

import fcntl
import os
import select
import stat
import struct
import sys
import termios
import time

from batchq import clock
from batchq.events import Event
from batchq.jobs.asciijson import dump
from batchq.notes import note

BUFFER = 16 * 1024 * 1024  #: bytes kept for a slow reader; events beyond that are lost
PATIENCE = 1.0  #: seconds without progress after which the end of a run no longer waits for its reader
MOST_PATIENCE = 5.0  #: seconds that it waits at most, for a slow reader
_FLAGS = os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_LINKS = 40  #: longest chain of links that is followed (as in Linux)


class EventFile:
    """Writes each event as one line; ``-`` is stdout.

    Bytes that are not UTF-8 are written as ``\\\\xff``. It never waits for a pipe: what does not fit is kept, up to a
    limit, and lost beyond that, with one warning. Raises OSError if the file cannot be opened, or if it, or a link to
    it, belongs to another user.
    """

    def __init__(self, path: str) -> None:
        self._name = f"--events {path}"
        self._keeper: int | None = None  # our own reading end: a pipe without a reader cannot be written
        self._fd = _stdout() if path == "-" else self._open(path)
        is_file = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._most = BUFFER if is_file else select.PIPE_BUF  # a pipe that is writable takes this much at once
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        self._waiting = bytearray()
        self._lost = 0
        self._is_broken = False

    def __call__(self, event: Event) -> None:
        """Write one line after those that wait, as far as possible without blocking."""
        if self._is_broken:
            return
        line = dump(_facts(event), tight=True).encode() + b"\n"
        if len(self._waiting) + len(line) > BUFFER:
            self._lost += 1
            if self._lost == 1:
                note(f"{self._name}: the events are not read fast enough; some are lost")
        else:
            self._waiting += line
        self.push(is_last=event.name == "run.stop")

    def push(self, *, is_last: bool = False) -> None:
        """Write waiting lines as far as possible without blocking; the ``is_last`` call gives the reader a moment."""
        if self._is_broken:
            return
        try:
            self._push(0)
            if is_last:
                self._end()
        except OSError as error:
            self._is_broken = True
            note(f"{self._name}: events can no longer be written: {error.strerror}")

    def _open(self, path: str) -> int:
        flags = _FLAGS | (0 if _is_trusted_link(path) else os.O_NOFOLLOW)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
        except OSError:
            if not stat.S_ISFIFO(os.stat(path).st_mode):
                raise
            self._keeper = os.open(path, os.O_RDWR | flags)
            fd = os.open(path, os.O_WRONLY | flags)
        facts = os.fstat(fd)
        if not (stat.S_ISREG(facts.st_mode) or stat.S_ISFIFO(facts.st_mode) or stat.S_ISCHR(facts.st_mode)):
            raise OSError(0, "neither a file nor a pipe")
        if not stat.S_ISCHR(facts.st_mode) and not _is_trusted(facts):
            raise _stranger()
        return fd

    def _push(self, milliseconds: float) -> None:
        """Write what fits, waiting ``milliseconds`` for the first piece; a blocking write could wait for ever."""
        while self._waiting and self._poll.poll(milliseconds):
            try:
                size = os.write(self._fd, memoryview(self._waiting)[: self._most])
            except BlockingIOError:
                return
            del self._waiting[:size]
            milliseconds = 0

    def _end(self) -> None:
        """Give the reader a moment for the rest, and report what remains unread."""
        until = time.monotonic() + MOST_PATIENCE
        before = -1
        while self._waiting and len(self._waiting) != before and time.monotonic() < until:
            before = len(self._waiting)
            self._push(PATIENCE * 1000)
        unread = len(self._waiting)
        if self._keeper is not None:
            in_pipe = struct.unpack("i", fcntl.ioctl(self._keeper, termios.FIONREAD, b"    "))[0]
            os.close(self._keeper)
            self._keeper = None
            if any(
                flags & select.POLLERR for _, flags in self._poll.poll(0)
            ):  # no other reader: the pipe's content is lost
                unread += in_pipe
        if unread or self._lost:
            lost = f" and {self._lost:,} events" if self._lost else ""
            note(f"{self._name}: {unread:,} bytes{lost} were not read when the run ended, and are lost")


def _facts(event: Event) -> dict[str, object]:
    return {
        "schema": 1,
        "event": event.name,
        "at": clock.iso(event.at),
        "job": event.job,
        "attempt": event.attempt,
        **event.measurements,
        **event.metadata,
    }


def _stdout() -> int:
    if sys.stdout is None:
        raise OSError(0, "stdout is closed")
    sys.stdout.flush()
    return sys.stdout.fileno()


def _is_trusted(facts: os.stat_result) -> bool:
    return facts.st_uid in (0, os.geteuid())


def _is_trusted_link(path: str) -> bool:
    """Whether it is a link, all of whose links are ours or root's. Raises OSError if one is another user's."""
    is_link = False
    for _ in range(_LINKS):
        try:
            facts = os.lstat(path)
        except FileNotFoundError:
            break
        if not stat.S_ISLNK(facts.st_mode):
            break
        if not _is_trusted(facts):
            raise _stranger()
        is_link = True
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return is_link


def _stranger() -> OSError:
    return OSError(0, "it belongs to another user, who could read the events")
