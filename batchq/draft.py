"""A new file that takes the place of an old one only when it is complete."""

import contextlib
import fcntl
import os
import stat

from batchq.errors import BusyError, CreateError


class Draft:
    """A new file of ours with a lock on it, so that two processes do not write it at once.

    Another process that writes it is an error, or, with ``patient``, waited for. Removed by ``close``, unless it was
    renamed. Raises CreateError, BusyError; ``what`` names the result in the message.
    """

    def __init__(self, path: str, what: str, *, mode: int = 0o600, patient: bool = False) -> None:
        self.path = path
        self._mode = mode
        self._wait = 0 if patient else fcntl.LOCK_NB
        try:
            self.fd = self._claim(what)
        except OSError as error:
            raise CreateError(f"cannot write {what}: {path}: {error.strerror}") from None

    def _claim(self, what: str) -> int:
        while True:
            self._remove_old(what)
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except FileExistsError:
                continue
            os.fchmod(fd, self._mode)
            fcntl.flock(fd, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), os.stat(self.path)):
                    return fd
            os.close(fd)  # another process took it for the leftovers of a killed one

    def _remove_old(self, what: str) -> None:
        """Remove the leftovers of a killed process of this user."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return
        try:
            facts = os.fstat(fd)
            if facts.st_uid != os.geteuid() or not stat.S_ISREG(facts.st_mode):
                raise CreateError(
                    f"cannot write {self.path}: somebody else (uid {facts.st_uid}) put it there; remove it"
                )
            fcntl.flock(fd, fcntl.LOCK_EX | self._wait)
            if not os.path.samestat(facts, os.lstat(self.path)):
                return  # that process has finished, and another one may have begun
            for suffix in ("", "-wal", "-shm", "-journal"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path + suffix)
        except FileNotFoundError:
            pass
        except BlockingIOError:
            raise BusyError(f"another process writes {what} right now; try again later") from None
        finally:
            os.close(fd)

    def finish(self, owner: os.stat_result | None = None) -> None:
        """Sync the file to disk; with ``owner``, give it the owner of the file that it will replace."""
        if not os.path.samestat(os.fstat(self.fd), os.lstat(self.path)):
            raise CreateError(f"{self.path} was replaced while it was written; nothing was changed")
        if owner is not None and os.geteuid() == 0:
            os.fchown(self.fd, owner.st_uid, owner.st_gid)
        os.fsync(self.fd)

    def size(self) -> int:
        """Return its size in bytes."""
        return os.fstat(self.fd).st_size

    def close(self) -> None:
        """Remove it, unless it was renamed."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(self.fd), os.stat(self.path)):  # not the file of the next process
                os.unlink(self.path)
        os.close(self.fd)
