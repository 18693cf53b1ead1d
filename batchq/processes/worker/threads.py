"""The threads that a call left, and those that a library keeps for itself."""

import _thread
import gc
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FAREWELL = 0.002  #: seconds in which a thread that was told to end may do so
_MOST = 0xFFFF
_STEPS = 4  #: from a thread to the variables of a module: an attribute of an object, or of a class, is on the way
_WIDTH = 50  #: objects that are looked at on each step
_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Threads:
    """``left`` are those that the last call left.

    A daemon of an installed library (the monitor of tqdm, the sender of an error tracker), or one that a module holds in
    a variable, is the worker's from then on, as long as there is one of its kind: the next call would find it there, or
    start the same. Any other costs the worker.
    """

    def __init__(self) -> None:
        self.left = 0
        self._count = self.now()
        self._known: list[Any] = _threads()

    def now(self) -> int:
        """How many there are beside the main one."""
        return _thread._count()

    def adopt(self, before: int) -> None:
        """What has come since ``before`` stays: a module has started it while it was imported."""
        if (new := self.now() - before) > 0:
            self._count += new
            self._known = _threads()

    def are_own(self) -> bool:
        """Whether the next call finds none of this one."""
        self.left = 0
        if (count := _thread._count()) <= self._count:
            self._count = count  # where one has ended, another is not to be taken for it
            return True
        time.sleep(_FAREWELL)
        new = self.now() - self._count
        if new <= 0:
            return True
        self.left = min(new, _MOST)
        there = _threads()
        strangers = [one for one in there if one not in self._known]
        kinds = [_kind(one) for one in there]
        if len(strangers) != new or not all(
            one.daemon and kinds.count(_kind(one)) == 1 and (_is_of_a_library(one) or _is_held(one))
            for one in strangers
        ):
            return False
        self._count, self._known = self._count + new, there
        return True


def _threads() -> "list[Any]":
    """Those that threading knows, but the main one."""
    threading = sys.modules.get("threading")
    if threading is None:
        return []
    main = threading.main_thread()
    return [one for one in threading._active.copy().values() if one is not main and one.is_alive()]


def _origin(thread: "Any") -> "Any":
    """The function that runs in it, where that is known, or its class."""
    target = getattr(thread, "_target", None)
    return type(thread) if target is None else getattr(target, "__func__", target)


def _kind(thread: "Any") -> "tuple[Any, Any]":
    origin = _origin(thread)
    return getattr(origin, "__module__", None), getattr(origin, "__qualname__", None)


def _is_of_a_library(thread: "Any") -> bool:
    module = sys.modules.get(str(_kind(thread)[0]))
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and any(part in file for part in _LIBRARIES)


def _is_held(thread: "Any") -> bool:
    """Whether a module has it: a thread that a call has merely started is referred to by threading alone."""
    variables = {id(getattr(module, "__dict__", None)) for module in list(sys.modules.values())}
    all_threads = sys.modules["threading"]._active
    holders: list[Any] = [thread]
    for _ in range(_STEPS):
        found = gc.get_referrers(*holders)
        holders = [one for one in found if one is not all_threads and one is not holders][:_WIDTH]
        if any(id(one) in variables for one in holders):
            return True
    return False
