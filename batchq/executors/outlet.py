"""A descriptor that other programs read (a terminal, a pipe, a file), written byte for byte and never waited for."""

import errno
import os
import select
import selectors
import stat
from collections.abc import Callable, Collection, Iterable

from batchq.processes.signals import Inbox

#: Bytes that are written at once where a write might wait: what a pipe takes if it takes any, and what a terminal may
_PIPE, _TERMINAL = select.PIPE_BUF, 256
_GONE = (errno.EPIPE, errno.EIO)  #: the reader has gone: it has enough, as ``head`` has, or its terminal is closed
_AGAIN = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Outlet:
    """``fd``, and the bytes that it has not taken yet; ``selector`` watches it while there are any.

    It is opened again where possible, because O_NONBLOCK on the descriptor itself would be set for all programs that share
    it. When its reader has gone, or it cannot be written (``error``), bytes are dropped. ``relax`` is called when all are
    taken.
    """

    def __init__(self, fd: int, selector: selectors.BaseSelector, relax: Callable[[], None]) -> None:
        facts = os.fstat(fd)
        self.identity = facts.st_dev, facts.st_ino
        self.waiting = bytearray()
        self.error: OSError | None = None
        self._selector = selector
        self._relax = relax
        self._is_watched = False
        self.fd, self._most = fd, _TERMINAL if os.isatty(fd) else _PIPE
        if stat.S_ISREG(facts.st_mode):
            self._most = 1 << 20
        elif stat.S_ISFIFO(facts.st_mode) or stat.S_ISCHR(facts.st_mode):
            try:
                self.fd, self._most = os.open(f"/proc/self/fd/{fd}", _AGAIN), 1 << 20
            except OSError:  # no /proc, or a terminal of another user
                pass
        self._poll = select.poll()
        self._poll.register(self.fd, select.POLLOUT)

    def write(self, data: bytes) -> None:
        """Write as much as it takes now, and keep the rest."""
        if self.error is None:
            self.waiting += data
            self.pump()

    def pump(self) -> None:
        """Write what it takes now of the waiting bytes."""
        try:
            while self.waiting and self._poll.poll(0):
                size = os.write(self.fd, memoryview(self.waiting)[: self._most])
                del self.waiting[:size]
        except BlockingIOError:
            pass
        except OSError as error:
            self.error = error
            self.waiting.clear()
        self._watch()
        if not self.waiting:
            self._relax()

    def _watch(self) -> None:
        """Let the selector, unless it has been closed, call ``pump`` when it takes more."""
        if self._selector.get_map() is None or bool(self.waiting) == self._is_watched:
            return
        self._is_watched = not self._is_watched
        if self._is_watched:
            self._selector.register(self.fd, selectors.EVENT_WRITE, self)
        else:
            self._selector.unregister(self.fd)


def drain(outlets: Collection[Outlet], inbox: Inbox) -> None:
    """Wait until their readers have taken everything, or a signal comes."""
    while not inbox.received and (waiting := [outlet for outlet in outlets if outlet.waiting]):
        poll = select.poll()
        poll.register(inbox.fileno(), select.POLLIN)
        for outlet in waiting:
            poll.register(outlet.fd, select.POLLOUT)
        poll.poll()
        inbox.drain()
        for outlet in waiting:
            outlet.pump()


def trouble(outlets: Iterable[Outlet]) -> OSError | None:
    """Why something could not be written; None if all was, or if its reader has gone."""
    errors = (outlet.error for outlet in outlets)
    return next((error for error in errors if error is not None and error.errno not in _GONE), None)
