"""The messenger of a run: a child of its guardian that waits for messages and delivers them, within a bound.

It is forked before the run, so it has nothing of the store open. The run writes messages into a pipe and never waits for
it. After the run, and after everything the run started has ended, the guardian waits for it: for ``BOUND`` seconds, or
until a signal asks it to stop. Then the messenger and all that it started are killed.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from batchq.processes import proc, tree
from batchq.processes.signals import SAME, STOPPING

BOUND = 30.0  #: seconds that the end of a run may wait for its messenger
_TICK = 0.02
_NOTICE = 1.0  #: seconds of waiting after which a person is told
_DELIVERED, _FAILED, _SILENT = b"+", b"-", b""


class Messages:
    """What the run and its guardian have written, one by one; it ends when both have closed their end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: list[bytes] = []  # read, and not yet given out

    def __iter__(self) -> Iterator[dict[str, Any]]:
        left = b""
        while part := os.read(self._fd, 65536):
            *lines, left = (left + part).split(b"\n")
            self._lines += [line for line in lines if line]
            while self._lines:
                with contextlib.suppress(ValueError):  # half a line: its writer was killed
                    yield json.loads(self._lines.pop(0))

    def has_more(self) -> bool:
        """Whether the next message has come, or the end."""
        return bool(self._lines or select.select([self._fd], [], [], 0)[0])


class Messenger:
    """``deliver(messages)`` runs in the child, and returns "" for a success, None for nothing, or why it failed.

    ``release()`` is called in the child first: it closes what must not stay open because of it.
    """

    def __init__(self, deliver: Callable[[Messages], str | None], release: Callable[[], None]) -> None:
        read, self._write = os.pipe()
        self._answer, answer = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._write)
                os.close(self._answer)
                _be_alone(parent, release)
                found = deliver(Messages(read))
                os.write(answer, _SILENT if found is None else (_FAILED + found.encode() if found else _DELIVERED))
                os.close(answer)
                _wait_for_leftovers()
            except BaseException as error:
                with contextlib.suppress(OSError):
                    os.write(answer, _FAILED + f"{type(error).__name__}: {error}".encode())
            finally:
                os._exit(0)
        os.close(read)
        os.close(answer)
        os.set_blocking(self._write, False)

    def send(self, message: dict[str, Any]) -> None:
        """Pass a message on; nothing happens if the messenger is gone or does not read."""
        with contextlib.suppress(OSError):
            os.write(self._write, b"\n" + json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        """Close the pipes without any further message."""
        os.close(self._write)

    def finish(
        self, message: dict[str, Any], waits: Callable[[], None] = lambda: None, *, bound: float = BOUND
    ) -> str | None:
        """Send the last message and wait; return "" after a success, None if there was nothing to send, or why it failed.

        ``waits()`` is called once if that takes long. Signals that ask the run to stop must be blocked; those that come
        in the first half second belong to the stop that ended the run.
        """
        before = set(proc.own_children()) - {self.pid}
        began = time.monotonic()
        self.send(message)
        os.close(self._write)
        answer, ended_by = b"", None
        is_open, is_noticed = True, False
        while is_open or not tree.reap(self.pid):
            passed = time.monotonic() - began
            if is_open and select.select([self._answer], [], [], _TICK)[0]:
                part = os.read(self._answer, 65536)
                answer, is_open = answer + part, bool(part)
            elif not is_open:
                time.sleep(_TICK)
            if passed > bound:
                ended_by = f"it took longer than {bound:g} s"
            elif _is_told_to_stop() and passed > SAME:
                ended_by = "a signal ended the wait"
            if ended_by is not None:
                break
            if passed > _NOTICE and not is_noticed:
                is_noticed = True
                waits()
        os.close(self._answer)
        self._kill(before)
        if answer[:1] == _FAILED:
            return answer[1:].decode(errors="replace")
        return ended_by if ended_by is not None else "" if answer[:1] == _DELIVERED else None

    def _kill(self, before: set[int]) -> None:
        for pid in (*proc.descendants(self.pid), self.pid) if proc.LINUX else ():
            tree.kill(pid, signal.SIGKILL)
        tree.kill_group(self.pid, signal.SIGKILL)
        tree.end_descendants(1.0, lambda pid: pid in before)


def _be_alone(parent: int, release: Callable[[], None]) -> None:
    """Leave the session of the run, whose signals are not meant for this process, and end with its parent."""
    os.setsid()
    tree.die_with_parent(signal.SIGKILL)
    tree.become_subreaper()
    if proc.LINUX and os.getppid() != parent:
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    release()


def _is_told_to_stop() -> bool:
    """Take the signals that ask to stop, and return whether there was one."""
    found = signal.sigpending() & {int(number) for number in STOPPING}
    for number in found:
        signal.sigwait({number})
    return bool(found)


def _wait_for_leftovers() -> None:
    """Wait for what a command has started: a mailer may deliver after its program has returned."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def run_line(line: str, stdin: str, environment: dict[str, str]) -> str:
    """Run a line of the shell with this input and no output; return "" if it exits with 0, else how it ended."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as printed:
        given.write(stdin.encode())
        given.seek(0)
        ended = subprocess.run(
            ["/bin/sh", "-c", line],
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=printed,
            env=environment,
            check=False,
        ).returncode
        if ended == 0:
            return ""
        printed.seek(max(0, printed.seek(0, os.SEEK_END) - 2000))
        lines = printed.read().decode(errors="backslashreplace").strip().splitlines()
    how = f"exit code {ended}" if ended > 0 else f"killed by signal {-ended}"
    return f"the command ended with {how}{f': {lines[-1].strip()}' if lines else ''}"
