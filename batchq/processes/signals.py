"""Signals to the runner: handlers only record the number and wake the loop."""

import contextlib
import os
import select
import signal
import sys
import time

GUARDIAN_DIED = signal.SIGUSR2  #: the death signal of the runner: its guardian is gone
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPING_NOW = (signal.SIGQUIT, GUARDIAN_DIED)
SAME = 0.5  #: seconds within which a repeated signal counts once: one stop may arrive in several ways
LATE = 10.0  #: seconds within which a signal that a runner received straight may also come from its guardian
FORWARDED = (
    *STOPPING,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGTSTP,
)  #: the signals that a guardian forwards to its runner
#: Forwarded signals come as real-time signals, so that the runner can distinguish them from those sent to everybody.
_RELAY = int(signal.SIGRTMIN) if sys.platform == "linux" else 0


def relayed(number: int) -> int:
    """Return the signal as which a guardian forwards ``number`` to its runner."""
    return number + _RELAY


def kind_of(number: int) -> int:
    """Return the signal as which it counts: HUP as TERM, because systemd (SendSIGHUP) and a logout send both for a stop."""
    return int(signal.SIGTERM) if number == signal.SIGHUP else number


def end_by_signal(number: int) -> None:
    """End this process by a signal, as shells expect of an interrupted process; returns if it is immune (init)."""
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)


class Inbox:
    """The signals that came in since the start, and a file descriptor that becomes readable with each of them.

    ``listen`` lets it become readable with another descriptor too, if the system can do that (epoll, Linux). Then
    ``was_notified`` is whether that one was readable when the inbox was last drained; its reader resets it.

    One stop may arrive in several ways: from the guardian, and directly from a service manager that signals all processes
    of a run and its jobs. ``received`` has it once; ``for_all`` are the signals that came directly.

    A signal that was ignored when the process started (nohup, a shell's ``&``) stays ignored. One that was blocked is
    received from now on.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self.for_all: set[int] = set()
        self.was_notified = False
        self._counted: dict[int, tuple[float, bool]] = {}
        self._half: dict[int, tuple[float, bool]] = {}  # those counted whose other half has not come
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
        self._both = select.epoll() if hasattr(select, "epoll") else None
        self._heard: list[int] = []
        if self._both is not None:
            self._both.register(self._read, select.EPOLLIN)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        for number in (*FORWARDED, GUARDIAN_DIED):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note_straight)
                if _RELAY and number != GUARDIAN_DIED:
                    signal.signal(relayed(number), self._note_relayed)
        if _RELAY and signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
            signal.signal(signal.SIGTSTP, _nothing)  # the guardian handles it, and continues both
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._read if self._both is None else self._both.fileno()

    def listen(self, fd: int) -> None:
        """Become readable when ``fd`` does, too; the caller must read it empty."""
        if self._both is not None:
            self._both.register(fd, select.EPOLLIN)
            self._heard.append(fd)

    def stop_listening(self) -> None:
        """Watch nothing but signals from now on: what nobody reads any more would end each wait at once."""
        while self._both is not None and self._heard:
            self._both.unregister(self._heard.pop())

    def drain(self) -> None:
        """Empty the descriptor; the recorded signals stay."""
        ready = [self._read] if self._both is None else [fd for fd, _ in self._both.poll(0)]
        self.was_notified = self.was_notified or any(fd != self._read for fd in ready)
        if self._read in ready:
            with contextlib.suppress(BlockingIOError):
                while len(os.read(self._read, 4096)) == 4096:
                    pass

    def _note_relayed(self, number: int, _frame: object) -> None:
        self._note(number - _RELAY, is_straight=False)

    def _note_straight(self, number: int, _frame: object) -> None:
        if _RELAY and number in STOPPING:
            self.for_all.add(number)
        self._note(number, is_straight=True)

    def _note(self, number: int, *, is_straight: bool) -> None:
        now, kind = time.monotonic(), kind_of(number)
        at, was_straight = self._half.get(kind, (-LATE, is_straight))
        if was_straight != is_straight and now - at < LATE:
            del self._half[kind]  # on a busy machine one half may come long after the other
            return
        # Two from the guardian count twice: it has dropped repetitions. They may arrive late, and so close together.
        at, was_straight = self._counted.get(kind, (-SAME, False))
        if now - at >= SAME or not (is_straight or was_straight):
            self._counted[kind] = self._half[kind] = now, is_straight
            self.received.append(number)


def _nothing(_number: int, _frame: object) -> None:
    """Do nothing for a signal that only wakes the loop: without a handler, SIGCHLD would not write to the descriptor."""


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write
