"""The private folder of a run, in which commands leave their results.

It lies where the system puts what lives as long as a session, or else among the temporary files. There it may be taken
away: so a lock on it keeps systemd-tmpfiles off, which leaves a folder alone that is locked, and one that is gone is made
anew. Its name has the liveness byte of the run, so that whoever rescues a dead run finds what that left. Where nobody
comes to rescue, because the store is gone, the lock is: each later run of that user removes what nobody holds.
"""

import errno
import fcntl
import os
import stat
import time

NEW = 60.0  #: seconds for which a folder that nobody holds is left alone: its run may be about to


class Scratch:
    """``cookie`` marks the run; ``path`` is its folder, which is made by the first ``renew``. ``was_lost``: one was
    taken away."""

    def __init__(self, cookie: str, path: str = "") -> None:
        self.path = path
        self.was_lost = False
        self._cookie = cookie
        self._identity: tuple[int, int] | None = None
        self._lock: int | None = None
        if path:
            self._hold()

    def renew(self) -> None:
        """Make the folder, unless it is there. Raises OSError: there is no place for one now."""
        if self._identity is not None and _identity(self.path) == self._identity:
            if self._lock is None:
                self._hold()
            return
        self.was_lost = self._identity is not None
        refusal: OSError | None = None
        for base in _bases():
            path = os.path.join(base, f"{_prefix(self._cookie)}{os.urandom(6).hex()}")
            try:
                os.mkdir(path, 0o700)
            except OSError as error:
                refusal = error
                continue
            self.path = path
            self._hold()
            return
        raise refusal or FileNotFoundError(errno.ENOENT, "there is no folder for temporary files")

    def holds(self, path: str) -> bool:
        """Whether the folder of this path is there as it was made: neither taken away meanwhile, nor replaced."""
        folder = os.path.dirname(path)
        return folder == self.path and self._identity is not None and self._identity == _identity(folder)

    def is_full(self) -> bool:
        """Whether there is no room for a single byte more."""
        try:
            return os.statvfs(self.path).f_bavail == 0
        except OSError:
            return False

    def _hold(self) -> None:
        self._identity = _identity(self.path)
        if self._lock is not None:
            os.close(self._lock)
        # None: no descriptor is left, or the file system knows no locks. Then it is only less safe from cleaners.
        self._lock = _locked(self.path, fcntl.LOCK_SH)


def remove(cookie: str) -> None:
    """Remove the folders of a run that is over, or dead, and those of all runs of this user that died without a trace."""
    for base in _bases():
        try:
            names = os.listdir(base)
        except OSError:
            continue
        for name in names:
            path = os.path.join(base, name)
            if name.startswith(_prefix(cookie)) or (_is_of_a_run(name) and _is_abandoned(path)):
                _remove(path)


def _is_of_a_run(name: str) -> bool:
    first, *rest = name.split("-")
    return first == "batchq" and len(rest) == 2 and rest[0].isdigit() and len(rest[1]) == 12


def _is_abandoned(path: str) -> bool:
    """Whether a folder of ours is not new, and nobody holds it; no where that cannot be known."""
    try:
        age = time.time() - os.lstat(path).st_ctime
    except OSError:
        return False
    if age < NEW or _identity(path) is None or (lock := _locked(path, fcntl.LOCK_EX)) is None:
        return False
    os.close(lock)
    return True


def _locked(path: str, kind: int) -> int | None:
    """A descriptor with a lock on a folder; None where it cannot be had now."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def _remove(path: str) -> None:
    if _identity(path) is None:
        return
    try:
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.rmdir(path)
    except OSError:  # a job has made a folder there
        import shutil

        shutil.rmtree(path, ignore_errors=True)


def _prefix(cookie: str) -> str:
    return f"batchq-{cookie}-"


def _bases() -> list[str]:
    """Where the folder may lie, best first."""
    named = [os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("TMPDIR", ""), "/tmp"]
    session, *temporary = named
    if not session.startswith("/") or not _is_ours(session):
        session = ""
    return list(dict.fromkeys(base for base in (session, *temporary) if base.startswith("/")))


def _is_ours(folder: str) -> bool:
    try:
        found = os.stat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and os.access(folder, os.W_OK | os.X_OK)


def _identity(path: str) -> tuple[int, int] | None:
    """Which folder of ours it is; None where there is none: a link, or somebody else's."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return None
    return found.st_dev, found.st_ino
