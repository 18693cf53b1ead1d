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
from operator import attrgetter, itemgetter
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
_LISTS = "argv", "path", "meta_path", "path_hooks"
_OF_SYS = (
    "excepthook", "displayhook", "unraisablehook", "breakpointhook", "dont_write_bytecode", "pycache_prefix", "executable",
    *_LISTS,
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


def together(name: str, read: "Callable[[], tuple[Any, ...]]", *writes: "Write") -> Setting:
    """Several that are read in one function: to ask each for itself takes twice as long."""

    def write(values: "tuple[Any, ...]") -> None:
        for value, is_now, write_one in zip(values, read(), writes, strict=True):
            if value != is_now:
                write_one(value)

    return Setting(name, read, write)


def always() -> "list[Setting]":
    """What can be changed without importing anything."""
    return [_interpreter(), _of_sys(), _shared()]


def _interpreter() -> Setting:
    return together(
        "interpreter",
        lambda: (
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
        ),
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
    )


def _of_sys() -> Setting:
    """Variables of ``sys``; and what is in those that are lists, where each may be another list by now."""
    variables, chosen = vars(sys), itemgetter(*_OF_SYS)

    def write(values: "tuple[Any, ...]") -> None:
        count, named, limit, *contents = values
        variables.update(zip(_OF_SYS, named, strict=True))
        for name, content in zip(_LISTS, contents, strict=True):
            variables[name][:] = content
        variables.pop("tracebacklimit", None)
        if limit is not _MISSING:
            variables["tracebacklimit"] = limit
        for name in list(variables)[count:]:  # the newest
            del variables[name]

    return Setting(
        "sys",
        lambda: (
            len(variables),
            chosen(variables),
            variables.get("tracebacklimit", _MISSING),
            tuple(sys.argv),
            tuple(sys.path),
            tuple(sys.meta_path),
            tuple(sys.path_hooks),
        ),
        write,
    )


def _shared() -> Setting:
    """What all code shares. Of the builtins, how many there are, and those that are replaced now and then: to compare all
    of them takes 1 µs."""
    names, filters = vars(builtins), _warnings.filters
    before = names.copy()
    chosen = itemgetter(
        "__import__", "__build_class__", "print", "open", "input", "sum", "round", "sorted", "len", "type"
    )

    def write_builtins(_value: object) -> None:
        names.clear()
        names.update(before)

    return together(
        "builtins, warnings and callbacks of the garbage collector",
        lambda: ((len(names), chosen(names)), tuple(filters), tuple(callbacks)),
        write_builtins,
        _contents(filters),
        _contents(callbacks),
    )


def _contents(of: "list[Any]") -> "Write":
    """What sets what is in a list, which stays the same object."""
    return partial(of.__setitem__, slice(None))
