"""The runner's side of a worker: a resident child process that performs callables, one after the other."""

import contextlib
import os
import socket
import sys
from typing import Any

from batchq.jobs.attempt import Stream
from batchq.processes.capture import read_kept
from batchq.processes.spawn import Refusal, Spawner, machine_refusal
from batchq.processes.worker import ANSWER, FAREWELL, START, spill_names

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_BUFFER = 1024 * 1024  #: bytes of answers that a worker can leave without the runner looking
_ROOM = memoryview(bytearray(64 * 1024))  # as in capture

Answer = tuple[tuple[Any, ...], str, str]  #: the fields of ``worker.ANSWER`` and the two texts behind them


class Resident:
    """One worker process. It serves one folder and one PATH (``home``), so two projects' modules of one name never meet.

    ``is_leaving``: it said farewell, and none of the tasks that it still has will begin.
    """

    def __init__(self, pid: int, channel: socket.socket, bell: int, home: tuple[str, str], spill: str) -> None:
        self.pid = pid
        self.home = home
        self.bell = bell
        self.is_leaving = False
        self._channel = channel
        self._spill = spill
        self._unsent = b""
        self._unread = b""

    @classmethod
    def start(
        cls, spawner: Spawner, home: tuple[str, str], cookie: str, out: int, err: int, spill: str
    ) -> "Resident | Refusal":
        """Start a worker whose output goes to ``out`` and ``err``, or to files that begin with ``spill``.

        ``bell`` is the descriptor to watch.
        """
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            return machine_refusal(error)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        try:
            bell, rope = os.pipe()
        except OSError as error:
            ours.close()
            theirs.close()
            return machine_refusal(error)
        os.set_blocking(bell, False)
        cwd, path = home
        words = [sys.executable, "-P", "-c", START, _ROOT, spill]
        environment = spawner.environment(path, {}, {"BATCHQ_RUNNER": cookie})
        pid = spawner.spawn(words, environment, cwd, out, err, channels=(theirs.fileno(), rope))
        theirs.close()
        os.close(rope)
        if isinstance(pid, Refusal):
            ours.close()
            os.close(bell)
            return pid
        return cls(pid, ours, bell, home, spill)

    def fileno(self) -> int:
        """The descriptor on which to wait until ``push`` can go on."""
        return self._channel.fileno()

    def send(self, message: str) -> None:
        """Hand over a message, as much as there is room for; ``push`` hands over the rest."""
        data = message.encode()
        self._unsent += len(data).to_bytes(4, "little") + data
        self.push()

    def push(self) -> bool:
        """Send what has room now; whether that was all. A worker that is gone takes it to its grave: it will be reaped."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._channel.send(self._unsent, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return False
        except OSError:
            self._unsent = b""
        return True

    def answers(self) -> list[Answer]:
        """The answers that have come, without waiting for more."""
        try:
            while os.read(self.bell, 4096):
                pass
        except BlockingIOError:
            pass
        parts = [self._unread]
        try:
            while size := self._channel.recv_into(_ROOM, 0, socket.MSG_DONTWAIT):
                parts.append(bytes(_ROOM[:size]))
        except (BlockingIOError, ConnectionResetError):
            pass
        data = b"".join(parts)
        answers: list[Answer] = []
        at = 0
        while len(data) - at >= ANSWER.size:
            fields = ANSWER.unpack_from(data, at)
            output = at + ANSWER.size
            text = output + fields[-2]
            end = text + fields[-1]
            if end > len(data):
                break
            if fields[0] == FAREWELL:
                self.is_leaving = True
            else:
                answers.append((fields, data[output:text].decode(), data[text:end].decode()))
            at = end
        self._unread = data[at:]
        return answers

    def spilled(self) -> tuple[Stream | None, Stream | None]:
        """What the running task has printed to the files so far."""
        out, err = spill_names(self._spill)
        return read_kept(out), read_kept(err)

    def close(self) -> None:
        """Let the worker end: it sees the closed socket."""
        self._channel.close()
        os.close(self.bell)
        for name in spill_names(self._spill):
            with contextlib.suppress(OSError):
                os.unlink(name)
