"""A folder that a run and the workers of a pool share: what the pool itself cannot do goes through it.

The fence: the run makes the file ``may-TOKEN`` before it gives a claim to the pool, and only the one that removes it may
go on. A worker begins the attempt then, so none begins twice, however often and however late the pool runs it, and nothing
has to be remembered of those that have ended. The run has prevented the attempt for certain. A worker that begins makes
``begun-TOKEN`` with its host and its process, because some pools do not notice that a worker has died. ``orders`` grows by
one line for each order, ``printed-TOKEN`` is the newest output, and ``alive`` names the run, which touches it as a sign of
life and holds a lock on it. The end of the run removes the folder; if the run was killed, a later one of its store does
(``clear``).
"""

import contextlib
import fcntl
import functools
import json
import os
import shutil
import tempfile
import time

from batchq.processes import machine, proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from typing import TextIO

    from batchq.processes.link import Message

_UNSEEN = "unseen"
NEW = 60.0  #: seconds after its last sign of life in which a run without a lock is not taken for dead


def made(base: str, cookie: str) -> str:
    """Make such a folder in ``base``, after clearing that; return its path. ``cookie`` marks the run. Raises OSError."""
    clear(base, cookie)
    return tempfile.mkdtemp(prefix=f"batchq-{cookie}-", dir=base)


def clear(base: str, cookie: str) -> None:
    """Remove what dead runs of this store have left in ``base``, and what an earlier bridge of this run has."""
    store = cookie.partition(".")[0]
    for one in os.scandir(base):
        is_mine = one.name.startswith(f"batchq-{cookie}-")
        if is_mine or (one.name.startswith(f"batchq-{store}.") and _is_dead(f"{one.path}/alive")):
            shutil.rmtree(one.path, ignore_errors=True)


def _is_dead(alive: str) -> bool:
    """Whether the run of this file gives no sign of life and holds no lock; False if that cannot be known."""
    try:
        with open(alive, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return time.time() - os.fstat(file.fileno()).st_mtime >= NEW
    except OSError:
        return False


@functools.cache
def _here() -> str:
    """Return what identifies this machine and its process numbers."""
    return f"{machine.boot_id()} {machine.namespace()}"


class Fence:
    """One such folder, from either side."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._read = 0  # bytes of the orders
        self._beaten = 0  # when the run last gave a sign of life
        self._lock: TextIO | None = None
        self._beginners: dict[str, tuple[int, int] | None] = {}  # pid and birth; None: of another machine

    # --- for workers ---------------------------------------------------------------------------------------------------

    def is_shared(self, run: str) -> bool:
        """Whether this is the folder of that run, seen from here."""
        try:
            with open(self._path("alive")) as file:
                return file.read() == run
        except OSError:
            return False

    def has_beaten(self) -> bool:
        """Whether the run has given a sign of life since the last call."""
        try:
            with open(self._path("alive")) as file:  # opened, because network file systems remember times of files
                last, self._beaten = self._beaten, os.fstat(file.fileno()).st_mtime_ns
        except OSError:
            return False
        return last != self._beaten

    def begin(self, token: str, host: str) -> bool:
        """Begin an attempt; False if it has begun before, or was prevented. A folder that is gone prevents nothing."""
        if not self.prevent(token) and os.path.isdir(self.folder):
            return False
        with contextlib.suppress(OSError), open(self._path("begun", token), "w") as file:
            file.write(f"{host}\n{_here()} {os.getpid()} {proc.started_ticks(os.getpid())}\n")
        return True

    def orders(self) -> "Iterator[Message]":
        """Yield the orders since the last call; if the folder is gone, the order to close."""
        try:
            with open(self._path("orders"), "rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError:
            if not os.path.isdir(self.folder):
                yield ["close"]
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        yield from map(json.loads, whole.splitlines())

    def print(self, message: "Message") -> None:
        """Leave the newest output of an attempt, if that is possible."""
        path = self._path("printed", message[1])
        with contextlib.suppress(OSError):
            with open(f"{path}.new", "w") as file:
                json.dump(message, file)
            os.rename(f"{path}.new", path)

    # --- for the run ---------------------------------------------------------------------------------------------------

    def open(self, run: str) -> None:
        """Say whose folder it is. Raises OSError."""
        self._lock = open(self._path("alive"), "w")
        self._lock.write(run)
        self._lock.flush()
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    def give_up(self) -> None:
        """Note that some workers do not see the folder: they begin attempts without it."""
        with contextlib.suppress(OSError):
            open(self._path(_UNSEEN), "w").close()

    def is_seen_by_all(self) -> bool:
        """Whether all workers that have begun an attempt have done so here, as far as is known."""
        return not os.path.exists(self._path(_UNSEEN))

    def beat(self) -> None:
        """Give a sign of life. A folder that is gone ends the jobs, which their workers see for themselves."""
        with contextlib.suppress(OSError):
            os.utime(self._path("alive"))

    def order(self, message: "Message") -> None:
        """Give an order; without the folder the workers end their jobs by themselves. Raises OSError."""
        with contextlib.suppress(FileNotFoundError), open(self._path("orders"), "ab") as file:
            file.write(json.dumps(message).encode() + b"\n")

    def allow(self, token: str) -> None:
        """Allow that an attempt begins, once. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):  # of the folder
            os.close(os.open(self._path("may", token), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))

    def prevent(self, token: str) -> bool:
        """Take back that an attempt may begin; return False if it may have begun."""
        try:
            os.unlink(self._path("may", token))
        except OSError:
            return False
        return True

    def begun(self, known: "Container[str]" = ()) -> "dict[str, tuple[int, str]]":
        """Map the tokens of attempts that have begun to when they did (milliseconds since 1970) and at which host.

        Those that are ``known`` are left out.
        """
        found = {}
        with contextlib.suppress(OSError):
            for one in os.scandir(self.folder):
                if one.name.startswith("begun-") and one.name[6:] not in known:
                    with contextlib.suppress(OSError), open(one.path) as file:
                        found[one.name[6:]] = one.stat().st_mtime_ns // 1_000_000, file.readline().rstrip("\n")
        return found

    def is_abandoned(self, token: str) -> bool:
        """Whether the process that has begun an attempt is gone, as far as that can be seen from this machine."""
        if token not in self._beginners:
            with contextlib.suppress(OSError, ValueError), open(self._path("begun", token)) as file:
                file.readline()
                *here, pid, born = file.readline().split()
                is_here = " ".join(here) == _here() and born.isdigit()
                self._beginners[token] = (int(pid), int(born)) if is_here else None
        beginner = self._beginners.get(token)
        return beginner is not None and (proc.started_ticks(beginner[0]) != beginner[1] or proc.is_zombie(beginner[0]))

    def printed(self) -> "Iterator[Message]":
        """Yield the output that attempts have left since the last call."""
        for name in os.listdir(self.folder):
            if name.startswith("printed-") and not name.endswith(".new"):
                with contextlib.suppress(OSError), open(f"{self.folder}/{name}") as file:
                    os.unlink(file.name)
                    yield json.load(file)

    def forget(self, token: str) -> None:
        """Remove the files of an attempt that is over. No pool can begin it again: it may not."""
        self._beginners.pop(token, None)
        for kind in ("may", "begun", "printed"):
            with contextlib.suppress(OSError):
                os.unlink(self._path(kind, token))

    def _path(self, *words: str) -> str:
        return os.path.join(self.folder, "-".join(words))
