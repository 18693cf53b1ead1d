"""stdin, stdout and stderr of a worker: output goes to the job that printed it, and the next job finds them intact."""

import contextlib
import fcntl
import io
import os
import resource
import sys
from operator import attrgetter, is_

from batchq.processes.worker import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEPT_FROM = 1024  #: the worker's own descriptors have numbers just below this, or as high as the limit allows
_ROOM = 32
_state = attrgetter("closed", "encoding", "errors", "line_buffering")


class _Printed(io.FileIO):
    """A stream that claims not to be seekable, because it goes to a file at one time and to a pipe at another: a wrapper
    must not ask for its position."""

    def seekable(self) -> bool:
        return False


class Streams:
    """The three streams; ``kept`` are copies of the descriptors 0, 1 and 2, with numbers that callables do not use."""

    def __init__(self) -> None:
        self.kept = [keep(fd) for fd in range(3)]
        self._checked = self.kept[:]  # those that are checked for being non-blocking
        null = os.open(os.devnull, os.O_WRONLY)
        self._null = keep(null)
        os.close(null)
        self._in, self._out, self._err = sys.stdin, sys.stdout, sys.stderr
        for stream in (self._out, self._err):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
        self._own = self._in, self._out, self._err
        self._are_ours = True
        self._chosen, self._set = _streams(), self._settings()  # the streams to restore, and their settings
        # stdio buffers the output of C libraries: line by line, so that it stays in order with Python's lines.
        self._flush_stdio = libc.function("fflush")
        setvbuf = libc.function("setvbuf")
        if setvbuf is not None and (stdout := libc.pointer("stdout")) is not None:
            setvbuf(stdout, None, libc.LINES, 0)

    def direct(self, out: int, err: int, *, are_files: bool) -> None:
        """Send the output to these descriptors from now on."""
        self.kept[1:] = out, err
        self._checked = [] if are_files else self.kept[:]
        for fd in (1, 2):
            os.dup2(self.kept[fd], fd)

    def look(self) -> "Any":
        """Return the current streams and settings, for ``adopt``."""
        return _streams(), self._settings()

    def adopt(self, before: "Any") -> None:
        """Keep what has changed since ``before``: a module has replaced streams or their settings."""
        streams, settings = before
        pairs = zip(self._chosen, streams, _streams(), strict=True)
        self._chosen = tuple(known if was is now else now for known, was, now in pairs)
        self._are_ours = all(map(is_, self._chosen, self._own * 2))
        if settings != (now := self._settings()):
            self._set = tuple(
                known if setting is None else setting for known, setting in zip(self._set, now, strict=True)
            )

    def flush(self) -> bool:
        """Flush the buffers while the descriptors are still the callable's, then repair the streams.

        Return whether that was possible.
        """
        if self._flush_stdio is not None:
            self._flush_stdio(None)
        is_chosen = self._are_chosen()
        there = self._chosen if is_chosen else _streams()
        if not (is_chosen and self._are_ours):
            for other in (*there, *self._chosen):
                if not any(other is own for own in self._own):
                    with contextlib.suppress(BaseException):  # a stream of a callable or a module may do anything
                        other.flush()
        try:
            self._out.flush()
            self._err.flush()
            if is_chosen and (_state(self._in), _state(self._out), _state(self._err)) == self._set:
                return True
        except (OSError, ValueError):
            self._discard()
        self._mend(there)
        sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__ = self._chosen  # type: ignore[misc]
        return not any(map(_is_closed, self._chosen))

    def _are_chosen(self) -> bool:
        stdin, stdout, stderr, first_stdin, first_stdout, first_stderr = self._chosen
        return (
            sys.stdin is stdin
            and sys.stdout is stdout
            and sys.stderr is stderr
            and sys.__stdin__ is first_stdin
            and sys.__stdout__ is first_stdout
            and sys.__stderr__ is first_stderr
        )

    def _mend(self, there: "tuple[Any, ...]") -> None:
        """Repair our own streams in place: modules may hold them, as handlers of logging do."""
        strangers = [one for one in there if not any(one is known for known in (*self._own, *self._chosen))]
        for fd, (stream, setting) in enumerate(zip(self._own, self._set, strict=True)):
            # Another stream with the same buffer closes it when it is collected.
            if _is_closed(stream) or any(getattr(one, "buffer", None) is stream.buffer for one in strangers):
                self._reopen(fd, stream, setting)
            elif _setting(stream) != setting:
                try:
                    stream.reconfigure(encoding=setting[1], errors=setting[2], line_buffering=setting[3])  # type: ignore[union-attr]
                except (OSError, ValueError):
                    self._reopen(fd, stream, setting)

    @staticmethod
    def _reopen(fd: int, stream: "Any", setting: "Any") -> None:
        raw = io.BufferedWriter(_Printed(fd, "wb", closefd=False)) if fd else open(fd, "rb", closefd=False)
        _, encoding, errors, line_buffering = setting
        io.TextIOWrapper.__init__(stream, raw, encoding, errors, line_buffering=line_buffering)

    def reset(self) -> None:
        """Restore the descriptors 0, 1 and 2. Raises OSError."""
        for kept in self._checked:
            if not os.get_blocking(kept):  # a callable set it through 0, 1 or 2: copies share the flag
                os.set_blocking(kept, True)
        for fd, kept in enumerate(self.kept):
            os.dup2(kept, fd)

    def _settings(self) -> "tuple[Any, ...]":
        return _setting(self._in), _setting(self._out), _setting(self._err)

    def _discard(self) -> None:
        """Drop output that cannot be written, so that it is not written later as that of the next callable."""
        for fd, stream in ((1, self._out), (2, self._err)):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(self._null, fd)
                stream.flush()


def _streams() -> "tuple[Any, ...]":
    return sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__


def _setting(stream: "Any") -> "Any":
    """Return the settings of an open stream; None if it is closed."""
    try:
        state = _state(stream)
    except ValueError:  # its buffer has been detached
        return None
    return None if state[0] else state


def _is_closed(stream: "Any") -> bool:
    try:
        return bool(getattr(stream, "closed", False))
    except Exception:
        return True


def keep(fd: int) -> int:
    """Copy a descriptor to a high number, where a callable that closes a few does not hit it."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    start = max(10, (_KEPT_FROM if most == resource.RLIM_INFINITY else min(most, _KEPT_FROM)) - _ROOM)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, start)
    except OSError:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
