"""Signals as the runner hears them: handlers only note the number and wake the loop."""

import contextlib
import os
import select
import signal

GUARDIAN_DIED = signal.SIGUSR2  #: the death signal of the runner: its guardian is gone
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPING_NOW = (signal.SIGQUIT, GUARDIAN_DIED)


class Inbox:
    """The signals that came in since the start, and a file descriptor that becomes readable with each of them.

    ``listen`` lets it become readable with another descriptor, too, where the system can do that (epoll, Linux). Then
    ``heard`` is whether that one was readable when the inbox was last drained; who reads it empty sets that back.

    A signal that was ignored when the process started (nohup, a shell's ``&``) stays ignored.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self.heard = False
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
        self._both = select.epoll() if hasattr(select, "epoll") else None
        if self._both is not None:
            self._both.register(self._read, select.EPOLLIN)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        for number in (*STOPPING, *STOPPING_NOW, signal.SIGUSR1, signal.SIGTSTP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._read if self._both is None else self._both.fileno()

    def listen(self, fd: int) -> None:
        """Become readable also when ``fd`` does; whoever asked for it must read it empty."""
        if self._both is not None:
            self._both.register(fd, select.EPOLLIN)

    def drain(self) -> None:
        """Empty the descriptor; the notes stay."""
        ready = [self._read] if self._both is None else [fd for fd, _ in self._both.poll(0)]
        self.heard = self.heard or any(fd != self._read for fd in ready)
        if self._read in ready:
            with contextlib.suppress(BlockingIOError):
                while len(os.read(self._read, 4096)) == 4096:
                    pass

    def _note(self, number: int, _frame: object) -> None:
        self.received.append(number)


def _nothing(_number: int, _frame: object) -> None:
    """SIGCHLD needs a handler, or it would not write to the wake-up descriptor."""


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write
