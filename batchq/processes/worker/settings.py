"""The settings of the interpreter, looked at after each call; those of the kernel and of modules stand beside this.

A value that differs from the one before the call is set again; where ``write`` is None, or fails, the worker is replaced.
What is in no list stays: docs/python.md names it, and tests/processes/test_settings.py asks of each setter of CPython in
which it is.
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
    """``read()`` gives a value that does not change afterwards; ``write(value)`` makes it so again.

    A value that is a tuple has parts: where a module changes one while it is imported, that alone is to stay.
    """

    __slots__ = ()


def attributes(of: object, *names: str) -> Setting:
    """Attributes that are there in any process."""

    def write(values: "tuple[Any, ...]") -> None:
        for name, value in zip(names, values if len(names) > 1 else (values,), strict=True):
            setattr(of, name, value)

    return Setting(f"{getattr(of, '__name__', of)}: {' '.join(names)}", partial(attrgetter(*names), of), write)


def interpreter() -> Setting:
    """What can be changed without importing anything, read in one function: one for each would take twice as long.

    Of the builtins it is how many there are, and those that are replaced now and then: to compare all takes 1 µs.
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
        for name in list(variables)[count:]:  # the newest
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
            if value != read()[number]:  # read anew: what is in a list is that of the list that has been put back
                write_one(value)

    return Setting("interpreter", read, write)


def _set(name: str, value: object) -> None:
    """Let a variable of ``sys`` be so."""
    if value is not _MISSING:
        setattr(sys, name, value)
    elif hasattr(sys, name):
        delattr(sys, name)


def _contents(of: "Callable[[], list[Any]]") -> "Write":
    """What sets what is in a list."""

    def write(content: "tuple[Any, ...]") -> None:
        of()[:] = content

    return write
