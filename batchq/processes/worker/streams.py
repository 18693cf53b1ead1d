"""stdin, stdout and stderr of a worker: what a callable printed goes where it was to go; the next finds them whole."""

import contextlib
import fcntl
import io
import os
import resource
import sys

from batchq.processes.worker import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEPT_FROM = 1024  #: descriptors that nobody may meet by chance are numbered just below, or where the limit allows
_ROOM = 32


class _Printed(io.FileIO):
    """What is printed goes to a file at one time, to a pipe at another: who wraps the stream must not be told to ask for
    the place in it."""

    def seekable(self) -> bool:
        return False


class Streams:
    """``kept`` are copies of the descriptors 0, 1 and 2, where no callable comes by."""

    def __init__(self) -> None:
        self.kept = [keep(fd) for fd in range(3)]
        self._heeding = self.kept[:]  # those that mind whether they are non-blocking
        null = os.open(os.devnull, os.O_WRONLY)
        self._null = keep(null)
        os.close(null)
        self._in, self._out, self._err = sys.stdin, sys.stdout, sys.stderr
        for stream in (self._out, self._err):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
        self._encoding, self._errors = self._out.encoding, self._in.errors
        # What C libraries print is buffered by stdio: line by line, so that it stands among Python's lines in order.
        self._flush_stdio = libc.function("fflush")
        setvbuf = libc.function("setvbuf")
        if setvbuf is not None and (stdout := libc.pointer("stdout")) is not None:
            setvbuf(stdout, None, libc.LINES, 0)

    def direct(self, out: int, err: int, *, are_files: bool) -> None:
        """From now on what is printed goes to these."""
        self.kept[1:] = out, err
        self._heeding = [] if are_files else self.kept[:]
        for fd in (1, 2):
            os.dup2(self.kept[fd], fd)

    def flush(self) -> None:
        """Write out what is buffered, while it still goes where the callable wanted it; then see to whole streams."""
        if self._flush_stdio is not None:
            self._flush_stdio(None)
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

    def put_back(self) -> None:
        """Let the descriptors 0, 1 and 2 be what they were. Raises OSError."""
        for kept in self._heeding:
            if not os.get_blocking(kept):  # set through a copy, for dup2 shares the flag
                os.set_blocking(kept, True)
        for fd, kept in enumerate(self.kept):
            os.dup2(kept, fd)

    def _reopen(self) -> None:
        for fd, name in enumerate(("stdin", "stdout", "stderr")):
            raw = io.BufferedWriter(_Printed(fd, "wb", closefd=False)) if fd else open(fd, "rb", closefd=False)
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


def keep(fd: int) -> int:
    """A copy of a descriptor under a number where no callable comes by when it closes a few."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    start = max(10, (_KEPT_FROM if most == resource.RLIM_INFINITY else min(most, _KEPT_FROM)) - _ROOM)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, start)
    except OSError:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
