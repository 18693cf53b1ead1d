"""The processes that a call left, and those that stay because a module started them while it was imported."""

import contextlib
import os
import sys
import time
from _signal import SIGKILL, SIGTERM  # type: ignore[import-not-found]  # not signal: a job that imports it is noticed (Handlers)

from batchq.processes import proc
from batchq.processes.worker import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BY_ITSELF = 0.3  #: seconds in which processes that a call left may end by themselves
TERM_TO_KILL = 0.2  #: seconds between TERM and KILL for those that did not
_GONE = 1.0  #: seconds within which a process must be dead after KILL
_BUSY = 60.0  #: the same for one that still waits for the processor to end
_INTERVAL = 0.0005  #: seconds between checks
_TRACKERS = (
    "multiprocessing.resource_tracker",
    "joblib.externals.loky.backend.resource_tracker",
    "loky.backend.resource_tracker",
)
_POOLS = ("joblib.externals.loky.reusable_executor", "loky.reusable_executor")


class Children:
    """The child processes: ``end_left`` is called after each task, ``adopt`` when a module has been imported."""

    def __init__(self) -> None:
        self._kept: set[int] = set()

    def alive(self) -> set[int]:
        """Return the children of this process."""
        return set(_children()) if _are_any() else set()

    def adopt(self, before: set[int]) -> None:
        """Keep the processes that a module started since ``before``, until the worker ends."""
        self._kept |= self.alive() - before

    def end_left(self) -> tuple[int, bool]:
        """End the processes that a task left. Return how many were alive, and whether a module may still refer to one.

        The helpers of multiprocessing and joblib are closed as these libraries do it, so that they start new ones.
        """
        if not _are_any():
            return 0, False
        if self._kept and self._left() == set():
            return 0, False
        count = self._end_strangers() if self._left(*_helpers()) else 0
        if count == 0:  # else the worker is replaced, and its exit handlers need them
            self.close_helpers()
        return count, count > 0

    def end_all(self) -> None:
        """End all processes, including those that modules started, because the worker ends."""
        self._kept.clear()
        self.end_left()
        self.close_helpers()

    def close_helpers(self) -> None:
        """Close the helpers, so that they clean up and end; except those that an import started."""
        forkserver = _loaded("multiprocessing.forkserver", "_forkserver")
        if forkserver is not None and forkserver._forkserver_pid not in (None, *self._kept):
            os.close(forkserver._forkserver_alive_fd)
            _wait_for(forkserver._forkserver_pid)
            with contextlib.suppress(OSError, TypeError):
                os.unlink(forkserver._forkserver_address)
            forkserver._forkserver_alive_fd = forkserver._forkserver_address = forkserver._forkserver_pid = None
        for name in _TRACKERS:
            tracker = _loaded(name, "_resource_tracker")
            if tracker is not None and tracker._pid not in (None, *self._kept) and tracker._fd is not None:
                os.close(tracker._fd)
                _wait_for(tracker._pid)
                tracker._fd = tracker._pid = None

    def _left(self, *helpers: int) -> set[int]:
        return set(_children()) - self._kept - set(helpers)

    def _end_strangers(self) -> int:
        """End the pools that joblib keeps for the next call, then all others. Return how many had to be signalled."""
        for name in _POOLS:
            pool = _loaded(name, "_executor")
            if pool is not None:
                with contextlib.suppress(Exception):
                    getattr(pool, "terminate", pool.shutdown)()
        seen: set[int] = set()
        began = time.monotonic()
        asked = killed = 0.0  # when they really got TERM and KILL: this process may have been held up
        while left := self._left(*_helpers()):
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            now = time.monotonic()
            if killed and now - killed > _GONE and (now - killed > _BUSY or not any(map(proc.is_runnable, left))):
                break
            if now - began > BY_ITSELF:
                asked = asked or now
                is_last = now - asked > TERM_TO_KILL
                for pid in [one for child in left for one in (child, *proc.descendants(child))]:
                    if not proc.is_zombie(pid):
                        number = SIGKILL if pid in seen and is_last else SIGTERM
                        if number == SIGKILL or pid not in seen:
                            with contextlib.suppress(OSError):
                                os.kill(pid, number)
                        if number == SIGKILL:
                            killed = killed or now
                        seen.add(pid)
            time.sleep(_INTERVAL)
        return len(seen)


def _are_any() -> bool:
    """Return whether there is a child, alive or not; called after each task, so without the cost of an exception."""
    if _waitid is not None:
        return _waitid(os.P_ALL, 0, None, os.WEXITED | os.WNOHANG | os.WNOWAIT) == 0
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


_waitid = libc.function("waitid") if libc.IS_LINUX else None  # elsewhere it may require a place for its result


def _helpers() -> list[int]:
    """Return the processes that clean up and end when their pipe is closed."""
    found = [_loaded("multiprocessing.forkserver", "_forkserver", "_forkserver_pid")]
    found += [_loaded(name, "_resource_tracker", "_pid") for name in _TRACKERS]
    return [pid for pid in found if pid is not None]


def _loaded(module: str, *names: str) -> "Any":
    found = sys.modules.get(module)
    for name in names:
        found = getattr(found, name, None)
    return found


def _wait_for(pid: int) -> None:
    """Wait for a child that is about to end; kill it if it does not."""
    until = time.monotonic() + _GONE
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > until:
                os.kill(pid, SIGKILL)
            time.sleep(_INTERVAL)


def _children() -> list[int]:
    """Return the children of this process; none if /proc is that of another namespace, where its ids mean strangers."""
    return proc.children("self") if proc.sees_itself() else []
