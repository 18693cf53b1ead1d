"""The files of batchq, kept in memory by a run, so that workers start even when the files were removed or replaced."""

import contextlib
import io
import os
import sys
import time

from batchq.errors import ScarceError
from batchq.processes.unnamed import unnamed_file

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_WORKER = os.path.join("batchq", "processes", "worker", "")
_BESIDE = (
    "__init__",
    "clock",
    "context",
    "errors",
    "jobs/__init__",
    "jobs/misfits",
    "processes/__init__",
    "processes/proc",
)
_CHECK = 0.05  #: seconds between checks
REPLACED = "the files of batchq were removed or replaced while this run began, so nothing was started; try again"

State = tuple[int, int]


class Package:
    """``root`` is the folder that workers import batchq from while ``is_replaced`` is false."""

    def __init__(self) -> None:
        self.root = _ROOT
        self.is_replaced = False
        self._sources: dict[str, bytes] = {}
        folder = os.path.join(_ROOT, _WORKER)
        self._states = {
            os.path.join(folder, name): _state(os.path.join(folder, name))
            for name in os.listdir(folder)
            if name.endswith(".py")
        }
        self._is_whole = False
        self._checked_at = 0.0
        self._archive: int | None = None

    def begin(self) -> None:
        """Read the few files that a worker needs first: every run does it. Raises ScarceError if they are missing."""
        try:
            for path in (*self._states, *(os.path.join(_ROOT, "batchq", f"{name}.py") for name in _BESIDE)):
                self._read(path)
        except OSError:
            raise ScarceError(REPLACED) from None
        self.check()
        if self.is_replaced:
            raise ScarceError(REPLACED)

    def keep(self) -> None:
        """Read the rest too, once: files that are missing or unreadable now are left out."""
        if self._is_whole:
            return
        self._is_whole = True
        for folder, folders, names in os.walk(os.path.join(_ROOT, "batchq")):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith(".py") and os.path.relpath(path, _ROOT) not in self._sources:
                    with contextlib.suppress(OSError):
                        self._read(path)

    def _read(self, path: str) -> None:
        with open(path, "rb", 0) as file:
            self._sources[os.path.relpath(path, _ROOT)] = file.read()

    def check(self, *, rarely: bool = False) -> None:
        """Check whether the files are still as they were read; ``rarely``: at most every 50 ms."""
        now = time.monotonic()
        if self.is_replaced or (rarely and now - self._checked_at < _CHECK):
            return
        self._checked_at = now
        if sys.platform == "linux":  # elsewhere no path leads to the archive
            self.is_replaced = any(_state(path) != state for path, state in self._states.items())

    def archive(self) -> int:
        """Make a file in memory from which Python imports the kept files; return its descriptor. Raises OSError."""
        if self._archive is None:
            import zipfile

            self.keep()
            data = io.BytesIO()
            with zipfile.ZipFile(data, "w") as archive:
                for inside, source in self._sources.items():
                    archive.writestr(zipfile.ZipInfo(inside), source)
            fd = unnamed_file("batchq")
            try:
                with open(fd, "wb", closefd=False) as file:
                    file.write(data.getbuffer())
            except OSError:
                os.close(fd)
                raise
            self._archive = fd
        return self._archive


def _state(path: str) -> State | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
