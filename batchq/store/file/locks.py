"""Byte-range locks on the sidecar ``<store>-lock``: the writer mutex (byte 0) and the liveness of runners (above).

On Linux the locks belong to the open file description (``F_OFD_SETLK``, fcntl(2)): they are free as soon as their last
holder is gone, even after kill -9, and never falsely free under SIGSTOP, suspend or a clock that jumps. Other systems
use POSIX record locks, which belong to the process that took them and are not inherited by fork.
"""

import errno
import fcntl
import os
import stat
import sys

from batchq.errors import BusyError, CreateError
from batchq.store.file import trust
from batchq.store.file.alarm import Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.store.file.alarm import Interrupted

MUTEX_BYTE = 0
PRESENCE_BYTE = 1 << 10  #: shared by every process that has the store open
_LIVENESS_FIRST = 1 << 20
WAITS_FIRST = 1 << 61  #: plus the id of a job: held while that job waits in a batchq command that it has called
_LIVENESS_SPAN = 1 << 60
HAS_OFD = sys.platform == "linux" and hasattr(fcntl, "F_OFD_SETLK")


def sidecar(store: str) -> str:
    """The path of a store's lock file, which is never deleted: or two processes could lock two files of that name."""
    return store + "-lock"


def busy(store: str, waited: float | None = None) -> BusyError:
    """Make the error for a busy store; it names the process in the way if that is visible."""
    holder = "another program"
    try:
        from batchq.store.file import holders

        # SQLite's own lock first: the holder of the mutex may be waiting for another program, too.
        holder = holders.of_write_lock(store) or holders.of_mutex(sidecar(store)) or holder
    except ImportError:
        pass  # an upgrade has removed the module during a run, which continues
    how_long = "" if waited is None else f", for over {waited:g} s"
    return BusyError(f"the store {store} is busy: {holder} has locked it{how_long}; try again later")


def wait_interrupted(store: str) -> BusyError:
    """Make the error for a caller that was asked to stop while it waited."""
    return BusyError(f"the store {store} is busy, and waiting for it was interrupted; nothing was written")


