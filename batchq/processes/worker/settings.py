"""The settings of the interpreter, compared after each call; those of the kernel and of modules have their own files.

If a value differs from before the call, it is set again; if ``write`` is None or fails, the worker is replaced. A setting
that is in no list stays changed: docs/python.md names those, and tests/processes/test_settings.py checks for each setter
of CPython where it belongs.
"""

import _warnings
import builtins
import sys
from _thread import stack_size
from collections import namedtuple
from functools import partial
from gc import callbacks, disable, enable, get_debug, get_threshold, isenabled, set_debug, set_threshold
from operator import attrgetter
from sys import (
    get_asyncgen_hooks,
    get_coroutine_origin_tracking_depth,
    get_int_max_str_digits,
    getdlopenflags,
    getprofile,
    getrecursionlimit,
    getswitchinterval,
    gettrace,
    set_asyncgen_hooks,
    set_coroutine_origin_tracking_depth,
    set_int_max_str_digits,
    setdlopenflags,
    setprofile,
    setrecursionlimit,
    setswitchinterval,
    settrace,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Write = Callable[[Any], object]

_MISSING = object()
_HOOKS = (
    "excepthook", "displayhook", "unraisablehook", "breakpointhook", "dont_write_bytecode", "pycache_prefix", "executable",
)  # fmt: skip


class Setting(namedtuple("Setting", ("name", "read", "write"))):
    """``read()`` returns a value that does not change afterwards; ``write(value)`` restores it.

    A tuple has parts: if an import changes one of them, only that part is kept.
    """

    __slots__ = ()


def attributes(of: object, *names: str) -> Setting:
    """Return the setting for attributes that exist in any process."""

    def write(values: "tuple[Any, ...]") -> None:
        for name, value in zip(names, values if len(names) > 1 else (values,), strict=True):
            setattr(of, name, value)

    return Setting(f"{getattr(of, '__name__', of)}: {' '.join(names)}", partial(attrgetter(*names), of), write)


def interpreter() -> Setting:
    """Return the setting for what can be changed without an import, read in one function: one each takes twice as long.

    Of the builtins, their number and the ones that are sometimes replaced are compared: comparing all takes 1 µs.
    """
    variables, names, filters = vars(sys), vars(builtins), _warnings.filters
    before = names.copy()

    def read() -> "tuple[Any, ...]":
        return (
            getrecursionlimit(),
            getswitchinterval(),
            get_int_max_str_digits(),
            getdlopenflags(),
            get_coroutine_origin_tracking_depth(),
            get_asyncgen_hooks(),
            gettrace(),
            getprofile(),
            isenabled(),
            get_threshold(),
            get_debug(),
            stack_size(),
            tuple(filters),
            tuple(callbacks),
            variables.get("tracebacklimit", _MISSING),
            sys.excepthook,
            sys.displayhook,
            sys.unraisablehook,
            sys.breakpointhook,
            sys.dont_write_bytecode,
            sys.pycache_prefix,
            sys.executable,
            sys.argv,
            tuple(sys.argv),
            sys.path,
            tuple(sys.path),
            sys.meta_path,
            tuple(sys.meta_path),
            sys.path_hooks,
            tuple(sys.path_hooks),
            len(variables),
            (
                len(names),
                builtins.__import__,
                builtins.__build_class__,
                builtins.print,
                builtins.open,
                builtins.input,
                builtins.sum,
                builtins.round,
                builtins.sorted,
                builtins.len,
                builtins.type,
            ),
        )

    def write_count(count: int) -> None:
        for name in list(variables)[count:]:  # the newest ones
            del variables[name]

    def write_builtins(_value: object) -> None:
        names.clear()
        names.update(before)

    writes: tuple[Write, ...] = (
        setrecursionlimit,
        setswitchinterval,
        set_int_max_str_digits,
        setdlopenflags,
        set_coroutine_origin_tracking_depth,
        lambda hooks: set_asyncgen_hooks(*hooks),
        settrace,
        setprofile,
        lambda is_on: enable() if is_on else disable(),
        lambda counts: set_threshold(*counts),
        set_debug,
        stack_size,
        _contents(lambda: filters),
        _contents(lambda: callbacks),
        partial(_set, "tracebacklimit"),
        *[partial(_set, name) for name in _HOOKS],
        partial(_set, "argv"),
        _contents(lambda: sys.argv),
        partial(_set, "path"),
        _contents(lambda: sys.path),
        partial(_set, "meta_path"),
        _contents(lambda: sys.meta_path),
        partial(_set, "path_hooks"),
        _contents(lambda: sys.path_hooks),
        write_count,
        write_builtins,
    )

    def write(values: "tuple[Any, ...]") -> None:
        for number, (value, write_one) in enumerate(zip(values, writes, strict=True)):
            if value != read()[number]:  # read again: a list may have been restored just now, with other contents
                write_one(value)

    return Setting("interpreter", read, write)


def _set(name: str, value: object) -> None:
    """Set a variable of ``sys``, or delete it."""
    if value is not _MISSING:
        setattr(sys, name, value)
    elif hasattr(sys, name):
        delattr(sys, name)


def _contents(of: "Callable[[], list[Any]]") -> "Write":
    """Return a function that sets the contents of a list."""

    def write(content: "tuple[Any, ...]") -> None:
        of()[:] = content

    return write
