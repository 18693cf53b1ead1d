"""The runner's side of a worker: a resident child process that performs callables, one after the other."""

import json
import socket
import sys
from typing import Any

from batchq.processes import worker
from batchq.processes.spawn import Refusal, Spawner

_MESSAGE_LIMIT = 64 * 1024 * 1024  #: a longer answer comes from no worker of ours, but from a job that found the socket


class Resident:
    """One worker process. It serves one folder and one PATH, so two projects' modules of one name never meet."""

    def __init__(self, pid: int, channel: socket.socket, home: tuple[str, str]) -> None:
        self.pid = pid
        self.home = home
        self._channel = channel
        self._buffer = bytearray()

    @classmethod
    def start(cls, spawner: Spawner, home: tuple[str, str], out: int, err: int) -> "Resident | Refusal":
        """Start a worker whose output goes to ``out`` and ``err``."""
        ours, theirs = socket.socketpair()
        cwd, path = home
        words = [sys.executable, "-P", worker.__file__]
        environment = spawner.environment(path, {}, {})
        pid = spawner.spawn(words, environment, cwd, out, err, channel=theirs.fileno())
        theirs.close()
        if isinstance(pid, Refusal):
            ours.close()
            return pid
        ours.setblocking(False)
        return cls(pid, ours, home)

    def fileno(self) -> int:
        """The socket to watch: readable when an answer, or the end, has come."""
        return self._channel.fileno()

    def send(self, task: dict[str, Any]) -> bool:
        """Hand over a task; False when the worker is gone."""
        self._channel.setblocking(True)
        try:
            worker.send(self._channel, task)
        except OSError:
            return False
        finally:
            self._channel.setblocking(False)
        return True

    def receive(self) -> dict[str, Any] | None:
        """The next answer, or None as long as it is not complete."""
        try:
            while data := self._channel.recv(256 * 1024):
                self._buffer += data
        except (BlockingIOError, ConnectionResetError):
            pass
        size = int.from_bytes(self._buffer[:4], "little")
        if len(self._buffer) < 4 + size or len(self._buffer) < 4 or size > _MESSAGE_LIMIT:
            return None
        answer: dict[str, Any] = json.loads(bytes(self._buffer[4 : 4 + size]))
        del self._buffer[: 4 + size]
        return answer

    def close(self) -> None:
        """Let the worker end: it sees the closed socket."""
        self._channel.close()
