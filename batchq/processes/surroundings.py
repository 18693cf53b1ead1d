"""What a callable may change of the process that performs it, and how that is put back before the next one.

All of this runs after each callable, also one that does nothing: what can be set without asking is set, what can be
compared at the price of a system call is compared, and what only a module can change that is not yet loaded is left
alone until it is. What cannot be put back (a thread, a lowered limit) costs the worker.

What a module sets while it is imported stays, as its variables do: see ``adopt``.
"""

import _locale
import _signal  # type: ignore[import-not-found]  # signal turns each answer into an enum; and who imports it is seen
import _thread
import contextlib
import fcntl
import gc
import io
import os
import resource
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SIGNALS = tuple(number for number in _signal.valid_signals() if number < 32)
_LIMITS = tuple(sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}))
_TIMERS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)
_KEPT_FROM = 1024  #: descriptors that nobody may meet by chance are numbered just below, or where the limit allows
_ROOM = 32
_LONGEST = 4096  #: bytes of a variable that is kept in place
_TOKEN = b"BATCHQ_TOKEN"
#: The mapping inside of os.environ: through its own methods each variable is decoded, 30 µs in all.
_RAW: "dict[bytes, bytes]" = os.environ._data  # type: ignore[attr-defined]
_FAREWELL = 0.002  #: seconds in which a thread that was told to end may do so


