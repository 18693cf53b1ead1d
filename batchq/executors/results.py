"""The results that commands leave in files: each is read, or becomes a failure that says why it cannot be read."""

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
    """Reads results. If no descriptor is left, it gives up a spare one for the read, so that no result is lost."""

    def __init__(self) -> None:
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def there(self, folder: str) -> set[str] | None:
        """List the files of a folder; None if it cannot be read now, so that each file must be opened to find it."""
        try:
            return {f"{folder}/{name}" for name in os.listdir(folder)}
        except FileNotFoundError:
            return set()
        except OSError:
            return None

    def read(self, path: str) -> tuple[str | None, Failure | None]:
        """Read and remove this file: the result as JSON text, or what is wrong with it; neither if there is no file."""
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
            # A number such as 1e999 is read as infinite, so NaN and Infinity are refused when writing, not when reading.
            return json.dumps(json.loads(data), allow_nan=False, separators=(",", ":")), None
        except (ValueError, RecursionError) as error:
            problem = "it contains NaN or Infinity" if str(error).startswith("Out of range") else error
            return None, Failure("ResultNotJSON", f"what it wrote to $BATCHQ_RESULT_FILE is not JSON: {problem}")

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
        # A job can put anything there: a pipe would block, a link would lead elsewhere.
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
                self._spare = None  # no descriptor is free now; the next read may get it back


def _why(path: str, error: OSError) -> str:
    try:
        kind = stat.S_IFMT(os.lstat(path).st_mode)
    except OSError:
        kind = 0
    return _KINDS.get(kind) or error.strerror or str(error)
