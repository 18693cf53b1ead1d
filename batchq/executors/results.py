"""The results that commands leave in files: whatever a job made there is read, or it is a failure that says why not."""

import errno
import json
import os
import stat

from batchq.jobs.attempt import Failure

LIMIT = 1024 * 1024  #: bytes that a command may write to $BATCHQ_RESULT_FILE
_SCARCE = (errno.EMFILE, errno.ENFILE)
_KINDS = {
    stat.S_IFDIR: "it is a folder",
    stat.S_IFLNK: "it is a link",
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}


class Results:
    """Reads results. Where no descriptor is left, it gives a spare one up for that moment, so that no result is lost."""

    def __init__(self) -> None:
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def there(self, folder: str) -> set[str] | None:
        """The files of a folder; None where it cannot be read now, so that each must be looked for by itself."""
        try:
            return {f"{folder}/{name}" for name in os.listdir(folder)}
        except FileNotFoundError:
            return set()
        except OSError:
            return None

    def read(self, path: str) -> tuple[str | None, Failure | None]:
        """The result in this file as JSON text, or what is wrong with it; neither where there is none. The file goes."""
        try:
            data = self._contents(path)
        except FileNotFoundError:
            return None, None
        except OSError as error:
            return None, Failure(
                "ResultUnreadable", f"what it left at $BATCHQ_RESULT_FILE cannot be read: {_why(path, error)}"
            )
        if not data:
            return None, None
        if len(data) > LIMIT:
            return None, Failure("ResultTooLarge", "it wrote over 1 MiB to $BATCHQ_RESULT_FILE")
        try:
            # A number such as 1e999 is read as infinite, so NaN and Infinity are refused in writing, whatever they were.
            return json.dumps(json.loads(data), allow_nan=False, separators=(",", ":")), None
        except (ValueError, RecursionError) as error:
            said = "it holds NaN or Infinity" if str(error).startswith("Out of range") else error
            return None, Failure("ResultNotJSON", f"what it wrote to $BATCHQ_RESULT_FILE is not JSON: {said}")

    def _contents(self, path: str) -> bytes:
        fd = self._open(path)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "it is not a file")
            data = b""
            while len(data) <= LIMIT and (more := os.read(fd, LIMIT + 1 - len(data))):
                data += more
        finally:
            os.close(fd)
            self._keep_spare()
        os.unlink(path)
        return data

    def _open(self, path: str) -> int:
        # It may be anything that a job can make there: a pipe would block, a link would lead elsewhere.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        try:
            return os.open(path, flags)
        except OSError as error:
            if error.errno not in _SCARCE or self._spare is None:
                raise
        os.close(self._spare)
        self._spare = None
        try:
            return os.open(path, flags)
        except OSError:
            self._keep_spare()
            raise

    def _keep_spare(self) -> None:
        if self._spare is None:
            try:
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                self._spare = None  # somebody was quicker; the next one that is read may bring it back


def _why(path: str, error: OSError) -> str:
    try:
        kind = stat.S_IFMT(os.lstat(path).st_mode)
    except OSError:
        kind = 0
    return _KINDS.get(kind) or error.strerror or str(error)
