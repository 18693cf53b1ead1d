"""Log files with the full output of jobs: those of ``--log-dir``, and those of jobs that leave something running."""

import errno
import os
import stat
from collections.abc import Iterator

from batchq.jobs.attempt import Claim, Logged

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 1000  #: existing files that may have the name of one log


class Log:
    """One log file. It never overwrites another, and an error in writing it is reported once."""

    def __init__(self, logs: "Logs", entry: Logged, fd: int) -> None:
        self.fd = fd
        self._logs = logs
        self._entry = entry

    def write(self, stream: str, data: memoryview) -> None:
        """Append all of it; after the first error nothing more, so that the file has no gap."""
        if self._entry.trouble is not None:
            return
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError as error:
            self.note(error.strerror)

    def close(self) -> None:
        """Close the file after the attempt; report it if it was removed meanwhile."""
        try:
            is_gone = os.fstat(self.fd).st_nlink == 0
            os.close(self.fd)
            if is_gone:
                self.note("it was removed while the job ran")
        except OSError as error:  # some file systems report only now that they are full
            self.note(error.strerror)

    def discard(self) -> None:
        """Remove the file of an attempt that did not begin."""
        os.close(self.fd)
        try:
            os.unlink(self._entry.path)
        except OSError:
            return  # it stays, empty
        finally:
            self._logs.forget(self._entry.claim)

    def note(self, trouble: str | None) -> None:
        """Report why some of it is missing, once."""
        if self._entry.trouble is None:
            self._entry = self._entry._replace(trouble=trouble or "it cannot be written")
            self._logs.news.append(self._entry)


class Logs:
    """The logs of one run.

    ``folder`` is that of ``--log-dir``, which gets those of all jobs. Without it only jobs with ``leftovers = "keep"`` have
    logs, in the folder ``own``: their leftovers may print when nobody reads a pipe any more. ``mark``, a part of each name,
    distinguishes the logs of this store from those of others. ``news`` are the entries to report.
    """

    def __init__(self, folder: str | None, own: str, mark: str) -> None:
        self.folder = folder
        self.news: list[Logged] = []
        self._own = own
        self._mark = mark

    def open(self, claim: Claim) -> Log | None:
        """Make the log of an attempt; None without ``--log-dir``, or if it cannot be made, which is then reported."""
        if self.folder is None:
            return None
        try:
            return self._make(claim, self.folder, "both", ".log")
        except OSError as error:
            path = os.path.join(self.folder, f"{self._name(claim)}.log")
            self.news.append(Logged(claim, "both", path, error.strerror or "it cannot be made"))
            return None

    def open_own(self, claim: Claim) -> dict[str, Log]:
        """Make a log for each stream, or one if they are merged, which the job itself writes. Raises OSError."""
        folder = self.folder
        if folder is None:
            folder = self._own
            os.makedirs(folder, mode=0o700, exist_ok=True)
            facts = os.lstat(folder)
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
                raise OSError(errno.EPERM, "it is not a folder of ours alone")
        logs = {"stdout": self._make(claim, folder, "stdout", ".out")}
        try:
            if claim.output != "merged":
                logs["stderr"] = self._make(claim, folder, "stderr", ".err")
        except OSError:
            logs["stdout"].discard()
            raise
        return logs

    def own(self) -> str:
        """Return the folder in which ``open_own`` makes its files."""
        return self.folder or self._own

    def take_news(self) -> list[Logged]:
        """Take the entries to report now."""
        news, self.news = self.news, []
        return news

    def forget(self, claim: Claim) -> None:
        """Drop the entries of this attempt."""
        self.news = [one for one in self.news if one.claim.token != claim.token]

    def _name(self, claim: Claim) -> str:
        return f"{claim.id}-{claim.attempt}-{self._mark}"

    def _names(self, claim: Claim, suffix: str) -> Iterator[str]:
        """Yield names that no other store, job or attempt has; several, because of stores restored from a backup."""
        yield f"{self._name(claim)}{suffix}"
        yield from (f"{self._name(claim)}.{number}{suffix}" for number in range(2, _MOST))

    def _make(self, claim: Claim, folder: str, stream: str, suffix: str) -> Log:
        for name in self._names(claim, suffix):
            path = os.path.join(folder, name)
            try:
                fd = _create(path)
            except FileExistsError:
                continue
            entry = Logged(claim, stream, path)
            self.news.append(entry)
            return Log(self, entry, fd)
        raise OSError(errno.EEXIST, "too many files have its name already")


def _create(path: str) -> int:
    try:
        return os.open(path, _FLAGS, 0o600)
    except FileNotFoundError:  # the folder was removed during the run: the next jobs get their logs all the same
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return os.open(path, _FLAGS, 0o600)
