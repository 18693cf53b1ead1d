"""stdin, stdout and stderr of a worker: what a callable printed goes where it was to go; the next finds them whole."""

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

_KEPT_FROM = 1024  #: descriptors that nobody may meet by chance are numbered just below, or where the limit allows
_ROOM = 32
_state = attrgetter("closed", "encoding", "errors", "line_buffering")


class _Printed(io.FileIO):
    """What is printed goes to a file at one time, to a pipe at another: who wraps the stream must not be told to ask for
    the place in it."""

    def seekable(self) -> bool:
        return False


class Streams:
    """``kept`` are copies of the descriptors 0, 1 and 2, where no callable comes by."""

    def __init__(self) -> None:
        self.kept = [keep(fd) for fd in range(3)]
        self._checked = self.kept[:]  # those that mind whether they are non-blocking
        null = os.open(os.devnull, os.O_WRONLY)
        self._null = keep(null)
        os.close(null)
        self._in, self._out, self._err = sys.stdin, sys.stdout, sys.stderr
        for stream in (self._out, self._err):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
        self._own = self._in, self._out, self._err
        self._are_ours = True
        self._chosen, self._set = _streams(), self._settings()  # what they are to be, and how these are to be set
        # What C libraries print is buffered by stdio: line by line, so that it stands among Python's lines in order.
        self._flush_stdio = libc.function("fflush")
        setvbuf = libc.function("setvbuf")
        if setvbuf is not None and (stdout := libc.pointer("stdout")) is not None:
            setvbuf(stdout, None, libc.LINES, 0)

    def direct(self, out: int, err: int, *, are_files: bool) -> None:
        """From now on what is printed goes to these."""
        self.kept[1:] = out, err
        self._checked = [] if are_files else self.kept[:]
        for fd in (1, 2):
            os.dup2(self.kept[fd], fd)

    def look(self) -> "Any":
        """How they are, for ``adopt``."""
        return _streams(), self._settings()

    def adopt(self, before: "Any") -> None:
        """What has changed since ``before`` stays: a module has its own streams, or has set these otherwise."""
        streams, settings = before
        pairs = zip(self._chosen, streams, _streams(), strict=True)
        self._chosen = tuple(known if was is now else now for known, was, now in pairs)
        self._are_ours = all(map(is_, self._chosen, self._own * 2))
        if settings != (now := self._settings()):
            self._set = tuple(
                known if setting is None else setting for known, setting in zip(self._set, now, strict=True)
            )

    def flush(self) -> bool:
        """Write out what is buffered, while it still goes where the callable wanted it; then see to whole streams.

        Whether that was possible.
        """
        if self._flush_stdio is not None:
            self._flush_stdio(None)
        is_chosen = self._are_chosen()
        there = self._chosen if is_chosen else _streams()
        if not (is_chosen and self._are_ours):
            for other in (*there, *self._chosen):
                if not any(other is own for own in self._own):
                    with contextlib.suppress(BaseException):  # that of a callable or a module may do anything
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
        """Make our own streams as they were, in place: modules may hold them, as handlers of logging do."""
        strangers = [one for one in there if not any(one is known for known in (*self._own, *self._chosen))]
        for fd, (stream, setting) in enumerate(zip(self._own, self._set, strict=True)):
            # Another that has the same buffer closes it when it goes.
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
        """Let the descriptors 0, 1 and 2 be what they were. Raises OSError."""
        for kept in self._checked:
            if not os.get_blocking(kept):  # set through a copy, for dup2 shares the flag
                os.set_blocking(kept, True)
        for fd, kept in enumerate(self.kept):
            os.dup2(kept, fd)

    def _settings(self) -> "tuple[Any, ...]":
        return _setting(self._in), _setting(self._out), _setting(self._err)

    def _discard(self) -> None:
        """Words that cannot be written must not be written later, as those of the next callable."""
        for fd, stream in ((1, self._out), (2, self._err)):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(self._null, fd)
                stream.flush()


def _streams() -> "tuple[Any, ...]":
    return sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__


def _setting(stream: "Any") -> "Any":
    """How an open stream is set; None for one that is closed."""
    try:
        state = _state(stream)
    except ValueError:  # its buffer has been taken from it
        return None
    return None if state[0] else state


def _is_closed(stream: "Any") -> bool:
    try:
        return bool(getattr(stream, "closed", False))
    except Exception:
        return True


def keep(fd: int) -> int:
    """A copy of a descriptor under a number where no callable comes by when it closes a few."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    start = max(10, (_KEPT_FROM if most == resource.RLIM_INFINITY else min(most, _KEPT_FROM)) - _ROOM)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, start)
    except OSError:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
