"""A few functions of the C library.

They are called through ``_ctypes``, the part of ``ctypes`` written in C. All of ``ctypes`` takes 3 ms to import, and
only if a job has imported it can the job have changed certain things.
"""

import contextlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ctypes: "Any"
try:
    import _ctypes
except ImportError:  # this Python was built without it
    _ctypes = None

LINES = 1  #: _IOLBF of stdio.h: a stream that is written line by line
IS_LINUX = sys.platform == "linux"


def function(name: str) -> "Callable[..., int] | None":
    """Return the function of that name, for whole numbers, bytes and None; None if there is none."""
    if _ctypes is None:
        return None
    try:
        address = _ctypes.dlsym(_ctypes.dlopen(None, 0), name)
    except OSError:
        return None
    found: Callable[..., int] = _function_type()(address)
    return found


def pointer(name: str) -> "Any":
    """Return what a variable points to, as an argument for a function; None if there is no variable of that name."""
    if _ctypes is None:
        return None
    try:
        address = _ctypes.dlsym(_ctypes.dlopen(None, 0), name)
    except OSError:
        return None
    kind: Any = type("c_void_p", (_ctypes._SimpleCData,), {"_type_": "P"})
    return kind.from_address(address)


class Variables:
    """The environment in C; ``os.environ`` is a copy of it."""

    def __init__(self) -> None:
        self._array: Any = None  # the variable ``environ``
        self._recorded: tuple[int, bytes] = 0, b""
        self._strings: Any = None
        if _ctypes is not None:
            with contextlib.suppress(OSError):
                address = _ctypes.dlsym(_ctypes.dlopen(None, 0), "environ")
                number: Any = type("c_ulong", (_ctypes._SimpleCData,), {"_type_": "L"})
                self._array = number.from_address(address)
                self._text: Any = type("c_char_p", (_ctypes._SimpleCData,), {"_type_": "z"})

    def record(self, *, is_known: bool) -> None:
        """Record the addresses of all variables, up to the null after them. ``is_known``: no name is new or gone."""
        if self._array is not None and (place := self._array.value):
            if not is_known or place != self._recorded[0]:
                size = _ctypes.sizeof(self._array)
                self._strings = (_letter() * (size * (len(self.all()) + 1))).from_address(place)
            self._recorded = place, self._strings.raw

    def have_changed(self) -> bool:
        """Return whether any variable was set or removed since ``record``."""
        place, strings = self._recorded
        return self._strings is not None and not (self._array.value == place and self._strings.raw == strings)

    def all(self) -> dict[bytes, bytes]:
        """Return their names and values."""
        found: dict[bytes, bytes] = {}
        if self._array is not None and (place := self._array.value):
            while (text := self._text.from_address(place).value) is not None:
                name, _, value = text.partition(b"=")
                found[name] = value
                place += _ctypes.sizeof(self._array)
        return found


class Slot:
    """A variable of the environment whose value changes in place (Linux), up to ``LONGEST`` bytes.

    setenv(3) of glibc never frees a value, which takes 150 bytes a task; putenv(3) takes memory of the caller.
    """

    LONGEST = 4096

    def __init__(self, name: bytes) -> None:
        self._beginning = name + b"="
        self._entry: Any = (_letter() * (len(self._beginning) + self.LONGEST))()
        self._putenv: Any = function("putenv")

    def set(self, value: bytes, *, is_placed: bool) -> None:
        """Set the value. ``is_placed``: the environment has this memory already."""
        self._entry.value = self._beginning + value
        if not is_placed:
            self._putenv(self._entry)


def zone() -> "Callable[[], object]":
    """Return a function that returns the current time zone of the C library."""
    if _ctypes is None:
        return int
    try:
        names, offset = (_ctypes.dlsym(_ctypes.dlopen(None, 0), name) for name in ("tzname", "timezone"))
    except OSError:
        return int
    text: Any = type("c_char_p", (_ctypes._SimpleCData,), {"_type_": "z"})
    number: Any = type("c_long", (_ctypes._SimpleCData,), {"_type_": "l"})
    first, second, west = text.from_address(names), (text * 2).from_address(names), number.from_address(offset)
    return lambda: (first.value, second[1], west.value)


def memory(size: int) -> "Any":
    """Return a buffer of ``size`` bytes for a function: ``raw`` is all of it, ``value`` up to the first NUL."""
    return (_letter() * size)()


def _letter() -> "Any":
    return type("c_char", (_ctypes._SimpleCData,), {"_type_": "c"})


def _function_type() -> "Any":
    number = type("c_int", (_ctypes._SimpleCData,), {"_type_": "i"})
    return type("Function", (_ctypes.CFuncPtr,), {"_flags_": _ctypes.FUNCFLAG_CDECL, "_restype_": number})