class Surroundings:
    """The process as the next callable is to find it. ``streams`` are kept copies of descriptors 0, 1 and 2."""

    def __init__(self) -> None:
        self.streams = [keep(fd) for fd in range(3)]
        self._heeding = self.streams[:]  # those that mind whether they are non-blocking
        null = os.open(os.devnull, os.O_WRONLY)
        self._null = keep(null)
        os.close(null)
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._in, self._out, self._err = sys.stdin, sys.stdout, sys.stderr
        for stream in (self._out, self._err):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
        self._encoding, self._errors = self._out.encoding, self._in.errors
        # Who wants to change a limit imports this module; whether anybody did is seen by its being there again.
        sys.modules.pop("resource", None)
        self.adopt()

    def adopt(self) -> None:
        """From now on the process is to be as it is now: a module that was imported has set what it needs."""
        self._handlers = tuple(map(_signal.getsignal, _SIGNALS))
        self._mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        self._recursion = sys.getrecursionlimit()
        self._path, self._folders = sys.path, list(sys.path)
        self._threads = _thread._count()
        self._is_collecting = gc.isenabled()
        self._hooks = (sys.gettrace(), sys.getprofile())
        self._priority = os.getpriority(os.PRIO_PROCESS, 0)
        self._cores = _cores()
        self._locale = _locale.setlocale(_locale.LC_ALL)
        self._limits = tuple(map(resource.getrlimit, _LIMITS))

    def put_back(self) -> bool:
        """Make the process as it was; False where that cannot be done, and another process must go on."""
        is_whole = "signal" not in sys.modules or self._put_back_signals()
        self._put_back_streams()
        os.umask(self._umask)
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
        if sys.path is not self._path or sys.path != self._folders:
            sys.path = self._path
            sys.path[:] = self._folders
        if gc.isenabled() != self._is_collecting:
            (gc.enable if self._is_collecting else gc.disable)()
        if (sys.gettrace(), sys.getprofile()) != self._hooks:
            sys.settrace(self._hooks[0])
            sys.setprofile(self._hooks[1])
        try:
            if os.getpriority(os.PRIO_PROCESS, 0) != self._priority:
                os.setpriority(os.PRIO_PROCESS, 0, self._priority)
            if self._cores != _cores():
                os.sched_setaffinity(0, self._cores)
            if "locale" in sys.modules and _locale.setlocale(_locale.LC_ALL) != self._locale:
                _locale.setlocale(_locale.LC_ALL, self._locale)
            if "resource" in sys.modules:
                self._put_back_limits()
            for kept in self._heeding:
                if not os.get_blocking(kept):  # set through a copy, for dup2 shares the flag
                    os.set_blocking(kept, True)
            for fd, kept in enumerate(self.streams):
                os.dup2(kept, fd)
        except (OSError, ValueError, _locale.Error):  # type: ignore[attr-defined]
            return False
        return is_whole and (_thread._count() <= self._threads or self._see_threads_off())

    def _put_back_signals(self) -> bool:
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        is_whole = tuple(map(_signal.getsignal, _SIGNALS)) == self._handlers or self._put_back_handlers()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._mask)
        return is_whole

    def _put_back_handlers(self) -> bool:
        for timer in _TIMERS:
            _signal.setitimer(timer, 0)
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            if _signal.getsignal(number) == handler:
                continue
            if handler is None:  # it was not set by Python, so Python cannot set it again
                return False
            _signal.signal(number, handler)
        return True

    def _put_back_limits(self) -> None:
        for limit, before in zip(_LIMITS, self._limits, strict=True):
            if resource.getrlimit(limit) != before:
                resource.setrlimit(limit, before)

    def _see_threads_off(self) -> bool:
        time.sleep(_FAREWELL)
        return _thread._count() <= self._threads

    # --- streams -------------------------------------------------------------------------------------------------------

    def direct(self, out: int, err: int, *, are_files: bool) -> None:
        """From now on what is printed goes to these."""
        self.streams[1:] = out, err
        self._heeding = [] if are_files else self.streams[:]
        for fd in (1, 2):
            os.dup2(self.streams[fd], fd)

    def _put_back_streams(self) -> None:
        """Write out what is buffered, while it still goes where the callable wanted it; then see to whole streams."""
        is_whole = sys.stdout is self._out and sys.stderr is self._err and sys.stdin is self._in
        if not is_whole:
            for other in (sys.stdout, sys.stderr):
                with contextlib.suppress(BaseException):  # the callable's own object may do anything
                    other.flush()
        try:
            self._out.flush()
            self._err.flush()
            if is_whole and not self._in.closed and self._is_as_opened(self._out) and self._is_as_opened(self._err):
                return
        except (OSError, ValueError):
            self._discard()
        self._reopen()

    def _reopen(self) -> None:
        for fd, name in enumerate(("stdin", "stdout", "stderr")):
            raw = open(fd, "wb" if fd else "rb", closefd=False)
            stream = io.TextIOWrapper(
                raw, self._encoding, "backslashreplace" if fd else self._errors, line_buffering=fd > 0
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        self._in, self._out, self._err = sys.stdin, sys.stdout, sys.stderr

    def _is_as_opened(self, stream: "Any") -> bool:
        return (
            not stream.closed
            and bool(stream.line_buffering)
            and stream.errors == "backslashreplace"
            and stream.encoding == self._encoding
        )

    def _discard(self) -> None:
        """Words that cannot be written must not be written later, as those of the next callable."""
        for fd, stream in ((1, self._out), (2, self._err)):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(self._null, fd)
                stream.flush()


class Variables:
    """The environment of the process, for values that are other ones in each task.

    ``os.environ[name] = value`` calls setenv(3), and that of glibc keeps every value that it has ever seen: a worker
    would grow by 80 bytes a task. putenv(3) takes memory of ours, in which the value can change (Linux).
    """

    def __init__(self) -> None:
        self._left = _RAW.copy()
        self._entries: dict[str, tuple[Any, bytes, bytes]] = {}
        self._values: dict[str, bytes] = {}
        self._putenv: Any = None
        if sys.platform == "linux":
            import ctypes

            self._putenv, self._memory = ctypes.CDLL(None).putenv, ctypes.create_string_buffer

    def are_touched(self) -> bool:
        """Whether anybody else has changed the environment since the last call of ``reset`` or ``put``."""
        # The token is of another identity where somebody has set all of it anew, to the same values.
        return _RAW.get(_TOKEN) is not self._left.get(_TOKEN) or self._left != _RAW

    def reset(self, variables: dict[str, str]) -> None:
        """Set these, and no others."""
        os.environ.clear()
        os.environ.update(variables)
        self._left = _RAW.copy()

    def put(self, name: str, value: str) -> None:
        """Set one variable."""
        data = value.encode("utf-8", "surrogateescape")
        if self._putenv is None or len(data) >= _LONGEST or not name.startswith("BATCHQ_"):
            os.environ[name] = value
            self._left = _RAW.copy()
            return
        if name not in self._entries:
            key = name.encode()
            self._entries[name] = self._memory(len(key) + 1 + _LONGEST), key, key + b"="
        entry, key, beginning = self._entries[name]
        entry.value = beginning + data
        known = self._values.get(name)
        if known is None or _RAW.get(key) is not known:  # it is new, or somebody has set it since
            self._putenv(entry)
        self._values[name] = self._left[key] = _RAW[key] = data


def keep(fd: int) -> int:
    """A copy of a descriptor under a number where no callable comes by when it closes a few."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    start = max(10, (_KEPT_FROM if most == resource.RLIM_INFINITY else min(most, _KEPT_FROM)) - _ROOM)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, start)
    except OSError:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if sys.platform == "linux" else set()
