"""A bell that rings when a process writes to a store: inotify(7) on its write-ahead log, on Linux.

It needs no socket and notices every writer, whatever program it is. Without inotify it never rings, and waiters poll.
"""

import contextlib
import os
import sys

_MODIFIED = 0x2  #: IN_MODIFY
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  #: IN_NONBLOCK | IN_CLOEXEC, which are the same numbers


class Bell:
    """``fd`` becomes readable when the store at ``path``, which must be open, is written; None if that is not possible."""

    def __init__(self, path: str) -> None:
        self.fd: int | None = _watch(path + "-wal")

    def has_rung(self) -> bool:
        """Whether a process has written since the last call."""
        if self.fd is None:
            return False
        rung = False
        with contextlib.suppress(BlockingIOError):
            while os.read(self.fd, 4096):
                rung = True
        return rung

    def close(self) -> None:
        """Stop watching."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


def _watch(path: str) -> int | None:
    if sys.platform != "linux":
        return None
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.inotify_init1(_FLAGS))
    if fd < 0:  # each user has only a few inotify instances
        return None
    if libc.inotify_add_watch(fd, os.fsencode(path), _MODIFIED) < 0:
        os.close(fd)
        return None
    return fd
