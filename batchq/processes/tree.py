"""The process tree: who descends from whom, who belongs to which attempt, and how to end all of it.

Linux: a *subreaper* (prctl(2)) inherits every descendant whose parent dies, also one that daemonised itself, so nothing
leaves the tree unseen. Elsewhere only process groups can be ended, and ``CAN_TRACE`` is False; so it is where /proc shows
the numbers of another process namespace (``unshare --pid`` without ``--mount-proc``): to signal those would hit strangers.
"""

import contextlib
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Collection

LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _sees_itself() -> bool:
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


CAN_TRACE = LINUX and _sees_itself()


def become_subreaper() -> None:
    """Inherit the orphans of all descendants from now on (Linux; elsewhere nothing happens)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int) -> None:
    """Be sent signal ``number`` when the parent process ends (Linux; elsewhere nothing happens)."""
    _prctl(_PR_SET_PDEATHSIG, number)


def stop_with_parent(parent: int) -> None:
    """Be sent SIGTERM when the thread of process ``parent`` that started this one has ended (Linux; else nothing)."""
    die_with_parent(signal.SIGTERM)
    if LINUX and os.getppid() != parent:
        os._exit(128 + signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if LINUX:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def children(pid: int) -> list[int]:
    """The living and zombie children of all threads of a process; empty when it is gone."""
    if not CAN_TRACE:
        return []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return [int(child) for task in tasks for child in read(f"/proc/{pid}/task/{task}/children").split()]
    except OSError:
        return []


def own_children() -> list[int]:
    """The living and zombie children of this single-threaded process."""
    data = b""
    if not CAN_TRACE:
        return []
    try:
        fd = _list_of_children(os.getpid())
        while part := os.pread(fd, 65536, len(data)):
            data += part
    except OSError:
        return []
    return [int(child) for child in data.split()]


@functools.cache
def _list_of_children(pid: int) -> int:
    return os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY | os.O_CLOEXEC)


def descendants(pid: int) -> list[int]:
    """All processes below ``pid``, parents before children."""
    found: list[int] = []
    level = children(pid)
    while level:
        found += level
        level = [child for parent in level for child in children(parent)]
    return found


def parent(pid: int) -> int:
    """The parent of a process; 0 when it has none that is seen from here, or is gone."""
    try:
        return int(read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def session(pid: int) -> int | None:
    """The session of a process, None when it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def token_of(pid: int) -> str | None:
    """The attempt token in the environment that a process was started with; None where it has none or is gone."""
    try:
        environment = read(f"/proc/{pid}/environ")
    except OSError:
        return None
    for entry in environment.split(b"\0"):
        if entry.startswith(b"BATCHQ_TOKEN="):
            return entry[13:].decode(errors="replace")
    return None


def carries(pid: int, cookie: str) -> bool:
    """Whether a process was started by the run of that cookie, or by what that has started."""
    try:
        return f"BATCHQ_RUNNER={cookie}".encode() in read(f"/proc/{pid}/environ").split(b"\0")
    except OSError:
        return False


def started_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it is gone."""
    try:
        return int(read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return None


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and only waits to be reaped (or is gone)."""
    try:
        return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return True


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal."""
    try:
        return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0] == b"T"
    except (OSError, IndexError):
        return False


def is_pending(pid: int, number: int) -> bool:
    """Whether a signal was sent to a process that has not taken it yet."""
    return bool(_signals(pid, b"ShdPnd:") >> (number - 1) & 1)


def listens(pid: int, number: int) -> bool:
    """Whether a process, or one below it, does something of its own at a signal: by a handler, or by waiting for it."""
    return any(
        (_signals(one, b"SigCgt:") | _signals(one, b"SigBlk:")) >> (number - 1) & 1 for one in (pid, *descendants(pid))
    )


def _signals(pid: int, name: bytes) -> int:
    try:
        lines = read(f"/proc/{pid}/status").splitlines()
        return next(int(line.split()[1], 16) for line in lines if line.startswith(name))
    except (OSError, StopIteration):
        return 0


def has_stopped(child: int) -> bool:
    """Whether a child was stopped by a signal (or is gone) and has not been told to go on."""
    try:
        return os.waitid(os.P_PID, child, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def signal_descriptor(numbers: Collection[int]) -> int | None:
    """A descriptor that is readable while one of these signals is pending (signalfd(2), Linux; elsewhere None)."""
    if not LINUX:
        return None
    import ctypes

    bits = sum(1 << (number - 1) for number in numbers)
    fd = ctypes.CDLL(None).signalfd(-1, bits.to_bytes(128, sys.byteorder), os.O_CLOEXEC)
    return fd if fd >= 0 else None


def kill(pid: int, number: int) -> None:
    """Signal one process; nothing happens when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill_group(pid: int, number: int) -> None:
    """Signal the process group of a leader that this process started and has not reaped."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def stop_self() -> None:
    """Stop this process as Ctrl-Z would; returns when it is continued."""
    os.kill(os.getpid(), signal.SIGSTOP)


def may_end(pid: int) -> bool:
    """Whether this process may signal another one; also when that is gone."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        return True
    return True


def why_alive(pid: int) -> str:
    """Why a process lives on that was to be ended."""
    if may_end(pid):
        return f"process {pid} cannot be killed; the system has it in a call that does not end"
    try:
        name = read(f"/proc/{pid}/comm").decode(errors="replace").strip()
        owner = _user(os.stat(f"/proc/{pid}").st_uid)
    except OSError:
        name, owner = "?", "another user"
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return f"process {pid} ({name}) belongs to {owner}: this run may not end it"


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def end_descendants(patience: float, is_spared: Callable[[int], bool] = lambda _: False) -> list[int]:
    """SIGKILL and reap everything below this process until nothing is left, at most ``patience`` seconds.

    Children that are spared are left alone with all below them. Returns the processes that could not be ended: one in an
    uninterruptible system call dies only when that ends, and for one of another user nobody waits here.
    """
    deadline = time.monotonic() + patience
    while True:
        reap_all()
        left = [child for child in own_children() if not is_spared(child)]
        if not left or time.monotonic() > deadline:
            return left
        for child in left:
            for pid in (child, *descendants(child)):
                kill(pid, signal.SIGKILL)
        if not any(map(may_end, left)):
            return left
        time.sleep(0.002)


def reap_all() -> None:
    """Collect every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def reap(pid: int) -> bool:
    """Collect one child if it has ended; whether it is gone."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def read(path: str) -> bytes:
    """A file of /proc as it is at this moment. Raises OSError."""
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
