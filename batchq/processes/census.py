"""All processes of this machine that can be seen from here: Linux lists them in /proc. Elsewhere the lists are empty."""

import os
from collections.abc import Collection

from batchq.named import NamedTuple
from batchq.processes import proc

INITIAL = "pid:[4026531836]"  #: the process namespace from which all others can be seen (PROC_PID_INIT_INO of Linux)


class Process(NamedTuple):
    """One living process; ``born`` is in clock ticks since boot, and with the pid distinguishes it from a later one."""

    parent: int
    session: int
    born: int


def table() -> dict[int, Process]:
    """Map pids to the living processes."""
    found = {}
    for pid in _pids():
        try:
            state, parent, _, session, *rest = proc.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
            if state not in (b"Z", b"X"):
                found[pid] = Process(int(parent), int(session), int(rest[15]))
        except (OSError, ValueError, IndexError):
            continue
    return found


def lineage(processes: dict[int, Process]) -> set[int]:
    """Find this process and its ancestors."""
    found: set[int] = set()
    pid = os.getpid()
    while pid and pid not in found:
        found.add(pid)
        pid = processes[pid].parent if pid in processes else 0
    return found


def carriers(cookies: Collection[bytes]) -> dict[int, str]:
    """Find the living processes with one of these entries (``b"BATCHQ_TOKEN=…"``) in their environment; map to tokens."""
    found: dict[int, str] = {}
    for pid in _pids() if cookies else ():
        try:
            entries = proc.read(f"/proc/{pid}/environ").split(b"\0")
        except OSError:
            continue
        ours = [entry for entry in entries if entry.startswith(b"BATCHQ_")]
        if any(entry in cookies for entry in ours):
            tokens = [entry[13:].decode(errors="replace") for entry in ours if entry.startswith(b"BATCHQ_TOKEN=")]
            found[pid] = tokens[0] if tokens else ""
    return found


def inside(namespace: str) -> dict[int, int]:
    """Map the pids that processes have in another process namespace to the pids that they have here."""
    found = {}
    for pid in _pids():
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                lines = proc.read(f"/proc/{pid}/status").splitlines()
                found[next(int(line.split()[-1]) for line in lines if line.startswith(b"NSpid:"))] = pid
        except (OSError, StopIteration, ValueError):
            continue
    return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()] if proc.CAN_TRACE else []
