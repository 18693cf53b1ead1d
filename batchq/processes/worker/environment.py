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

_ENVIRON, _putenv, _unsetenv = os.environ, os.putenv, os.unsetenv  #: even if a callable replaces these names
_ENCODING = sys.getfilesystemencoding()
#: The mapping inside os.environ: reading all variables through os.environ takes 60 µs.
_RAW: "dict[bytes, bytes]" = _ENVIRON._data  # type: ignore[attr-defined]


class Environment:
    """The variables when a task begins, whatever the task before did to them."""

    def __init__(self) -> None:
        self._start = dict(_ENVIRON)
        self._own: dict[str, str] = {}
        self._only_in_c: dict[bytes, bytes] = {}  # variables that a module has set in C only
        self._of_c = libc.Variables()
        self._clear_c = libc.function("clearenv") or int
        self._changes = Changes(self._of_c)
        self._zone_of_c = libc.zone()
        time.tzset()
        self._zone = time.tzname, self._zone_of_c()

    def set(self, common: dict[str, str], own: dict[str, str], *, is_described: bool) -> None:
        """Set the variables of the start and those of the task; only differences take time.

        ``common`` equals that of the task before, unless ``is_described``.
        """
        known = self._own
        is_changed = self._changes.were_made()
        if is_changed or is_described:
            own = common | own
            if is_changed or own.keys() != known.keys():
                self._reset()
        for name, value in own.items():
            if known.get(name) != value:
                known[name] = value
                self._changes.put(name, value)
        self._changes.record(is_known=not (is_changed or is_described))
        if is_changed or self._zone != (time.tzname, self._zone_of_c()):
            time.tzset()  # the C library keeps its own zone, computed from an earlier TZ
            self._zone = time.tzname, self._zone_of_c()

    def settle(self) -> None:
        """Give the C library memory of its own again: that of the slots goes before this process has ended."""
        for name in self._own:
            _ENVIRON[name] = _ENVIRON.get(name, "")

    def look(self) -> "Any":
        """Return the current state, for ``adopt``."""
        return dict(_ENVIRON), self._beyond_python()

    def adopt(self, before: "Any") -> None:
        """Keep what a module set while it was imported, because it will not be imported again."""
        was, was_of_c = before
        after = dict(_ENVIRON)
        self._start = {name: value for name, value in self._start.items() if name in after}
        self._start |= {name: value for name, value in after.items() if was.get(name) != value}
        self._only_in_c |= {name: value for name, value in self._beyond_python().items() if was_of_c.get(name) != value}
        self._changes.adopt()
        self._zone = time.tzname, self._zone_of_c()

    def _beyond_python(self) -> dict[bytes, bytes]:
        """Return the variables of C that ``os.environ`` does not have, or has with another value."""
        return {name: value for name, value in self._of_c.all().items() if _RAW.get(name) != value}

    def _reset(self) -> None:
        """Set the variables of the start, and remove all others."""
        self._changes.unhook()
        _ENVIRON.clear()
        self._clear_c()
        _ENVIRON.update(self._start)
        for name, value in self._only_in_c.items():
            _putenv(name, value)
        self._own.clear()


class Changes:
    """Detects whether a callable has changed the environment, in Python or in C."""

    def __init__(self, of_c: libc.Variables) -> None:
        self._of_c = of_c
        self._left: dict[bytes, bytes] = {}
        self._slots: dict[str, tuple[libc.Slot | None, bytes]] = {}  # by name, with the encoded name
        self._placed: set[str] = set()
        self._were_made = self._is_c_recorded = False
        os.putenv, os.unsetenv = self._functions = self._recording(_putenv), self._recording(_unsetenv)

    def _recording(self, function: "Callable[..., None]") -> "Callable[..., None]":
        """Return ``function``, which also records that it was called, by ``os.environ`` or by a callable."""

        @wraps(function)
        def recorded(*words: "Any") -> None:
            self._were_made = True
            function(*words)

        return recorded

    def were_made(self) -> bool:
        """Return whether anything has changed since the last call of ``record``."""
        return (
            self._were_made
            or self._left != _RAW
            or os.environ is not _ENVIRON
            or (os.putenv, os.unsetenv) != self._functions
            or (self._is_c_recorded and self._of_c.have_changed())
        )

    def unhook(self) -> None:
        """Undo a replacement of ``os.environ`` and of its functions."""
        os.environ = _ENVIRON  # noqa: B003
        os.putenv, os.unsetenv = self._functions
        self._is_c_recorded = False  # C has another array now
        self._placed.clear()

    def put(self, name: str, value: str) -> None:
        """Set one variable: through os.environ that takes four times as long, 6 % of a run of empty callables."""
        slot, key = self._slots.get(name) or self._slot(name)
        data = value.encode(_ENCODING, "surrogateescape")
        if slot is None or len(data) >= slot.LONGEST:
            _putenv(key, data)
            self._placed.discard(name)
        else:
            slot.set(data, is_placed=name in self._placed)
            self._placed.add(name)
        _RAW[key] = self._left[key] = data

    def _slot(self, name: str) -> tuple[libc.Slot | None, bytes]:
        """Make room for a variable of batchq, whose value differs in each task."""
        key = os.fsencode(name)
        has_one = name.startswith("BATCHQ_") and libc.IS_LINUX and libc.function("putenv") is not None
        self._slots[name] = libc.Slot(key) if has_one else None, key
        return self._slots[name]

    def record(self, *, is_known: bool) -> None:
        """Record the current state, with which a task begins."""
        if not is_known:
            self._left = _RAW.copy()
        self._record_c(is_known=self._is_c_recorded)
        self._were_made = False

    def adopt(self) -> None:
        """Keep the functions with which a module replaced those of ``os``, and the variables it has set in C."""
        self._functions = os.putenv, os.unsetenv
        self._record_c(is_known=False)

    def _record_c(self, *, is_known: bool) -> None:
        if "ctypes" in sys.modules:  # without it, no callable can call setenv(3)
            self._of_c.record(is_known=is_known)
            self._is_c_recorded = True
