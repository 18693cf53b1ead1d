"""Settings that the kernel keeps of a process: its user, its view of the machine, its scheduling, its name.

Reading them takes system calls. So some are read only after the first call of a Python function that changes them
(``before_changes``), and all of them once ``ctypes`` is loaded, which can change anything (``everything``).
"""

import os
import sys
from functools import partial, wraps

from batchq.processes.worker import libc
from batchq.processes.worker.settings import Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NAME, _GET_NAME = 15, 16  #: PR_SET_NAME and PR_GET_NAME of prctl(2)
_DEATH_SIGNAL, _GET_DEATH_SIGNAL, _SUBREAPER, _GET_SUBREAPER = 1, 2, 36, 37
#: Lines of /proc/self/status that only a system call changes, most of them for ever
_STATUS = (b"Uid", b"Gid", b"Groups", b"SigBlk", b"SigIgn", b"Cap", b"NoNewPrivs", b"Seccomp")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid_for_children", "time_for_children", "user", "uts")


def scheduling() -> "list[Setting]":
    """Return the settings of scheduling."""
    found = [
        Setting("priority", partial(os.getpriority, os.PRIO_PROCESS, 0), partial(os.setpriority, os.PRIO_PROCESS, 0))
    ]
    if hasattr(os, "sched_getaffinity"):
        found.append(Setting("cores", partial(os.sched_getaffinity, 0), partial(os.sched_setaffinity, 0)))
        found.append(Setting("scheduling policy", partial(os.sched_getscheduler, 0), None))
    return found


#: Functions of ``os``; what they change is read from their first call on, because it takes system calls.
CHANGING = (
    "chroot", "initgroups", "nice", "sched_setaffinity", "sched_setparam", "sched_setscheduler", "setegid", "seteuid",
    "setgid", "setgroups", "setns", "setpriority", "setregid", "setresgid", "setresuid", "setreuid", "setuid", "unshare",
)  # fmt: skip


def rights() -> "list[Setting]":
    """Return the settings of users, groups, root folder and namespaces."""
    return [
        Setting("users", os.getresuid if hasattr(os, "getresuid") else os.geteuid, None),
        Setting("groups", lambda: (os.getresgid() if libc.IS_LINUX else os.getegid(), os.getgroups()), None),
        Setting("root folder", lambda: os.stat("/")[1:3], None),
        *_namespaces(),
    ]


def before_changes(note: "Callable[[], object]") -> None:
    """Call ``note`` before each call of a function in ``CHANGING``."""

    def recording(function: "Callable[..., Any]") -> "Callable[..., Any]":
        @wraps(function)
        def recorded(*words: "Any", **named: "Any") -> "Any":
            note()
            return function(*words, **named)

        return recorded

    for name in CHANGING:
        if (function := getattr(os, name, None)) is not None:
            setattr(os, name, recording(function))


def process_name() -> "list[Setting]":
    """Return the setting of the name that ``ps`` shows; none if the C library has no prctl."""
    prctl = libc.function("prctl")
    if prctl is None:
        return []
    name = libc.memory(16)

    def read() -> bytes:
        prctl(_GET_NAME, name)
        return bytes(name.value)

    return [Setting("process name", read, partial(prctl, _NAME))]


def everything() -> "list[Setting]":
    """Return all settings, including those for which Python has no function."""
    prctl = libc.function("prctl")
    if not libc.IS_LINUX or prctl is None or not os.path.exists("/proc/self/status"):
        return []
    answer = libc.memory(4)

    def of(question: int) -> bytes:
        prctl(question, answer)
        return bytes(answer.raw)

    def set_again(values: "list[bytes]") -> None:
        for question, value in zip((_DEATH_SIGNAL, _SUBREAPER), values, strict=True):
            prctl(question, int.from_bytes(value, sys.byteorder), 0, 0, 0)

    return [
        Setting("death signal and orphans", lambda: [of(_GET_DEATH_SIGNAL), of(_GET_SUBREAPER)], set_again),
        *status(),
        *process_name(),
        *rights(),
        *scheduling(),
    ]


def status() -> "list[Setting]":
    """Return the setting of rights and of signals that are blocked, ignored or handled, even if set by C."""
    return [Setting("rights and signals", _status, None)] if os.path.exists("/proc/self/status") else []


def _status() -> "list[bytes | int]":
    fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(fd, 8192).split(b"\n")
    finally:
        os.close(fd)
    found: list[bytes | int] = [line for line in lines if line.startswith(_STATUS)]
    # The C library handles two signals itself from its first thread on; these are not a setting of the job.
    found += [int(line[7:], 16) & ~(3 << 31) for line in lines if line.startswith(b"SigCgt")]
    return found


def _namespaces() -> "list[Setting]":
    paths = [path for name in _NAMESPACES if os.path.exists(path := f"/proc/self/ns/{name}")]
    return [Setting("namespaces", lambda: [os.readlink(path) for path in paths], None)]
