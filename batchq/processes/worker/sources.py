"""The source files of a job's modules: when one has changed, the worker must be replaced."""

import contextlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_OWN = (os.path.dirname(os.__file__) + os.sep, os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + os.sep)

State = tuple[int, int, int]


class Sources:
    """The state of each file at its import: ``watch`` at first, ``record`` after imports, ``have_changed`` before calls.

    Installed packages are not checked.
    """

    def __init__(self) -> None:
        self._states: dict[str, State | None] = {}
        self._modules: set[str] = set(sys.modules)

    def watch(self) -> None:
        """Record each source from now on before Python reads it: it may change while its module is imported."""
        loader: Any = sys.modules["_frozen_importlib_external"].SourceFileLoader
        path_stats = loader.path_stats

        def recorded(self_: "Any", path: str) -> "Any":
            if _is_of_job(path):
                self._states[path] = _state(path)
            return path_stats(self_, path)

        loader.path_stats = recorded

    def record(self) -> None:
        """Record the other files of modules imported since the last call: libraries, compiled modules."""
        if len(sys.modules) == len(self._modules):
            return
        for name in sys.modules.keys() - self._modules:
            file = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(file, str) and file not in self._states and _is_of_job(file):
                self._states[file] = _state(file)
        self._modules = set(sys.modules)

    def have_changed(self) -> bool:
        """Return whether a file has changed since it was imported."""
        changed = self.changed()
        for file in changed:
            _forget_bytecode(file, self._states[file])
        return bool(changed)

    def changed(self) -> list[str]:
        """Return the files that have changed."""
        return [file for file, state in self._states.items() if _state(file) != state]


#: The sources of this process
SOURCES = Sources()


def _is_of_job(file: str) -> bool:
    return not file.startswith(_OWN) and not any(part in file for part in _LIBRARIES)


def _forget_bytecode(file: str, before: State | None) -> None:
    """Remove compiled code that Python would use for a file that changed within a second and kept its size."""
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
