"""The files of the modules that a job brings along: when one has changed, the worker must not go on with what was there."""

import contextlib
import os
import sys
import time

IDLE = 0.02  #: seconds without a task after which a look at the files costs nobody anything
EVERY = 1.0  #: seconds between looks where tasks come one after the other
_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_OWN = (os.path.dirname(os.__file__) + os.sep, os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + os.sep)

State = tuple[int, int, int]


class Sources:
    """``note`` after imports; ``have_changed`` before a call. What lies among the installed packages is left alone."""

    def __init__(self) -> None:
        self._states: dict[str, State | None] = {}
        self._modules: set[str] = set(sys.modules)
        self._looked = time.monotonic()
        self._ended = self._looked

    def note(self) -> None:
        """Note the files of the modules that have been imported since."""
        if len(sys.modules) == len(self._modules):
            return
        for name in sys.modules.keys() - self._modules:
            file = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(file, str) and not file.startswith(_OWN) and not any(part in file for part in _LIBRARIES):
                self._states[file] = _state(file)
        self._modules = set(sys.modules)

    def rest(self) -> None:
        """The tasks that are here have ended."""
        self._ended = time.monotonic()

    def have_changed(self) -> bool:
        """Whether a file is not as it was when it was imported; looked up after a rest, and else once a second."""
        now = time.monotonic()
        if not self._states or (now - self._ended < IDLE and now - self._looked < EVERY):
            self._ended = now
            return False
        self._looked = self._ended = now
        changed = self.changed()
        for file in changed:
            _forget_bytecode(file, self._states[file])
        return bool(changed)

    def changed(self) -> list[str]:
        """The files that are not as they were."""
        return [file for file, state in self._states.items() if _state(file) != state]


#: Those of this process
SOURCES = Sources()


def _forget_bytecode(file: str, before: State | None) -> None:
    """Python takes compiled code for that of a file that has changed within a second and kept its size."""
    now = _state(file)
    if before is not None and now is not None and before[1] == now[1] and before[0] // 10**9 == now[0] // 10**9:
        with contextlib.suppress(OSError, NotImplementedError, ValueError):
            os.unlink(sys.modules["_frozen_importlib_external"].cache_from_source(file))


def _state(file: str) -> State | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
