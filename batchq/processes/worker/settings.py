"""The settings of a process, one line each: how to read it and how to set it.

``always`` is looked at after each call; ``WITH`` has those of modules, looked at once the module is loaded. A value that
differs from the one before the call is set again; where ``write`` is None, or fails, the worker is replaced. ``ANEW`` is
done after each call without a look, ``WITHIN`` before each call, in the context in which it runs. What is in none of the
lists stays: docs/python.md names it, and tests/processes/test_settings.py asks of each setter of CPython in which it is.
"""

import _thread
import _warnings
import builtins
import gc
import os
import sys
from _locale import LC_ALL, setlocale
from collections import namedtuple
from functools import partial, wraps
from operator import attrgetter, itemgetter

from batchq.processes.worker import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Write = Callable[[Any], object]

_MISSING = object()
_NAME, _GET_NAME = 15, 16  #: PR_SET_NAME and PR_GET_NAME of prctl(2)
_DEATH_SIGNAL, _GET_DEATH_SIGNAL, _SUBREAPER, _GET_SUBREAPER = 1, 2, 36, 37
#: Lines of /proc/self/status that no program changes but by a call of the kernel, most of them for ever
_STATUS = (b"Uid", b"Gid", b"Groups", b"SigBlk", b"SigIgn", b"Cap", b"NoNewPrivs", b"Seccomp")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid_for_children", "time_for_children", "user", "uts")


class Setting(namedtuple("Setting", ("name", "read", "write"))):
    """``read()`` gives a value that does not change afterwards; ``write(value)`` makes it so again."""

    __slots__ = ()


def attributes(of: object, *names: str) -> Setting:
    """Attributes that are there in any process."""

    def write(values: "tuple[Any, ...]") -> None:
        for name, value in zip(names, values if len(names) > 1 else (values,), strict=True):
            setattr(of, name, value)

    return Setting(f"{getattr(of, '__name__', of)}: {' '.join(names)}", partial(attrgetter(*names), of), write)


def optional(of: object, name: str) -> Setting:
    """An attribute that may be missing."""

    def write(value: object) -> None:
        if value is not _MISSING:
            setattr(of, name, value)
        elif hasattr(of, name):
            delattr(of, name)

    # Not getattr: an attribute that is missing costs it an exception, 1 µs.
    return Setting(f"{getattr(of, '__name__', of)}: {name}", partial(vars(of).get, name, _MISSING), write)


def contents(name: str, of: "list[Any]") -> Setting:
    """What is in a list that stays the same object."""
    return Setting(name, partial(tuple, of), partial(of.__setitem__, slice(None)))


def _search_path() -> Setting:
    path = sys.path

    def write(value: "tuple[bool, tuple[str, ...]]") -> None:
        sys.path = path
        path[:] = value[1]

    return Setting("sys.path", lambda: (sys.path is path, tuple(sys.path)), write)


def _hooks() -> Setting:
    def write(value: "tuple[Any, Any]") -> None:
        sys.settrace(value[0])
        sys.setprofile(value[1])

    return Setting("tracing and profiling", lambda: (sys.gettrace(), sys.getprofile()), write)


def _builtins() -> Setting:
    """How many there are, and those that are replaced now and then: to compare all of them takes 1 µs."""
    names = vars(builtins)
    before = names.copy()
    chosen = itemgetter(
        "__import__", "__build_class__", "print", "open", "input", "sum", "round", "sorted", "len", "type"
    )

    def write(_value: object) -> None:
        names.clear()
        names.update(before)

    return Setting("builtins", lambda: (len(names), chosen(names)), write)


def scheduling() -> "list[Setting]":
    """How the process gets its turns."""
    found = [
        Setting("priority", partial(os.getpriority, os.PRIO_PROCESS, 0), partial(os.setpriority, os.PRIO_PROCESS, 0))
    ]
    if hasattr(os, "sched_getaffinity"):
        found.append(Setting("cores", partial(os.sched_getaffinity, 0), partial(os.sched_setaffinity, 0)))
        found.append(Setting("scheduling policy", partial(os.sched_getscheduler, 0), None))
    return found


#: What these change is looked at from their first call on: it takes some calls of the kernel.
SELDOM = (
    "chroot", "initgroups", "nice", "sched_setaffinity", "sched_setparam", "sched_setscheduler", "setegid", "seteuid",
    "setgid", "setgroups", "setns", "setpriority", "setregid", "setresgid", "setresuid", "setreuid", "setuid", "unshare",
)  # fmt: skip


