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

_ENVIRON, _putenv, _unsetenv = os.environ, os.putenv, os.unsetenv  #: whatever a callable makes of these names
#: The mapping inside of os.environ, only to be compared: to read all variables through os.environ takes 60 µs.
_RAW: "dict[bytes, bytes]" = _ENVIRON._data  # type: ignore[attr-defined]


class Environment:
    """What is in ``os.environ`` when a task begins, whatever the one before did to it."""

    def __init__(self) -> None:
        self._start = dict(_ENVIRON)
        self._own: dict[str, str] = {}
        self._only_in_c: dict[bytes, bytes] = {}  # that a module has set there
        self._of_c = libc.Variables()
        self._clear_c = libc.function("clearenv") or int
        self._changes = Changes(self._of_c)
        self._zone_of_c = libc.zone()
        time.tzset()
        self._zone = time.tzname, self._zone_of_c()

    def set(self, common: dict[str, str], own: dict[str, str], *, is_described: bool) -> None:
        """Set the variables of the start and those of the task; little is done where little differs.

        ``common`` is what the task shares with the one before, unless ``is_described``.
        """
        known = self._own
        is_changed = self._changes.were_made()
        if is_changed or is_described:
            own = common | own
            if is_changed or own.keys() != known.keys():
                self._reset()
        for name, value in own.items():
            if known.get(name) != value:
                _ENVIRON[name] = known[name] = value
        self._changes.note()
        if is_changed or self._zone != (time.tzname, self._zone_of_c()):
            time.tzset()  # the C library keeps a zone of its own, made of what TZ was
            self._zone = time.tzname, self._zone_of_c()

    def look(self) -> "Any":
        """Return how it is, for ``adopt``."""
        return dict(_ENVIRON), self._beyond_python()

    def adopt(self, before: "Any") -> None:
        """Keep what a module set while it was imported, for it will not be imported again."""
        was, was_of_c = before
        after = dict(_ENVIRON)
        self._start = {name: value for name, value in self._start.items() if name in after}
        self._start |= {name: value for name, value in after.items() if was.get(name) != value}
        self._only_in_c |= {name: value for name, value in self._beyond_python().items() if was_of_c.get(name) != value}
        self._changes.adopt()
        self._zone = time.tzname, self._zone_of_c()

    def _beyond_python(self) -> dict[bytes, bytes]:
        """The variables that C has and ``os.environ`` does not, or not so."""
        return {name: value for name, value in self._of_c.all().items() if _RAW.get(name) != value}

    def _reset(self) -> None:
        """Set the variables of the start, and no others."""
        self._changes.unhook()
        _ENVIRON.clear()
        self._clear_c()
        _ENVIRON.update(self._start)
        for name, value in self._only_in_c.items():
            _putenv(name, value)
        self._own.clear()


class Changes:
    """Whether a callable has changed the environment, by whichever way there is to do so."""

    def __init__(self, of_c: libc.Variables) -> None:
        self._of_c = of_c
        self._left: dict[bytes, bytes] = {}
        self._were_made = self._is_c_noted = False
        os.putenv, os.unsetenv = self._functions = self._noting(_putenv), self._noting(_unsetenv)

    def _noting(self, function: "Callable[..., None]") -> "Callable[..., None]":
        """``function`` as ``os.environ`` calls it, and as a callable may call it itself."""

        @wraps(function)
        def noted(*words: "Any") -> None:
            self._were_made = True
            function(*words)

        return noted

    def were_made(self) -> bool:
        """Whether there were any since the last call of ``note``."""
        return (
            self._were_made
            or self._left != _RAW
            or os.environ is not _ENVIRON
            or (os.putenv, os.unsetenv) != self._functions
            or (self._is_c_noted and self._of_c.have_changed())
        )

    def unhook(self) -> None:
        """Take back what a callable has put in the place of ``os.environ`` and its functions."""
        os.environ = _ENVIRON  # noqa: B003
        os.putenv, os.unsetenv = self._functions
        self._is_c_noted = False  # the array of C is another one now

    def note(self) -> None:
        """Note how all is: this is what a task begins with."""
        self._left = _RAW.copy()
        self._note_c(is_known=self._is_c_noted)
        self._were_made = False

    def adopt(self) -> None:
        """Keep the functions that a module has put in the place of those of ``os``, and what it has set in C."""
        self._functions = os.putenv, os.unsetenv
        self._note_c(is_known=False)

    def _note_c(self, *, is_known: bool) -> None:
        if "ctypes" in sys.modules:  # without it, no callable can call setenv(3)
            self._of_c.note(is_known=is_known)
            self._is_c_noted = True
