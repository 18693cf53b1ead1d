"""The private folder of a run, in which commands leave their results.

It lies in the session's runtime folder, or else among the temporary files. There a cleaner may remove it: so a lock keeps
systemd-tmpfiles away, which skips locked folders, and a folder that is gone is made anew. Its name has the liveness byte
of the run, so that a rescuer of the dead run finds it. If the store is gone and no rescuer comes, a later run of that
user removes it, because nobody holds its lock.
"""

import errno
import fcntl
import os
import stat
import time

NEW = 60.0  #: seconds during which an unlocked folder is kept: its run may be about to lock it
TO_RESCUE = 86_400.0  #: the same for a folder that a pool shared: the next run of its store looks into it


class Scratch:
    """``cookie`` marks the run; ``path`` is its folder, made by the first ``renew``. ``was_lost``: one was removed."""

    def __init__(self, cookie: str, path: str = "") -> None:
        self.path = path
        self.was_lost = False
        self._cookie = cookie
        self._identity: tuple[int, int] | None = None
        self._lock: int | None = None
        if path:
            self._hold()

    def renew(self) -> None:
        """Make the folder, unless it exists. Raises OSError if there is no place for one now."""
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
        """Whether the folder of this path still exists as it was made: not removed or replaced meanwhile."""
        folder = os.path.dirname(path)
        return folder == self.path and self._identity is not None and self._identity == _identity(folder)

    def is_full(self) -> bool:
        """Whether there is no room for another byte."""
        try:
            return os.statvfs(self.path).f_bavail == 0
        except OSError:
            return False

    def _hold(self) -> None:
        self._identity = _identity(self.path)
        if self._lock is not None:
            os.close(self._lock)
        # None if no descriptor is left, or the file system has no locks: then cleaners may remove it.
        self._lock = _locked(self.path, fcntl.LOCK_SH)


def found(cookie: str) -> list[str]:
    """Return the folders of a run, or of a place of work, on this machine."""
    folders = []
    for base in _bases():
        try:
            folders += [os.path.join(base, name) for name in os.listdir(base) if name.startswith(_prefix(cookie))]
        except OSError:
            continue
    return [path for path in folders if _identity(path) is not None]


def remove(cookie: str) -> None:
    """Remove the folders of a run that has finished or died, and abandoned folders of all runs of this user.

    Those of its places of work on this machine, ``COOKIE.…``, are among the first.
    """
    mine = (_prefix(cookie), f"batchq-{cookie}.") if "." in cookie else (_prefix(cookie),)
    for base in _bases():
        try:
            names = os.listdir(base)
        except OSError:
            continue
        for name in names:
            path = os.path.join(base, name)
            if name.startswith(mine) or (
                _is_of_a_run(name) and _is_abandoned(path, TO_RESCUE if name.count(".") == 1 else NEW)
            ):
                _remove(path)


def _is_of_a_run(name: str) -> bool:
    first, *rest = name.split("-")
    return first == "batchq" and len(rest) == 2 and _is_cookie(rest[0]) and len(rest[1]) == 12 and _is_hex(rest[1])


def _is_cookie(text: str) -> bool:
    """Whether this marks a run: a number, elsewhere MARK.NUMBER, at a place of work a third, next to a worker two more."""
    first, *more = text.split(".")
    if not more:
        return first.isdigit()
    return len(first) == 8 and _is_hex(first) and len(more) in (1, 2, 4) and all(map(str.isdigit, more))


def _is_hex(text: str) -> bool:
    return not text.strip("0123456789abcdef")


def _is_abandoned(path: str, age: float) -> bool:
    """Whether a folder of ours is that many seconds old and nobody holds its lock; False if unknown."""
    try:
        is_new = time.time() - os.lstat(path).st_ctime < age
    except OSError:
        return False
    if is_new or _identity(path) is None or (lock := _locked(path, fcntl.LOCK_EX)) is None:
        return False
    os.close(lock)
    return True


def _locked(path: str, kind: int) -> int | None:
    """Open a descriptor with a lock on a folder; None if that is not possible now."""
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
    """List where the folder may be made, best first."""
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
    """Return the identity of a folder of ours; None if it is missing, a link, or somebody else's."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return None
    return found.st_dev, found.st_ino