def rights() -> "list[Setting]":
    """Who the process is, and what it sees of the machine."""
    return [
        Setting("users", os.getresuid if hasattr(os, "getresuid") else os.geteuid, None),
        Setting("groups", lambda: (os.getresgid() if libc.IS_LINUX else os.getegid(), os.getgroups()), None),
        Setting("root folder", lambda: os.stat("/")[1:3], None),
        *_namespaces(),
    ]


def watch_seldom(note: "Callable[[], object]") -> None:
    """Call ``note`` before each call of these functions of ``os``."""

    def noting(function: "Callable[..., Any]") -> "Callable[..., Any]":
        @wraps(function)
        def noted(*words: "Any", **named: "Any") -> "Any":
            note()
            return function(*words, **named)

        return noted

    for name in SELDOM:
        if (function := getattr(os, name, None)) is not None:
            setattr(os, name, noting(function))


def _process_name(prctl: "Callable[..., int]") -> Setting:
    name = libc.memory(16)

    def read() -> bytes:
        prctl(_GET_NAME, name)
        return bytes(name.value)

    return Setting("process name", read, partial(prctl, _NAME))


def _kernel(_module: "Any" = None) -> "list[Setting]":
    """What takes a call of the kernel that Python has no name for: looked at once something can make it (ctypes)."""
    prctl = libc.function("prctl")
    if not libc.IS_LINUX or prctl is None or not os.path.exists("/proc/self/status"):
        return []
    told = libc.memory(4)

    def of(question: int) -> bytes:
        prctl(question, told)
        return bytes(told.raw)

    def set_again(values: "list[bytes]") -> None:
        for question, value in zip((_DEATH_SIGNAL, _SUBREAPER), values, strict=True):
            prctl(question, int.from_bytes(value, sys.byteorder), 0, 0, 0)

    return [
        Setting("death signal and orphans", lambda: [of(_GET_DEATH_SIGNAL), of(_GET_SUBREAPER)], set_again),
        Setting("rights and ignored signals", _status, None),
        _process_name(prctl),
        *rights(),
        *scheduling(),
    ]


def _status() -> "list[bytes]":
    fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return [line for line in os.read(fd, 8192).split(b"\n") if line.startswith(_STATUS)]
    finally:
        os.close(fd)


def _namespaces() -> "list[Setting]":
    paths = [path for name in _NAMESPACES if os.path.exists(path := f"/proc/self/ns/{name}")]
    return [Setting("namespaces", lambda: [os.readlink(path) for path in paths], None)]


def always() -> "list[Setting]":
    """What can be changed without importing anything."""
    return [
        Setting("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        Setting("switch interval", sys.getswitchinterval, sys.setswitchinterval),
        Setting("digits of a number", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
        Setting("flags of dlopen", sys.getdlopenflags, sys.setdlopenflags),
        Setting(
            "origin of coroutines", sys.get_coroutine_origin_tracking_depth, sys.set_coroutine_origin_tracking_depth
        ),
        Setting("hooks of async generators", sys.get_asyncgen_hooks, lambda value: sys.set_asyncgen_hooks(*value)),
        attributes(
            sys,
            "excepthook",
            "displayhook",
            "unraisablehook",
            "breakpointhook",
            "dont_write_bytecode",
            "pycache_prefix",
            "executable",
        ),
        optional(sys, "tracebacklimit"),
        contents("sys.argv", sys.argv),
        contents("sys.meta_path", sys.meta_path),
        contents("sys.path_hooks", sys.path_hooks),
        contents("warnings", _warnings.filters),
        contents("callbacks of the garbage collector", gc.callbacks),
        _builtins(),
        _search_path(),
        _hooks(),
        Setting("garbage collection", gc.isenabled, lambda value: gc.enable() if value else gc.disable()),
        Setting("thresholds of the garbage collector", gc.get_threshold, lambda value: gc.set_threshold(*value)),
        Setting("debugging of the garbage collector", gc.get_debug, gc.set_debug),
        Setting("stack of threads", _thread.stack_size, _thread.stack_size),
    ]


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
    "ctypes": _kernel,
    "psutil": lambda _module: scheduling(),
    "setproctitle": lambda _module: [] if (prctl := libc.function("prctl")) is None else [_process_name(prctl)],
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
