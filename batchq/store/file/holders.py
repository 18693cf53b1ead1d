"""Which process holds a lock on a file of the store, from /proc; None on systems other than Linux.

For messages and ``batchq doctor`` only: no decision rests on it, because processes of other users and other containers
are invisible.
"""

import os
from collections.abc import Iterator

_WRITE_LOCK = 120  #: the byte of ``-shm`` that SQLite locks while it writes (its file format document, section 2.3)
_PENDING = 0x40000000  #: from here on SQLite locks the database file itself


def of_mutex(lock_file: str) -> str | None:
    """Find the process that holds the first byte of the lock file, as ``"process 123 (batchq)"``.

    The lock belongs to an open file and not to a process (its pid is -1 in /proc/locks), so the open files of all
    processes are searched.
    """
    try:
        wanted = os.stat(lock_file)
    except OSError:
        return None
    for pid in _numbers("/proc"):
        for fd in _numbers(f"/proc/{pid}/fd"):
            try:
                if not os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), wanted):
                    continue
                with open(f"/proc/{pid}/fdinfo/{fd}") as file:
                    held = any(line.startswith("lock:") and line.split()[-2:] == ["0", "0"] for line in file)
            except OSError:
                continue
            if held:
                return _named(pid)
    return None


def of_write_lock(store: str) -> str | None:
    """Find the process that holds SQLite's own write lock on the store, whatever program it is."""
    for name, first, last in ((f"{store}-shm", _WRITE_LOCK, _WRITE_LOCK), (store, _PENDING, _PENDING + 511)):
        for pid, low, high in _locks(name, "POSIX"):
            if first <= low <= high <= last and pid > 0:
                return _named(pid)
    return None


def held_bytes(lock_file: str) -> list[int]:
    """List the bytes of the lock file that any process has locked: 0 is the mutex, the others are runners."""
    return sorted(low for _, low, high in _locks(lock_file, "OFDLCK") if low == high)


def _locks(path: str, kind: str) -> Iterator[tuple[int, int, int]]:
    """Yield the exclusive locks of this kind on a file: pid, first byte, last byte."""
    try:
        inode = os.stat(path).st_ino
        with open("/proc/locks") as file:
            lines = file.readlines()
    except OSError:
        return
    for line in lines:
        # As in "1: POSIX ADVISORY WRITE 22383 fe:00:15343673 120 120"; a waiting process has "->" after the number.
        fields = line.split()
        if len(fields) != 8 or fields[1] != kind or fields[3] != "WRITE" or fields[7] == "EOF":
            continue
        if int(fields[5].rpartition(":")[2]) == inode:
            yield int(fields[4]), int(fields[6]), int(fields[7])


def _numbers(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []


def _named(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return f"process {pid} ({file.read().strip()})"
    except OSError:
        return f"process {pid}"
