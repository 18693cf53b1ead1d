"""What a callable may change in its process, and how that is reset before the next one.

All of this runs after each callable, even one that does nothing. What can be set without reading it is set; what can be
read within a system call is compared (``settings``); what only a module can change is ignored until it is loaded. If
something cannot be reset (a thread, a lowered limit), the worker is replaced.

What a module sets while it is imported stays, as its variables do: see ``adopt``.
"""

import _warnings
import contextvars
import os
import resource
import sys

from batchq.processes.worker import kernel, modules, settings
from batchq.processes.worker.handlers import Handlers
from batchq.processes.worker.streams import Streams
from batchq.processes.worker.threads import Threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LIMITS = tuple(sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}))
#: Makes Python forget which warnings it has shown, as after a change of the filters.
_forget_warnings: "Callable[[], object]" = getattr(_warnings, "_filters_mutated", int)


class Surroundings:
    """The process as the next callable finds it."""

    def __init__(self) -> None:
        self.streams = Streams()
        self._umask = _umask()
        self.is_umask_chosen = False  # true if a module has set the umask
        # A callable that changes a limit imports this module again, so its presence means that limits must be compared.
        sys.modules.pop("resource", None)
        self._settings: list[settings.Setting] = []
        self._readers: list[Callable[[], Any]] = []
        self._values: list[Any] = []
        self._anew: dict[str, Callable[[], object]] = {}
        self.context = contextvars.copy_context()  # each call gets a copy
        self.within: dict[str, Callable[[], object]] = {}  # called before each call, in its context
        self._known: set[str] = set()  # modules whose settings are compared
        self._modules = 0
        self._use([settings.interpreter()])
        self._unwatched = [(one, one.read()) for one in (*kernel.rights(), *kernel.scheduling())]
        kernel.before_changes(self._watch_rights)
        self.watch_modules()
        self.threads = Threads()
        self._handlers, self._limits = Handlers(), _limits()

    def _use(self, new: "list[settings.Setting]") -> None:
        self._settings += new
        self._readers += [one.read for one in new]
        self._values += [one.read() for one in new]

    def _watch_rights(self) -> None:
        for setting, value in self._unwatched:
            self._settings.append(setting)
            self._readers.append(setting.read)
            self._values.append(value)
        self._unwatched.clear()

    def watch_modules(self) -> None:
        """Compare the settings of modules loaded since the last call of this, too."""
        self._modules = len(sys.modules)
        for name in modules.WITH.keys() & sys.modules.keys() - self._known:
            self._known.add(name)
            try:
                self._use(modules.WITH[name](sys.modules[name]))
            except Exception:  # a module of the job that only has that name
                continue
        for table, chosen in ((modules.ANEW, self._anew), (modules.WITHIN, self.within)):
            for name in table.keys() & sys.modules.keys() - chosen.keys():
                try:
                    chosen[name] = table[name](sys.modules[name])
                except Exception:
                    chosen[name] = int

    def look(self) -> "Any":
        """Return the state of the process, for ``adopt``."""
        more = self._handlers.look(), _limits(), self.streams.look(), _umask()
        return self._read(), self.threads.now(), more, contextvars.copy_context(), modules.rounding()

    def _read(self) -> "list[Any]":
        """Return all settings; none if the job that is importing has broken one (``del sys.argv``)."""
        try:
            return [read() for read in self._readers]
        except Exception:
            return []

    def adopt(self, before: "Any") -> None:
        """Keep what has changed since ``before``: an imported module has set what it needs."""
        values, threads, (handlers, limits, streams, umask), context, rounding = before
        for number, (was, is_now) in enumerate(zip(values, self._read(), strict=False)):
            if was != is_now:
                self._values[number] = _adopted(self._values[number], was, is_now)
        self.threads.adopt(threads)
        self._handlers.adopt(handlers)
        self.streams.adopt(streams)
        if umask != (now := _umask()):
            self._umask, self.is_umask_chosen = now, True
        for variable, value in contextvars.copy_context().items():
            if context.get(variable, self) is not value:
                self.context.run(variable.set, value)
        if rounding != modules.rounding():
            self.within.pop("decimal", None)
        if limits != (bounds := _limits()):
            self._limits = bounds
        self.watch_modules()

    def reset(self) -> bool:
        """Reset the process; return false if that failed and the worker must be replaced."""
        is_whole = self._handlers.reset()
        is_whole = self.streams.flush() and is_whole
        os.umask(self._umask)
        _forget_warnings()
        if len(sys.modules) != self._modules:
            self.watch_modules()
        for anew in self._anew.values():
            anew()
        try:
            if self._values != [read() for read in self._readers]:
                is_whole = all([self._reset_setting(number) for number in range(len(self._settings))]) and is_whole
            if "resource" in sys.modules:
                self._reset_limits()
            self.streams.reset()
        except Exception:
            is_whole = False
        return self.threads.are_own() and is_whole

    def _reset_setting(self, number: int) -> bool:
        setting, value = self._settings[number], self._values[number]
        if setting.read() == value:
            return True
        if setting.write is None:
            return False
        setting.write(value)
        return bool(setting.read() == value)

    def _reset_limits(self) -> None:
        for limit, before in zip(_LIMITS, self._limits, strict=True):
            if resource.getrlimit(limit) != before:
                resource.setrlimit(limit, before)


def _adopted(kept: "Any", was: "Any", is_now: "Any") -> "Any":
    """Return the new value of a setting; if it has parts, only those that changed since ``was`` are new."""
    if type(is_now) is not tuple or not len(kept) == len(was) == len(is_now):
        return is_now
    return tuple([old if one == new else new for old, one, new in zip(kept, was, is_now, strict=True)])


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _limits() -> "tuple[tuple[int, int], ...]":
    return tuple(map(resource.getrlimit, _LIMITS))
