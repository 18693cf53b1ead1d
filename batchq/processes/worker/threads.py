"""The threads that a call left, and those that a library keeps for itself."""

import _thread
import gc
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TO_END = 0.002  #: seconds in which a thread that is about to end may do so
_MOST = 0xFFFF
_STEPS = 4  #: references from the variables of a module to a thread: by an attribute of an object or of a class
_WIDTH = 50  #: objects that are followed on each step
_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Threads:
    """The threads of the worker; ``left`` is how many the last call left.

    A daemon thread of an installed library (the monitor of tqdm, the sender of an error tracker), or one that a module
    holds in a variable, belongs to the worker from then on, while it is the only one of its kind: the next call would
    find it there, or start the same. For any other thread the worker is replaced.
    """

    def __init__(self) -> None:
        self.left = 0
        self._count = self.now()
        self._known: list[Any] = _threads()

    def now(self) -> int:
        """Return how many threads there are besides the main one."""
        return _thread._count()

    def adopt(self, before: int) -> None:
        """Keep the threads that a module started since ``before``, while it was imported."""
        if (new := self.now() - before) > 0:
            self._count += new
            self._known = _threads()

    def are_own(self) -> bool:
        """Return whether only threads of the worker are left."""
        self.left = 0
        if (count := _thread._count()) <= self._count:
            self._count = count  # if one has ended, a new one must not count in its place
            return True
        time.sleep(_TO_END)
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
    """Return the threads that threading knows, except the main one."""
    threading = sys.modules.get("threading")
    if threading is None:
        return []
    main = threading.main_thread()
    return [one for one in threading._active.copy().values() if one is not main and one.is_alive()]


def _origin(thread: "Any") -> "Any":
    """Return the function that runs in a thread, or its class if that is unknown."""
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
    """Return whether a module refers to the thread; if a call merely started it, only threading does."""
    variables = {id(getattr(module, "__dict__", None)) for module in list(sys.modules.values())}
    all_threads = sys.modules["threading"]._active
    holders: list[Any] = [thread]
    for _ in range(_STEPS):
        found = gc.get_referrers(*holders)
        holders = [one for one in found if one is not all_threads and one is not holders][:_WIDTH]
        if any(id(one) in variables for one in holders):
            return True
    return False
