"""The process tree: keeping it together, and killing all of it.

Linux: a *subreaper* (prctl(2)) inherits every descendant whose parent dies, even one that daemonised itself, so nothing
leaves the tree unseen. Elsewhere, and where ``proc.CAN_TRACE`` is False, only process groups can be killed.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection

from batchq.processes import proc

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
TRACKERS = 2.0  #: seconds in which resource trackers remove what killed processes have left


def become_subreaper() -> None:
    """Inherit the orphans of all descendants from now on (Linux; elsewhere nothing happens)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int) -> None:
    """Get signal ``number`` when the parent process ends (Linux; elsewhere nothing happens)."""
    _prctl(_PR_SET_PDEATHSIG, number)


def stop_with_parent(parent: int) -> None:
    """Get SIGTERM when the thread of process ``parent`` that started this one has ended (Linux; else nothing happens)."""
    die_with_parent(signal.SIGTERM)
    if proc.LINUX and os.getppid() != parent:
        os._exit(128 + signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if proc.LINUX:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def has_stopped(child: int) -> bool:
    """Whether a child was stopped by a signal and not continued (or is gone)."""
    try:
        return os.waitid(os.P_PID, child, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def signal_descriptor(numbers: Collection[int]) -> int | None:
    """Open a descriptor that is readable while one of these signals is pending (signalfd(2), Linux; elsewhere None)."""
    if not proc.LINUX:
        return None
    import ctypes

    bits = sum(1 << (number - 1) for number in numbers)
    fd = ctypes.CDLL(None).signalfd(-1, bits.to_bytes(128, sys.byteorder), os.O_CLOEXEC)
    return fd if fd >= 0 else None


def kill(pid: int, number: int) -> None:
    """Signal one process; nothing happens if it is gone."""
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
    """Whether this process may signal another one; True if that is gone."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        return True
    return True


def why_alive(pid: int) -> str:
    """Return why a process that should be killed is still alive."""
    if may_end(pid):
        return f"process {pid} cannot be killed; it hangs in a system call"
    try:
        name = proc.read(f"/proc/{pid}/comm").decode(errors="replace").strip()
        owner = _user(os.stat(f"/proc/{pid}").st_uid)
    except OSError:
        name, owner = "?", "another user"
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return f"process {pid} ({name}) belongs to {owner}: this run may not kill it"


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def end_descendants(patience: float, is_spared: Callable[[int], bool] = lambda _: False) -> list[int]:
    """SIGKILL and reap all descendants of this process until none is left, for ``patience`` seconds at most.

    Spared children are left alone with their descendants. Resource trackers have a moment to end by themselves. Returns
    the processes that could not be killed: one in an uninterruptible system call dies only when that ends, and one of
    another user is not waited for.
    """
    now = time.monotonic()
    deadline, last_for_trackers = now + patience, now + TRACKERS
    while True:
        reap_all()
        left = [child for child in proc.own_children() if not is_spared(child)]
        if not left or time.monotonic() > deadline:
            return left
        is_last = time.monotonic() > last_for_trackers
        for child in left:
            for pid in (child, *proc.descendants(child)):
                if is_last or not proc.is_resource_tracker(pid):
                    kill(pid, signal.SIGKILL)
        if not any(map(may_end, left)):
            return left
        time.sleep(0.002)


def reap_all() -> None:
    """Reap every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def reap(pid: int) -> bool:
    """Reap one child if it has ended; return whether it is gone."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
