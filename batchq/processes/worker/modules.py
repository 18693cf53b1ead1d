"""What modules keep for the whole process, and what is put back of it once such a module is loaded.

``WITH`` has their settings, looked at after each call; ``ANEW`` is done after each call without a look, ``WITHIN`` before
each call, in the context in which it runs.
"""

from _locale import LC_ALL, setlocale
from functools import partial

from batchq.processes.worker import kernel, libc
from batchq.processes.worker.settings import Setting, attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


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
    return [attributes(threading, "excepthook", "_trace_hook", "_profile_hook")]


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
        for handler in made:  # as logging does at the end of a process
            handler.flush()
            if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
                handler.close()

    return [
        Setting("logging", read, write),
        attributes(manager, "disable"),
        attributes(logging, "raiseExceptions", "lastResort", "_logRecordFactory", "_loggerClass"),
    ]


def _numpy(numpy: "Any") -> "list[Setting]":
    return [
        Setting("numpy: errors", numpy.geterr, lambda value: numpy.seterr(**value)),
        Setting("numpy: printing", numpy.get_printoptions, lambda value: numpy.set_printoptions(**value)),
    ]


#: Of modules, once they are loaded: the name of the module, and what it has to be put back
WITH: "dict[str, Callable[[Any], list[Setting]]]" = {
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
    "multiprocessing.context": lambda module: [attributes(module._default_context, "_actual_context")],
    "tempfile": lambda tempfile: [attributes(tempfile, "tempdir", "template")],
    "ssl": lambda ssl: [attributes(ssl, "_create_default_https_context")],
    "urllib.request": lambda request: [attributes(request, "_opener")],
    "warnings": lambda warnings: [attributes(warnings, "showwarning", "formatwarning")],
    "faulthandler": lambda module: [
        Setting("faulthandler", module.is_enabled, lambda value: module.enable() if value else module.disable())
    ],
    "tracemalloc": lambda module: [
        Setting("tracemalloc", module.is_tracing, lambda value: module.start() if value else module.stop())
    ],
    "zoneinfo": lambda zoneinfo: [attributes(zoneinfo, "TZPATH")],
}


def _no_loop(asyncio: "Any") -> "Callable[[], object]":
    """No event loop is set, as in a new process, and the policy is the one that a module has chosen."""
    events = asyncio.events
    policy = events._event_loop_policy

    def anew() -> None:
        events._set_running_loop(None)
        events._event_loop_policy = policy
        if hasattr(policy, "_local"):
            policy._local = type(policy._local)()

    return anew


def _lines(_module: "Any") -> "Callable[[], object]":
    """What C prints stands among Python's lines in order."""
    setvbuf, stdout = libc.function("setvbuf"), libc.pointer("stdout")
    return int if setvbuf is None or stdout is None else partial(setvbuf, stdout, None, libc.LINES, 0)


def _no_wakeup(signal: "Any") -> "Callable[[], object]":
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    return partial(signal.set_wakeup_fd, wakeup, warn_on_full_buffer=False)


#: Of modules, once they are loaded: what is done after each call
ANEW: "dict[str, Callable[[Any], Callable[[], object]]]" = {
    "asyncio": _no_loop,
    "ctypes": _lines,
    "faulthandler": lambda faulthandler: faulthandler.cancel_dump_traceback_later,
    "signal": _no_wakeup,
}


def _own_decimal(decimal: "Any") -> "Callable[[], object]":
    """A copy of the context of the process: it is an object that all would share."""
    context = decimal.getcontext().copy()
    return lambda: decimal.setcontext(context.copy())


#: Of modules, once they are loaded: what is done before each call, in the context in which it runs
WITHIN: "dict[str, Callable[[Any], Callable[[], object]]]" = {"decimal": _own_decimal}
