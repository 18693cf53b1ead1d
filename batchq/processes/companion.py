"""A companion: a process that this one starts by exec and speaks to through a link (a site, or what leads to one)."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Collection, Sequence

from batchq.processes.link import Link
from batchq.processes.spawn import OF_A_JOB, Refusal

KILLED = 2.0  #: seconds after SIGKILL in which a process ends, unless it hangs in a system call
_TICK = 0.005  #: seconds between checks whether it has ended


class Companion:
    """A child process with its link. ``pid`` leads its own session, so a signal from the terminal does not reach it.

    ``code`` is its exit code once it has ended, negative for a signal, None if that is unknown.
    """

    def __init__(self, pid: int, link: Link) -> None:
        self.pid = pid
        self.link = link
        self.code: int | None = None
        self._has_ended = False
        self._kill_at = float("inf")

    @classmethod
    def start(cls, words: Sequence[str], without: Collection[str] = ()) -> "Companion | Refusal":
        """Start a program whose stdin and stdout are the link; return why, if that is not possible.

        It has the environment of this process ``without`` these variables, and without what describes a job.
        """
        variables = {name: value for name, value in os.environ.items() if name not in OF_A_JOB and name not in without}
        ours, theirs = socket.socketpair()
        with ours, theirs:
            inside = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0), (os.POSIX_SPAWN_DUP2, theirs.fileno(), 1)]
            try:
                pid = os.posix_spawnp(
                    words[0],
                    [*words],
                    variables,
                    file_actions=inside,
                    setsid=True,
                    setsigmask=(),
                    setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT],
                )
            except OSError as error:
                return Refusal("NoSuchProgram", f"cannot start {words[0]}: {error.strerror}")
            end = ours.detach()
        return cls(pid, Link(end, end))

    def part(self, patience: float) -> None:
        """Close the link; the process has ``patience`` seconds to end."""
        self.link.close()
        self._kill_at = time.monotonic() + patience

    def has_gone(self) -> bool:
        """Whether the process has ended after ``part``; kills it and the rest of its session when its time is over."""
        if not self.has_ended() and time.monotonic() >= self._kill_at:
            self._kill_at = float("inf")
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        return self.has_ended()

    def end(self, patience: float) -> None:
        """Close the link, wait ``patience`` seconds for the end, then kill the process and the rest of its session.

        One that hangs in a system call survives even that for a while, and is left.
        """
        self.part(patience)
        until = self._kill_at + KILLED
        while not self.has_gone() and time.monotonic() < until:
            time.sleep(_TICK)

    def has_ended(self) -> bool:
        """Whether the process has ended; it is then reaped."""
        if not self._has_ended:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid == self.pid:
                    self._has_ended, self.code = True, os.waitstatus_to_exitcode(status)
            except ChildProcessError:  # somebody else has reaped it
                self._has_ended = True
        return self._has_ended
