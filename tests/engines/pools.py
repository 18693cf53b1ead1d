"""Factories of pools, as users name them with --executor."""

import asyncio
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from batchq.executors.afar.futures import silence


def threads() -> Executor:
    return ThreadPoolExecutor(2)


def forkserver() -> Executor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver"))


def spawn() -> Executor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def fork() -> Executor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))


def loky() -> Executor:
    from loky import ProcessPoolExecutor as LokyExecutor

    pool: Executor = LokyExecutor(2)
    return pool


def executorlib() -> Executor:
    """Its client listens on all addresses, so it has a network of its own."""
    import alone
    from executorlib import SingleNodeExecutor

    alone.enter()
    pool: Executor = SingleNodeExecutor(max_workers=2, block_allocation=True, hostname_localhost=True)
    return pool


def unfenced() -> Executor:
    """A broken variant, which must fail: the workers begin an attempt whether or not it has begun."""
    os.environ["PYTHONPATH"] = "unfenced"
    return executorlib()


def number() -> int:
    return 7


def wants(an_argument: int) -> Executor:
    raise AssertionError(an_argument)


def leaves() -> Executor:
    raise SystemExit("goodbye")


def exits() -> Executor:
    os._exit(5)


class Odd(ThreadPoolExecutor):
    """Runs each task twice, cannot cancel, and cannot be shut down."""

    def submit(self, function, *values):  # type: ignore[no-untyped-def, override]
        future = super().submit(function, *values)  # nearly always the one that begins, so the job soon succeeds
        super().submit(function, *values)
        future.cancel = _not_here  # type: ignore[method-assign]
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        _not_here()


def _not_here() -> bool:
    raise NotImplementedError("not here")


def odd() -> Executor:
    return Odd(8)


class Late(ThreadPoolExecutor):
    """Runs each task a second time, when the next one is submitted: the first result has been read long ago."""

    last = None

    def submit(self, function, *values):  # type: ignore[no-untyped-def, override]
        if self.last is not None:
            super().submit(*self.last).result()
        self.last = function, *values
        return super().submit(function, *values)


def late() -> Executor:
    return Late(2)


def _note(line: str) -> None:
    with Path(__file__).with_name("noted").open("a") as file:
        file.write(f"{line}\n")


def breaking() -> Executor:
    """Its workers end as soon as they have started."""
    _note("made")
    return ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("forkserver"), initializer=os._exit, initargs=(1,)
    )


def renewed() -> Executor:
    """The first is there at once; one in its place takes until the file ``ready`` exists."""
    _note("asked")
    here = Path(__file__).parent
    while (here / "noted").read_text() != "asked\n" and not (here / "ready").exists():
        time.sleep(0.02)
    return forkserver()


class Failing(ThreadPoolExecutor):
    """The first tasks fail before anything of them has begun."""

    left = 0

    def submit(self, function, *values):  # type: ignore[no-untyped-def, override]
        self.left -= 1
        if self.left >= 0:
            _note("failed")
            return super().submit(_not_here)
        return super().submit(function, *values)


def failing() -> Executor:
    pool = Failing(2)
    pool.left = 1_000_000
    return pool


def failing_at_first() -> Executor:
    pool = Failing(2)
    pool.left = 30
    return pool


class Leaving(ThreadPoolExecutor):
    """The first submit, a task and the shutdown raise what is no Exception."""

    def submit(self, function, *values):  # type: ignore[no-untyped-def, override]
        _note("submit")
        match len((Path(__file__).with_name("noted")).read_text().splitlines()):
            case 1:
                raise SystemExit("goodbye")
            case 2:
                return super().submit(_withdraw)
        return super().submit(function, *values)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        raise SystemExit("goodbye")


def _withdraw() -> None:
    raise asyncio.CancelledError


def leaving() -> Executor:
    return Leaving(1)


class Dying(Executor):
    """Has one thread, which ends after one task: nobody takes what comes next."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, function, *values):  # type: ignore[no-untyped-def, override]
        future: Future[object] = Future()
        self._tasks.put(lambda: future.set_result(function(*values)))
        return future

    def _work(self) -> None:
        self._tasks.get()()


def dying() -> Executor:
    silence.SILENT = 0.5
    return Dying()


class Strange(ThreadPoolExecutor):
    """Its workers have another batchq, as it were."""

    def submit(self, function, *values):  # type: ignore[no-untyped-def, override]
        return super().submit(_other_version)


def _other_version() -> None:
    raise ImportError("cannot import name 'perform'")


def strange() -> Executor:
    return Strange(2)


def roaming() -> Executor:
    """Its workers are in another folder: what leads through the current one they do not see."""
    return ProcessPoolExecutor(
        2, mp_context=multiprocessing.get_context("forkserver"), initializer=os.chdir, initargs=("/",)
    )


class AtOnce(ThreadPoolExecutor):
    """Runs each task in ``submit``, which returns when it has ended."""

    def submit(self, function, *values):  # type: ignore[no-untyped-def, override]
        future = super().submit(function, *values)
        future.exception()
        return future


def at_once() -> Executor:
    return AtOnce(2)


def never() -> Executor:
    multiprocessing.Event().wait()
    raise AssertionError


def apart() -> Executor:
    """Its workers do not see the folder of the run."""
    os.environ["PYTHONPATH"] = "apart"
    return forkserver()
