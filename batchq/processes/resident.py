"""The runner's side of a worker: a resident child process that performs callables one after another."""

import contextlib
import fcntl
import os
import signal
import sys

from batchq.jobs.attempt import MACHINE_BUSY, Stream
from batchq.named import NamedTuple
from batchq.processes.capture import read_kept
from batchq.processes.package import Package
from batchq.processes.spawn import Refusal, Spawner, machine_refusal
from batchq.processes.unnamed import unnamed_file
from batchq.processes.worker.wire import ANSWER, ARCHIVE, LAST, PHASE, START, may_be_answer

_ROOM = memoryview(bytearray(64 * 1024))  # as in capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Answer = tuple[tuple[Any, ...], str, str]  # the fields of ``wire.ANSWER`` and the two texts after them


class Home(NamedTuple):
    """What a worker has from its start: its folder, its PATH, its Python (None: that of the run), and variables."""

    cwd: str
    path: str
    python: str | None
    variables: tuple[tuple[str, str], ...]


class Resident:
    """One worker process. It serves one ``home``, so two projects' modules of one name never meet.

    Tasks and answers go through pipes: reading many small answers from a pipe costs a tenth of reading them from a socket.
    ``is_leaving``: it has sent its last answer, and will begin none of its other tasks. ``imports`` is the module that it
    imports now, or is empty. ``has_reported``: code of a job may have run in it. ``is_outlasting``: it was started from the
    files of batchq that the run has kept. ``is_garbled``: it sent something that was not an answer, so it was killed.
    """

    def __init__(
        self, pid: int, channels: tuple[int, int, int], home: Home, spill: tuple[int, int], *, is_outlasting: bool
    ) -> None:
        self.pid = pid
        self.home = home
        self._tasks, self._answers, self.bell = channels
        self.is_leaving = self.is_garbled = self.is_reaped = False
        self.imports = ""
        self.has_reported = False
        self.is_outlasting = is_outlasting
        self._spill = spill
        self._unsent = bytearray()
        self._unread = b""

    @classmethod
    def start(
        cls, spawner: Spawner, package: Package, home: Home, cookie: str, out: int, err: int
    ) -> "Resident | Refusal":
        """Start a worker whose output goes to ``out`` and ``err``, or to files in memory.

        ``bell`` is the descriptor to watch.
        """
        ends: list[int] = []
        is_outlasting = package.is_replaced
        try:
            kept = (package.archive(),) if is_outlasting else ()
            for _ in range(3):
                ends += os.pipe()
            for name in ("out", "err"):
                ends.append(unnamed_file(name))
                fcntl.fcntl(ends[-1], fcntl.F_SETFL, os.O_APPEND)
        except OSError as error:
            _close(*ends)
            return machine_refusal(error)
        task, tasks, answers, answer, bell, rope, *files = ends
        for end in (tasks, answers, answer, bell):
            os.set_blocking(end, False)
        words = [home.python or sys.executable, "-P", "-c", START, ARCHIVE if is_outlasting else package.root]
        environment = spawner.environment(home.path, home.cwd, dict(home.variables), {"BATCHQ_RUNNER": cookie})
        channels = (task, answer, rope, *files, *kept)
        pid = spawner.spawn(words, environment, home.cwd, out, err, mark=cookie, channels=channels)
        _close(task, answer, rope)
        if isinstance(pid, Refusal):
            _close(tasks, answers, bell, *files)
            return _without_python(pid, words[0])
        return cls(pid, (tasks, answers, bell), home, (files[0], files[1]), is_outlasting=is_outlasting)

    def fileno(self) -> int:
        """The descriptor on which to wait until ``push`` can go on."""
        return self._tasks

    def send(self, message: str) -> None:
        """Send a message, as much as the pipe takes; ``push`` sends the rest."""
        data = message.encode()
        self._unsent += len(data).to_bytes(4, "little") + data
        self.push()

    def push(self) -> bool:
        """Send what the pipe takes now; return whether that was all. If the worker has died, drop the rest."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self._tasks, self._unsent)]
        except BlockingIOError:
            return False
        except OSError:
            self._unsent.clear()
        return True

    def answers(self) -> "list[Answer]":
        """Read the answers that have come, without waiting for more.

        After one that cannot be read nothing counts: until the kill takes effect the worker goes on, and its next
        answers, which are whole, would be taken for those of the tasks before.
        """
        with contextlib.suppress(BlockingIOError):
            while os.read(self.bell, 4096):
                pass
        parts = [self._unread]
        with contextlib.suppress(BlockingIOError):
            while size := os.readv(self._answers, [_ROOM]):
                parts.append(bytes(_ROOM[:size]))
        data = b"".join(parts)
        self.has_reported = self.has_reported or bool(data)
        answers: list[Answer] = []
        at = 0
        while len(data) - at >= ANSWER.size and not self.is_garbled:
            fields = ANSWER.unpack_from(data, at)
            if not may_be_answer(fields):
                self._kill()
                break
            output = at + ANSWER.size
            text = output + fields[-2]
            end = text + fields[-1]
            if end > len(data):
                break
            if fields[0] == LAST:
                self.is_leaving = True
            elif fields[0] == PHASE:
                self.imports = data[text:end].decode()
            else:
                answers.append((fields, data[output:text].decode(), data[text:end].decode()))
            at = end
        self._unread = b"" if self.is_garbled else data[at:]
        return answers

    def _kill(self) -> None:
        """Kill the worker, because a callable has written where only its worker may: no answer can be trusted."""
        self.is_garbled = True
        if not self.is_reaped:
            os.kill(self.pid, signal.SIGKILL)

    def spilled(self, kept: int) -> tuple[Stream | None, Stream | None]:
        """Return what the running task has printed to the files so far, at most ``kept`` bytes of each."""
        out, err = self._spill
        return read_kept(out, kept), read_kept(err, kept)

    def close(self) -> None:
        """Let the worker end: it sees the closed pipe."""
        _close(self._tasks, self._answers, self.bell, *self._spill)


def _without_python(refusal: Refusal, python: str) -> Refusal:
    """Make a refusal that blames the machine, not the job, if the run's own Python was removed."""
    if refusal.of_machine or refusal.type == "NoSuchFolder":
        return refusal
    if python == sys.executable:
        return Refusal(MACHINE_BUSY, f"cannot start the Python of this run: {refusal.message}", of_machine=True)
    missing = python if refusal.type in ("NoSuchProgram", "NotExecutable") else ""
    return refusal._replace(message=f"its Python: {refusal.message}", missing=missing)


def _close(*descriptors: int) -> None:
    for fd in descriptors:
        os.close(fd)
