"""Byte-range locks on the sidecar ``<store>-lock``: the writer mutex (byte 0) and the liveness of runners (above).

Linux locks belong to the open file description (``F_OFD_SETLK``, fcntl(2)): they are free at the instant their last
holder is gone, also after kill -9, and never falsely free under SIGSTOP, suspend or a clock that jumps. Where the
system has none, POSIX record locks serve: they belong to the process that took them and are not inherited by fork.
"""

import errno
import fcntl
import os
import struct
import time

from batchq.errors import BusyError, CreateError

MUTEX_BYTE = 0
_LIVENESS_FIRST = 1 << 20
_LIVENESS_SPAN = 1 << 60
_FLOCK = "hhqqi0q"  # struct flock on 64-bit Linux: type, whence, start, len, pid
_HAS_OFD = hasattr(fcntl, "F_OFD_SETLK")


def sidecar(store: str) -> str:
    """The lock file of a store; it is never deleted, or two processes could hold locks on two files of that name."""
    return store + "-lock"


class LockFile:
    """An open description of the sidecar: what it locks is free when it and its copies in forked children are closed."""

    def __init__(self, store: str) -> None:
        self.path = sidecar(store)
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise CreateError(f"cannot open the lock file {self.path}: {error.strerror}") from None

    def close(self) -> None:
        """Let go of everything that this description holds."""
        os.close(self._fd)

    def acquire_mutex(self, seconds: float) -> None:
        """Wait for the writer mutex, at most ``seconds``; BusyError names the process that holds it.

        The wait blocks in the kernel, which serves waiters in turn: a try-and-sleep loop starves them. In the main
        thread an interval timer ends it; elsewhere, where no timer can interrupt, it falls back to trying.
        """
        if self._lock(MUTEX_BYTE, wait=False):
            return
        import signal  # 1.4 ms, which an add that need not wait does not pay

        try:
            previous = signal.signal(signal.SIGALRM, _deadline)
        except ValueError:
            self._acquire_by_trying(seconds)
            return
        try:
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
            self._lock(MUTEX_BYTE, wait=True)
        except _DeadlinePassed:
            raise self._busy(seconds) from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)

    def _acquire_by_trying(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._lock(MUTEX_BYTE, wait=False):
            if time.monotonic() > deadline:
                raise self._busy(seconds)
            time.sleep(0.001)

    def release_mutex(self) -> None:
        """Give the writer mutex to the next in line."""
        self._control(fcntl.F_UNLCK, MUTEX_BYTE, wait=False)

    def hold_liveness(self) -> int:
        """Lock a free byte as the sign of life of this process and the children it forks; its offset."""
        while True:
            offset = _LIVENESS_FIRST + int.from_bytes(os.urandom(8), "little") % _LIVENESS_SPAN
            if self._lock(offset, wait=False):
                return offset

    def is_held(self, offset: int) -> bool:
        """Whether some other open description holds the byte."""
        if not _HAS_OFD:
            if free := self._lock(offset, wait=False):
                self._control(fcntl.F_UNLCK, offset, wait=False)
            return not free
        request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
        answer = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, request)
        return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)

    def _lock(self, offset: int, *, wait: bool) -> bool:
        try:
            self._control(fcntl.F_WRLCK, offset, wait=wait)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def _control(self, kind: int, offset: int, *, wait: bool) -> None:
        if _HAS_OFD:
            verb = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
            fcntl.fcntl(self._fd, verb, struct.pack(_FLOCK, kind, os.SEEK_SET, offset, 1, 0))
        else:
            verb = {fcntl.F_WRLCK: fcntl.LOCK_EX, fcntl.F_UNLCK: fcntl.LOCK_UN}[kind]
            fcntl.lockf(self._fd, verb if wait or kind == fcntl.F_UNLCK else verb | fcntl.LOCK_NB, 1, offset)

    def _busy(self, seconds: float) -> BusyError:
        return BusyError(
            f"the store is busy: {self._holder()} has held {self.path} for over {seconds:g} s; try again later"
        )

    def _holder(self) -> str:
        # An OFD lock has no owner in /proc/locks (its pid reads -1), so look who has the file open instead.
        ours = os.fstat(self._fd)
        for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
            if int(pid) == os.getpid():
                continue
            try:
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    with open(f"/proc/{pid}/fdinfo/{fd}") as info:
                        held = any(line.startswith("lock:") and " 0 0" in line for line in info)
                    if held and os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), ours):
                        return f"process {pid}"
            except OSError:
                continue
        return "another process"


class _DeadlinePassed(Exception):
    pass


def _deadline(_signal: int, _frame: object) -> None:
    raise _DeadlinePassed
