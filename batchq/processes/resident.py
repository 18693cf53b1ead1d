"""The runner's side of a worker: a resident child process that performs callables, one after the other."""

import os
import socket
import sys
from typing import NamedTuple

from batchq.processes import worker
from batchq.processes.spawn import Refusal, Spawner, machine_refusal

_BUFFER = 1024 * 1024  #: bytes of answers that a worker can leave without the runner looking


class Answer(NamedTuple):
    """How one task ended: the fields of ``worker.ANSWER``, decoded as far as every reader needs it."""

    kind: str
    ended_at: int
    seconds: float
    cpu: float
    peak: int | None
    exit_code: int | None
    leftovers: int
    output: str
    value: str


class Resident:
    """One worker process. It serves one folder and one PATH (``home``), so two projects' modules of one name never meet."""

    def __init__(self, pid: int, channel: socket.socket, bell: int, home: tuple[str, str]) -> None:
        self.pid = pid
        self.home = home
        self.bell = bell
        self._channel = channel
        self._unread = b""

    @classmethod
    def start(cls, spawner: Spawner, home: tuple[str, str], cookie: str, out: int, err: int) -> "Resident | Refusal":
        """Start a worker whose output goes to ``out`` and ``err``; ``bell`` is the descriptor to watch."""
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
        words = [sys.executable, "-P", worker.__file__]
        environment = spawner.environment(path, {}, {"BATCHQ_RUNNER": cookie})
        pid = spawner.spawn(words, environment, cwd, out, err, channels=(theirs.fileno(), rope))
        theirs.close()
        os.close(rope)
        if isinstance(pid, Refusal):
            ours.close()
            os.close(bell)
            return pid
        return cls(pid, ours, bell, home)

    def send(self, message: str) -> None:
        """Hand over a message. A worker that is gone takes it to its grave: its end is noticed when it is reaped."""
        data = message.encode()
        try:
            self._channel.sendall(len(data).to_bytes(4, "little") + data)
        except OSError:
            return

    def answers(self) -> list[Answer]:
        """The answers that have come, without waiting for more."""
        try:
            while os.read(self.bell, 4096):
                pass
        except BlockingIOError:
            pass
        parts = [self._unread]
        try:
            while data := self._channel.recv(256 * 1024, socket.MSG_DONTWAIT):
                parts.append(data)
        except (BlockingIOError, ConnectionResetError):
            pass
        *lines, self._unread = b"".join(parts).split(b"\n")
        return [_decoded(line) for line in lines]

    def close(self) -> None:
        """Let the worker end: it sees the closed socket."""
        self._channel.close()
        os.close(self.bell)


def _decoded(line: bytes) -> Answer:
    kind, ended_at, seconds, cpu, peak, code, leftovers, output, value = line.decode().split("\t")
    return Answer(
        kind,
        int(ended_at),
        float(seconds),
        float(cpu),
        int(peak) if peak else None,
        int(code) if code else None,
        int(leftovers),
        output,
        value,
    )
