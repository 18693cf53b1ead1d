"""The variables of a worker: those of its start, and those of the task that it performs."""

import os
import sys
import time
from functools import wraps

from batchq.processes.worker import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LONGEST = 4096  #: bytes of a variable that is kept in place
_TOKEN = b"BATCHQ_TOKEN"
#: The mapping inside of os.environ: through its own methods each variable is decoded, 30 µs in all.
_RAW: "dict[bytes, bytes]" = os.environ._data  # type: ignore[attr-defined]
_ENVIRON, _putenv, _unsetenv = os.environ, os.putenv, os.unsetenv  #: whatever a callable makes of these names


class Environment:
    """What is in ``os.environ`` when a task begins, whatever the one before did to it."""

    def __init__(self) -> None:
        self._start = dict(_ENVIRON)
        self._own: dict[str, str] = {}
        self._variables = Variables()
        self._zone_of_c = libc.zone()
        time.tzset()
        self._zone = time.tzname, self._zone_of_c()

    def set(self, common: dict[str, str], own: dict[str, str], *, is_described: bool) -> None:
        """The variables of the start and those of the task; little is done where little differs.

        ``common`` is what the task shares with the one before, unless ``is_described``.
        """
        known = self._own
        is_touched = self._variables.are_touched()
        if is_touched or is_described:
            own = common | own
            if is_touched or own.keys() != known.keys():
                self._variables.reset(self._start)
                known.clear()
        for name, value in own.items():
            if known.get(name) != value:
                self._variables.put(name, value)
        known.update(own)
        self._variables.note()
        if is_touched or self._zone != (time.tzname, self._zone_of_c()):
            time.tzset()  # the C library keeps a zone of its own, made of what TZ was
            self._zone = time.tzname, self._zone_of_c()

    def look(self) -> "Any":
        """How it is, for ``adopt``."""
        return dict(_ENVIRON), self._variables.of_c()

    def adopt(self, before: "Any") -> None:
        """What a module set while it was imported stays, for it will not be imported again."""
        was, was_of_c = before
        after = dict(_ENVIRON)
        self._start = {name: value for name, value in self._start.items() if name in after}
        self._start |= {name: value for name, value in after.items() if was.get(name) != value}
        self._variables.adopt(was_of_c)
        self._zone = time.tzname, self._zone_of_c()

    def settle(self) -> None:
        """Let the C library have memory of its own again: this process is about to give ours back."""
        for name in self._own:
            _ENVIRON[name] = _ENVIRON.get(name, "")


class Variables:
    """The environment of the process, for values that are other ones in each task.

    ``os.environ[name] = value`` calls setenv(3), and that of glibc keeps every value that it has ever seen: a worker
    would grow by 80 bytes a task. putenv(3) takes memory of ours, in which the value can change (Linux).
    """

    def __init__(self) -> None:
        self._left = _RAW.copy()
        self._entries: dict[str, tuple[Any, bytes, bytes]] = {}
        self._values: dict[str, bytes] = {}
        self._putenv: Any = None
        if libc.IS_LINUX:
            self._putenv = libc.function("putenv")
        self._clear = libc.function("clearenv") or int
        self._of_c = libc.Variables()
        self._only_in_c: dict[bytes, bytes] = {}  # that a module has set there
        self._is_touched = self._is_noted = False
        os.putenv, os.unsetenv = self._noting(_putenv), self._noting(_unsetenv)

    def _noting(self, function: "Callable[..., None]") -> "Callable[..., None]":
        """As ``os.environ`` calls them, and as others do behind its back."""

        @wraps(function)
        def noted(*words: "Any") -> None:
            self._is_touched = True
            function(*words)

        return noted

    def are_touched(self) -> bool:
        """Whether anybody else has changed the environment since the last call of ``note``."""
        # The token is of another identity where somebody has set all of it anew, to the same values.
        return (
            self._is_touched
            or _RAW.get(_TOKEN) is not self._left.get(_TOKEN)
            or self._left != _RAW
            or os.environ is not _ENVIRON
            or ("ctypes" in sys.modules and self._is_noted and self._of_c.have_changed())
        )

    def reset(self, variables: dict[str, str]) -> None:
        """Set these, and no others."""
        os.environ = _ENVIRON  # noqa: B003
        _ENVIRON.clear()
        self._clear()
        _ENVIRON.update(variables)
        for name, value in self._only_in_c.items():
            _putenv(name, value)
        self._left = _RAW.copy()
        self._is_touched = True

    def note(self) -> None:
        """What has been changed by now was to be."""
        if "ctypes" in sys.modules and (self._is_touched or not self._is_noted):
            self._of_c.note()
            self._is_noted = True
        self._is_touched = False

    def of_c(self) -> dict[bytes, bytes]:
        """The variables that C has and ``os.environ`` does not, or not so."""
        return {name: value for name, value in self._of_c.all().items() if _RAW.get(name) != value}

    def adopt(self, before: dict[bytes, bytes]) -> None:
        """A module has been imported: what it has set in C since ``before`` stays."""
        self._only_in_c |= {name: value for name, value in self.of_c().items() if before.get(name) != value}
        if "ctypes" in sys.modules:
            self._of_c.note()
            self._is_noted = True

    def put(self, name: str, value: str) -> None:
        """Set one variable."""
        data = value.encode("utf-8", "surrogateescape")
        if len(data) >= _LONGEST or (name not in self._entries and not self._can_keep(name)):
            _ENVIRON[name] = value
            self._left = _RAW.copy()
            return
        entry, key, beginning = self._entries[name]
        entry.value = beginning + data
        known = self._values.get(name)
        if known is None or _RAW.get(key) is not known:  # it is new, or somebody has set it since
            self._putenv(entry)
            self._is_touched = True
        self._values[name] = self._left[key] = _RAW[key] = data

    def _can_keep(self, name: str) -> bool:
        """Make room for the values of a variable of batchq; False for any other, and where putenv is missing."""
        if self._putenv is None or not name.startswith("BATCHQ_"):
            return False
        key = name.encode()
        self._entries[name] = libc.memory(len(key) + 1 + _LONGEST), key, key + b"="
        return True
