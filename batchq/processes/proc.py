"""Reading /proc: the descendants, the attempt and the state of a process.

``CAN_TRACE`` is False if there is no /proc, or if it shows the pids of another process namespace (``unshare --pid``
without ``--mount-proc``): signals to those would hit strangers. Workers import this module, so it imports little.
"""

import os
import sys

LINUX = sys.platform == "linux"
_LISTS: dict[int, int] = {}


def sees_itself() -> bool:
    """Whether /proc shows this process, and not the pids of another process namespace."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


CAN_TRACE = LINUX and sees_itself()


def children(pid: int | str) -> list[int]:
    """List the living and zombie children of all threads of a process; empty if it is gone."""
    found: list[int] = []
    if not CAN_TRACE:
        return found
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            found += map(int, read(f"/proc/{pid}/task/{task}/children").split())
        except OSError:
            continue  # this thread has ended
    return found


def own_children() -> list[int]:
    """List the living and zombie children of this single-threaded process."""
    data = b""
    if not CAN_TRACE:
        return []
    try:
        fd = _list_of_children()
        while part := os.pread(fd, 65536, len(data)):
            data += part
    except OSError:
        return []
    return [int(child) for child in data.split()]


def _list_of_children() -> int:
    """Return the open list of our children: it is read after each command."""
    pid = os.getpid()
    if pid not in _LISTS:
        _LISTS[pid] = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY | os.O_CLOEXEC)
    return _LISTS[pid]


def descendants(pid: int) -> list[int]:
    """List all descendants of ``pid``, parents before children."""
    found: list[int] = []
    level = children(pid)
    while level:
        found += level
        level = [child for parent in level for child in children(parent)]
    return found


def parent(pid: int) -> int:
    """Return the parent of a process; 0 if it has none that can be seen from here, or is gone."""
    try:
        return int(read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def session(pid: int) -> int | None:
    """Return the session of a process, None if it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def token_of(pid: int) -> str | None:
    """Return the attempt token in the environment that a process was started with; None if it has none or is gone."""
    try:
        environment = read(f"/proc/{pid}/environ")
    except OSError:
        return None
    for entry in environment.split(b"\0"):
        if entry.startswith(b"BATCHQ_TOKEN="):
            return entry[13:].decode(errors="replace")
    return None


def carries(pid: int, cookie: str) -> bool:
    """Whether a process was started by the run with this cookie, or by a descendant of it."""
    try:
        return f"BATCHQ_RUNNER={cookie}".encode() in read(f"/proc/{pid}/environ").split(b"\0")
    except OSError:
        return False


def started_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it is gone."""
    try:
        return int(read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return None


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and only has to be reaped (or is gone)."""
    try:
        return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return True


def is_resource_tracker(pid: int) -> bool:
    """Whether this is the process of Python's multiprocessing (or of loky) that removes named semaphores and memory.

    It does that, and ends, when all other processes of its program have ended. If it is killed with them, the names stay
    until the machine starts again.
    """
    try:
        return b"resource_tracker import main" in read(f"/proc/{pid}/cmdline")
    except OSError:
        return False


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal."""
    return _is_in_state(pid, b"T")


def is_runnable(pid: int) -> bool:
    """Whether a process runs or waits only for the processor. One that was killed ends as soon as it gets that."""
    return _is_in_state(pid, b"R")


def _is_in_state(pid: int, state: bytes) -> bool:
    try:
        return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0] == state
    except (OSError, IndexError):
        return False


def is_pending(pid: int, number: int) -> bool:
    """Whether a process has yet to take a signal that was sent to it."""
    return bool(_signals(pid, b"ShdPnd:") >> (number - 1) & 1)


def listens(pid: int, number: int) -> bool:
    """Whether a process or a descendant handles a signal itself: by a handler, or by waiting for it."""
    return any(
        (_signals(one, b"SigCgt:") | _signals(one, b"SigBlk:")) >> (number - 1) & 1 for one in (pid, *descendants(pid))
    )


def _signals(pid: int, name: bytes) -> int:
    try:
        lines = read(f"/proc/{pid}/status").splitlines()
        return next(int(line.split()[1], 16) for line in lines if line.startswith(name))
    except (OSError, StopIteration):
        return 0


def read(path: str) -> bytes:
    """Read a file of /proc as it is now. Raises OSError."""
    if not CAN_TRACE:
        raise ProcessLookupError
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)
