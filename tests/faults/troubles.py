"""What befalls a store from outside, for real: a program that keeps it locked, a file that may not grow, a kill.

Each can begin in the middle of a step, with its n-th transaction.
"""

import atexit
import contextlib
import functools
import os
import pickle
import resource
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from batchq import clock
from batchq.errors import BatchqError
from batchq.store.file.connection import Store, Writing
from batchq.store.file.locks import LockFile
from batchq.store.file.opening import open_at

Step = Callable[..., Any]
ROOM = (0, 1, 24, 4_096, 9_000, 20_000)  #: bytes by which the log may still grow on a full disk
MOMENTS = ("before it begins", "before its commit", "after its commit")
_KINDS = ("locked", "mutex", "full")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program has begun to write, and does not come to an end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextlib.contextmanager
def mutex_held(path: Path) -> Iterator[None]:
    """Another batchq is writing, and hangs."""
    lock = LockFile(str(path))
    assert lock.try_mutex()
    try:
        yield
    finally:
        lock.close()


@contextlib.contextmanager
def full(path: Path, room: int) -> Iterator[None]:
    """The kernel lets no file grow beyond the log as it is, and so many bytes more."""
    size = Path(f"{path}-wal").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Trouble:
    """One of a kind, from the ``nth`` transaction of its block on to the end of the block. ``has_begun`` tells whether
    it came to that."""

    def __init__(self, path: Path, number: int) -> None:
        self.number = number
        self._path = path
        self._kind = _KINDS[number % 3]
        self._room = ROOM[number // 3 % len(ROOM)]
        self._left = number // 18 % 3
        self._block = contextlib.ExitStack()
        self.has_begun = False

    def __repr__(self) -> str:
        return f"{self._kind} in {self._left} transactions (room {self._room})"

    def _begin(self) -> None:
        self.has_begun = True
        begin = {"locked": locked, "mutex": mutex_held}.get(self._kind)
        self._block.enter_context(full(self._path, self._room) if begin is None else begin(self._path))

    def __enter__(self) -> "Trouble":
        enter = Writing.__enter__

        def entered(writing: Writing) -> sqlite3.Connection:
            if self._left == 0 and not self.has_begun:
                self._begin()
            self._left -= 1
            return enter(writing)

        self._block.enter_context(mock.patch.object(Writing, "__enter__", entered))
        return self

    def __exit__(self, *_: object) -> None:
        self._block.close()


# --- kills -------------------------------------------------------------------------------------------------------------


def killed(path: Path, now: int, number: int, step: Step, *given: Any) -> bool:
    """Take a step in a process of its own, which is killed at a moment of one of its transactions; whether it was."""
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    pickle.dump((str(path), now, number, step, given), server.stdin)
    server.stdin.flush()
    ended = int(server.stdout.readline())
    assert ended in (0, -signal.SIGKILL), f"{step.__name__} ended with {ended}"
    return ended != 0


@functools.cache
def _server() -> "subprocess.Popen[bytes]":
    """A process that has no store open, and forks the victims: a connection must not be carried over a fork."""
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    server = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    )
    atexit.register(_end, server)
    return server


def _end(server: "subprocess.Popen[bytes]") -> None:
    assert server.stdin is not None
    server.stdin.close()
    server.wait()


def _serve() -> None:
    while True:
        try:
            asked = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        victim = os.fork()
        if victim == 0:
            try:
                _victim(*asked)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]), flush=True)


def _victim(path: str, now: int, number: int, step: Step, given: tuple[Any, ...]) -> None:
    moment, left = MOMENTS[number % 3], number // 3 % 3
    enter, leave = Writing.__enter__, Writing.__exit__
    passed = 0

    def entered(writing: Writing) -> sqlite3.Connection:
        nonlocal passed
        passed += 1
        if passed > left and moment == MOMENTS[0]:
            signal.raise_signal(signal.SIGKILL)
        return enter(writing)

    def left_by(writing: Writing, *how: Any) -> None:
        if passed > left and moment == MOMENTS[1]:
            signal.raise_signal(signal.SIGKILL)
        leave(writing, *how)
        if passed > left and moment == MOMENTS[2]:
            signal.raise_signal(signal.SIGKILL)

    with (
        mock.patch.object(clock, "now", lambda: now),
        mock.patch.object(Writing, "__enter__", entered),
        mock.patch.object(Writing, "__exit__", left_by),
        contextlib.suppress(BatchqError),  # it names a job that there is not
        open_at(path) as store,
    ):
        step(ready(store), *given)


def ready(store: Store) -> Store:
    """The store, which waits for nobody; nothing here asks what a power loss does."""
    store.db.execute("PRAGMA synchronous = OFF")
    store.db.execute("PRAGMA busy_timeout = 0")
    store.patience = 0.0
    return store


if __name__ == "__main__":
    import wayout_steps

    wayout_steps.Small().start()
    _serve()
