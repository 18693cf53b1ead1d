"""A pool of ``concurrent.futures`` and the one thread that calls it: foreign code may take its time, or never return.

So a factory that waits for nodes, a ``submit`` that runs the job at once and a ``shutdown`` that hangs keep the bridge
neither from timeouts and orders nor from its signs of life. Whatever foreign code raises comes back as an answer, also what
is no Exception: SystemExit, or the CancelledError of asyncio.
"""

import contextlib
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor

from batchq.executors.afar import perform as at_worker
from batchq.executors.afar.futures import factory
from batchq.executors.afar.unfit import Unfit
from batchq.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Made(NamedTuple):
    """A pool has been made, the ``number``-th; or not, and why."""

    number: int
    problem: Unfit | None


class Answered(NamedTuple):
    """What came back from the ``number``-th pool for ``token``, or an exception, which may show that it ``is_broken``."""

    token: str
    number: int
    answer: "Any"
    is_broken: bool = False


class Pool:
    """``make`` makes the pool, and makes it anew on request. ``fileno`` is readable when there are ``news``."""

    def __init__(self, make: "Callable[[], Any]") -> None:
        # Resource trackers say so when they remove what a killed pool has left: nobody could do anything about that.
        sys.warnoptions.append("ignore:resource_tracker:UserWarning")
        self._make = make
        self._news: deque[Made | Answered] = deque()
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._pool: Any = None
        self._number = 0
        self._futures: dict[str, Any] = {}
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)
        self._thread = threading.Thread(target=self._work, name="batchq-pool", daemon=True)
        self._thread.start()
        self._calls.put(self._renew)

    def fileno(self) -> int:
        """Return a descriptor that is readable when there are news."""
        return self._read

    def news(self) -> "list[Made | Answered]":
        """Return what has happened since the last call."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 65536):
                pass
        return [self._news.popleft() for _ in range(len(self._news))]

    def submit(self, token: str, invocation: str) -> None:
        """Have a worker perform it."""
        self._calls.put(lambda: self._submit(token, invocation))

    def cancel(self, token: str) -> None:
        """Ask the pool to drop it, which pools do only before it runs, and some not even then."""
        self._calls.put(lambda: self._cancel(token))

    def renew(self) -> None:
        """Replace the pool, which has broken."""
        self._calls.put(self._renew)

    def close(self, patience: float) -> None:
        """Shut the pool down; one that takes longer than ``patience`` seconds is left to the end of this process."""
        self._calls.put(self._finish)
        self._calls.put(None)
        self._thread.join(patience)
        if not self._thread.is_alive():
            os.close(self._read)
            os.close(self._write)

    # --- in the thread of the pool ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def _renew(self) -> None:
        if self._pool is not None:
            self._shut_down(wait=False)
        self._number += 1
        problem: Unfit | None = None
        try:
            self._pool = factory.made(self._make)
        except Unfit as error:
            problem = error
        self._note(Made(self._number, problem))

    def _submit(self, token: str, invocation: str) -> None:
        number = self._number
        try:
            future = self._pool.submit(at_worker.perform, invocation)
            self._futures[token] = future
            future.add_done_callback(lambda _: self._finished(token, number, future))
        except BaseException as error:
            self._note(Answered(token, number, error, is_broken=True))

    def _finished(self, token: str, number: int, future: "Any") -> None:
        """Note what came of it; called in any thread."""
        self._futures.pop(token, None)
        try:
            answer = future.result()
        except BaseException as error:
            answer = error
        is_broken = isinstance(answer, BrokenExecutor) or (
            isinstance(answer, Exception) and "Executor" in type(answer).__name__
        )
        self._note(Answered(token, number, answer, is_broken))

    def _cancel(self, token: str) -> None:
        if (future := self._futures.get(token)) is not None:
            with contextlib.suppress(BaseException):  # some raise NotImplementedError
                future.cancel()

    def _finish(self) -> None:
        """Shut the pool down, then remove its semaphores: a bridge ends without the exit handlers of Python.

        These close the queue of a pool: before its workers have ended they would never be told to.
        """
        self._shut_down(wait=True)
        if (util := sys.modules.get("multiprocessing.util")) is not None:
            with contextlib.suppress(BaseException):
                util._exit_function()

    def _shut_down(self, *, wait: bool) -> None:
        with contextlib.suppress(BaseException):
            try:
                self._pool.shutdown(wait=wait, cancel_futures=True)
            except TypeError:
                self._pool.shutdown(wait=wait)

    def _note(self, one: "Made | Answered") -> None:
        self._news.append(one)
        with contextlib.suppress(OSError):
            os.write(self._write, b"!")
