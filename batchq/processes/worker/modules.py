"""Settings that modules keep for the whole process, and that are reset once such a module is loaded.

``WITH`` has settings that are compared after each call; ``ANEW`` is called after each call without a comparison, ``WITHIN``
before each call, in its context.
"""

import sys
from _locale import LC_ALL, setlocale
from functools import partial

from batchq.processes.worker import kernel, libc
from batchq.processes.worker.settings import Setting, attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _table(name: str, of: "dict[Any, Any]") -> Setting:
    """Return the setting for the contents of a mapping."""

    def write(value: "dict[Any, Any]") -> None:
        of.clear()
        of.update(value)

    return Setting(name, of.copy, write)


def _event_loop(asyncio: "Any") -> "list[Setting]":
    """Return the setting of the event loop, which the policy keeps for each thread; a new process has neither."""
    events = asyncio.events

    def read() -> "tuple[Any, ...]":
        policy = events._event_loop_policy
        local = getattr(policy, "_local", None)
        loop = () if local is None else (local._loop, local._set_called)
        return events._get_running_loop(), policy, loop

    def write(value: "tuple[Any, ...]") -> None:
        running, policy, loop = value
        events._set_running_loop(running)
        events._event_loop_policy = policy
        if loop:
            policy._local = type(policy._local)()
            policy._local._loop, policy._local._set_called = loop

    return [Setting("event loop", read, write)]


def _locale(_module: "Any") -> "list[Setting]":
    return [Setting("locale", partial(setlocale, LC_ALL), partial(setlocale, LC_ALL))]


def _decimal(decimal: "Any") -> "list[Setting]":
    default = decimal.DefaultContext
    names = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
    values = attributes(default, *names)
    return [
        Setting("decimal.DefaultContext", lambda: (values.read(), tuple(default.traps.items())), lambda value: (
            values.write(value[0]), default.traps.update(value[1])))
    ]  # fmt: skip


def _socket(socket: "Any") -> "list[Setting]":
    return [
        Setting("timeout of sockets", socket.getdefaulttimeout, socket.setdefaulttimeout),
        attributes(socket, "socket", "create_connection", "getaddrinfo"),
    ]


def _threading(threading: "Any") -> "list[Setting]":
    return [
        attributes(threading, "excepthook", "_trace_hook", "_profile_hook"),
        attributes(threading.main_thread(), "_name"),
    ]


def _current_process(process: "Any") -> "list[Setting]":
    return [attributes(process._current_process, "_name"), _table("authkey", process._current_process._config)]


def _loggers(logging: "Any") -> "list[Setting]":
    names = ("level", "disabled", "propagate")
    manager = logging.root.manager

    new: tuple[Any, ...] = (0, False, True, [], [])

    def read() -> "dict[Any, Any]":
        known = [logging.root, *[one for one in manager.loggerDict.values() if isinstance(one, logging.Logger)]]
        states = [(one.level, one.disabled, one.propagate, one.handlers[:], one.filters[:]) for one in known]
        return {one: state for one, state in zip(known, states, strict=True) if state != new}

    def write(before: "dict[Any, Any]") -> None:
        made: dict[Any, None] = {}
        for logger in read() | before:
            level, disabled, propagate, handlers, filters = before.get(logger, new)
            made |= dict.fromkeys(one for one in logger.handlers if one not in handlers)
            for name, value in zip(names, (level, disabled, propagate), strict=True):
                setattr(logger, name, value)
            logger.handlers[:], logger.filters[:] = handlers, filters
        manager._clear_cache()
        for handler in made:  # as logging does when a process ends
            handler.flush()
            if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
                handler.close()

    return [
        Setting("logging", read, write),
        attributes(manager, "disable", "loggerClass", "logRecordFactory"),
        attributes(
            logging, "raiseExceptions", "lastResort", "_logRecordFactory", "_loggerClass", "_warnings_showwarning",
            "logThreads", "logProcesses", "logMultiprocessing",
        ),
        attributes(logging.Formatter, "converter", "default_time_format", "default_msec_format"),
        _table("names of levels", logging._levelToName),
        _table("levels of names", logging._nameToLevel),
    ]  # fmt: skip


def _numpy(numpy: "Any") -> "list[Setting]":
    return [
        Setting("numpy: errors", numpy.geterr, lambda value: numpy.seterr(**value)),
        Setting("numpy: printing", numpy.get_printoptions, lambda value: numpy.set_printoptions(**value)),
    ]


#: For each module, once it is loaded: its settings
WITH: "dict[str, Callable[[Any], list[Setting]]]" = {
    "asyncio": _event_loop,
    "ctypes": lambda _module: kernel.everything(),
    "psutil": lambda _module: kernel.scheduling(),
    "setproctitle": lambda _module: kernel.process_name(),
    "locale": _locale,
    "decimal": _decimal,
    "socket": _socket,
    "threading": _threading,
    "logging": _loggers,
    "numpy": _numpy,
    "csv": lambda csv: [
        Setting("csv: size of a field", csv.field_size_limit, csv.field_size_limit),
    ],
    "multiprocessing.process": _current_process,
    "multiprocessing.context": lambda module: [attributes(module._default_context, "_actual_context")],
    "tempfile": lambda tempfile: [attributes(tempfile, "tempdir", "template")],
    "ssl": lambda ssl: [attributes(ssl, "_create_default_https_context")],
    "urllib.request": lambda request: [attributes(request, "_opener")],
    "warnings": lambda warnings: [
        attributes(warnings, "showwarning", "formatwarning", "_showwarnmsg_impl", "filters", "defaultaction"),
    ],
    "faulthandler": lambda module: [
        Setting("faulthandler", module.is_enabled, lambda value: module.enable() if value else module.disable()),
        *kernel.status(),
    ],
    "tracemalloc": lambda module: [
        Setting("tracemalloc", module.is_tracing, lambda value: module.start() if value else module.stop())
    ],
    "zoneinfo": lambda zoneinfo: [attributes(zoneinfo, "TZPATH")],
}


def _lines(_module: "Any") -> "Callable[[], object]":
    """Keep the output of C in order with Python's lines."""
    setvbuf, stdout = libc.function("setvbuf"), libc.pointer("stdout")
    return int if setvbuf is None or stdout is None else partial(setvbuf, stdout, None, libc.LINES, 0)


#: For each module, once it is loaded: a function that is called after each call
ANEW: "dict[str, Callable[[Any], Callable[[], object]]]" = {
    "ctypes": _lines,
    "faulthandler": lambda faulthandler: faulthandler.cancel_dump_traceback_later,
}


def rounding() -> object:
    """Return the settings of the current context of ``decimal``; None if it is not loaded."""
    decimal = sys.modules.get("decimal")
    if decimal is None or not hasattr(decimal, "getcontext"):
        return None
    now = decimal.getcontext()
    return now.prec, now.rounding, now.Emin, now.Emax, now.capitals, now.clamp, tuple(now.traps.items())


def _own_decimal(decimal: "Any") -> "Callable[[], object]":
    """Give each call its own copy of the decimal context: all calls would share the object otherwise."""
    context = decimal.getcontext().copy()
    return lambda: decimal.setcontext(context.copy())


#: For each module, once it is loaded: a function that is called before each call, in its context
WITHIN: "dict[str, Callable[[Any], Callable[[], object]]]" = {"decimal": _own_decimal}