class LockFile:
    """An open description of the sidecar: its locks are free when it and its copies in forked children are closed.

    With ``reading`` it checks locks and takes none, and the file may be missing.
    """

    def __init__(self, store: str, *, reading: bool = False) -> None:
        self._store = store
        self.path = sidecar(store)
        try:
            self._fd = _opened(self.path, store, reading=reading)
        except OSError as error:
            if not reading and error.errno == errno.EROFS:
                raise CreateError(f"cannot write the store {store}: it, or its folder, is read-only here") from None
            if not reading:
                raise CreateError(f"cannot open the lock file {self.path}: {error.strerror}") from None
            self._fd = -1

    def close(self) -> None:
        """Release every lock that this description holds."""
        if self._fd >= 0:
            os.close(self._fd)

    def is_moved(self) -> bool:
        """Whether the file was deleted or replaced since it was opened: then its locks no longer bind the others."""
        if self._fd < 0:
            return True
        try:
            return not os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except FileNotFoundError:
            return True

    def acquire_mutex(self, seconds: float, interrupted: "Interrupted" = None) -> None:
        """Wait for the writer mutex, at most ``seconds`` or until ``interrupted()``; then BusyError.

        The wait blocks in the kernel, which serves waiters in turn: a try-and-sleep loop starves them.
        """
        if self.try_mutex():
            return
        wait = Wait(seconds, interrupted)
        if not wait.take(lambda: self._lock(MUTEX_BYTE, wait=True), self.try_mutex, self.release_mutex):
            raise wait_interrupted(self._store) if wait.was_interrupted() else busy(self._store, seconds)

    def release_mutex(self) -> None:
        """Release the writer mutex to the next in line."""
        self._control(fcntl.F_UNLCK, MUTEX_BYTE, wait=False)

    def try_mutex(self) -> bool:
        """Take the writer mutex if it is free; whether it was."""
        return self._lock(MUTEX_BYTE, wait=False)

    def mutex_is_held(self) -> bool:
        """Whether another open description holds the mutex right now."""
        return self.is_held(MUTEX_BYTE)

    def is_in_use(self) -> bool:
        """Whether any process has the store open; True if that is unknown."""
        return not HAS_OFD or self.is_held(PRESENCE_BYTE)

    def enter(self) -> None:
        """Share the presence byte until ``close``: the store is open."""
        if HAS_OFD and self._fd >= 0:
            self._control(fcntl.F_RDLCK, PRESENCE_BYTE, wait=False)

    def note(self, file: "tuple[int, int, int, int]") -> None:
        """Record which file is open in the processes that share the presence byte, and how a checkpoint left it."""
        os.pwrite(self._fd, b"".join((number % 2**64).to_bytes(8, sys.byteorder) for number in file), 0)

    def noted(self) -> "tuple[int, int, int, int] | None":
        """Read what ``note`` last recorded; None if it never did."""
        data = os.pread(self._fd, 32, 0) if self._fd >= 0 else b""
        if len(data) < 32:
            return None
        device, inode, size, written = (int.from_bytes(data[at : at + 8], sys.byteorder) for at in (0, 8, 16, 24))
        return device, inode, size, written - 2**64 * (written >> 63)

    def hold_liveness(self) -> int:
        """Lock a free byte, which shows that this process or a forked child is alive; return its offset."""
        while True:
            offset = _LIVENESS_FIRST + int.from_bytes(os.urandom(8), "little") % _LIVENESS_SPAN
            if self._lock(offset, wait=False):
                return offset

    def hold_waits(self, job: int) -> None:
        """Show, until this is closed, that a running job waits in a batchq command that it has called."""
        try:
            self._control(fcntl.F_RDLCK, WAITS_FIRST + job, wait=False)
        except OSError:
            pass  # without the lock others just wait for the job

    def release_waits(self, job: int) -> None:
        """Show that the job has stopped waiting."""
        try:
            self._control(fcntl.F_UNLCK, WAITS_FIRST + job, wait=False)
        except OSError:
            pass

    def waits(self, job: int) -> bool:
        """Whether a running job waits in a batchq command that it has called."""
        return self.is_held(WAITS_FIRST + job)

    def is_held(self, offset: int) -> bool:
        """Whether another open description holds the byte."""
        if self._fd < 0:
            return False
        if not HAS_OFD:
            if free := self._lock(offset, wait=False):
                self._control(fcntl.F_UNLCK, offset, wait=False)
            return not free
        answer = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, flock(fcntl.F_WRLCK, offset))
        return int.from_bytes(answer[:2], sys.byteorder) != fcntl.F_UNLCK

    def _lock(self, offset: int, *, wait: bool) -> bool:
        try:
            self._control(fcntl.F_WRLCK, offset, wait=wait)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def _control(self, kind: int, offset: int, *, wait: bool) -> None:
        if HAS_OFD:
            verb = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
            fcntl.fcntl(self._fd, verb, flock(kind, offset))
        else:
            verb = {fcntl.F_WRLCK: fcntl.LOCK_EX, fcntl.F_UNLCK: fcntl.LOCK_UN}[kind]
            fcntl.lockf(self._fd, verb if wait or kind == fcntl.F_UNLCK else verb | fcntl.LOCK_NB, 1, offset)


def flock(kind: int, start: int, length: int = 1) -> bytes:
    """Make a ``struct flock`` of 64-bit Linux: type, whence (the start of the file), start, length, and no process."""
    order = sys.byteorder  # without the module struct, which an add would import only for this
    return kind.to_bytes(2, order) + bytes(6) + start.to_bytes(8, order) + length.to_bytes(8, order) + bytes(8)


def _opened(path: str, store: str, *, reading: bool) -> int:
    """Open the lock file, or make it for the owner of the store (mode 0600) if it is missing; raises OSError."""
    flags = os.O_RDONLY if reading else os.O_RDWR
    while True:
        try:
            fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            if reading:
                raise
        else:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise OSError(errno.EINVAL, "it is not a plain file")
            return fd
        try:
            owner = os.stat(store).st_uid
        except FileNotFoundError:
            owner = os.geteuid()
        if (made := trust.make_for(path, owner)) is not None:
            return made
