"""The processor time and the memory of a process and everything below it, from /proc."""

import os

from batchq.named import NamedTuple
from batchq.processes import proc


class Usage(NamedTuple):
    """``seconds`` of processor time since the process started, and resident ``memory`` in bytes.

    The time includes that of children that have ended. Memory that several processes share counts once for each.
    """

    seconds: float
    memory: int


def of_tree(pid: int, born: int | None) -> Usage | None:
    """Measure a process and its descendants; None if it is gone, or cannot be seen from here.

    ``born`` (clock ticks since boot) distinguishes it from a later process with that pid.
    """
    first = _fields(pid)
    if first is None or int(first[19]) != born:
        return None
    found = [first, *filter(None, map(_fields, proc.descendants(pid)))]
    ticks = sum(int(number) for one in found for number in one[11:15])
    pages = sum(int(one[21]) for one in found)
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))


def _fields(pid: int) -> list[bytes] | None:
    """Return what /proc/PID/stat has after the name, of which the state is the first."""
    try:
        fields = proc.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except OSError:
        return None
    return fields if len(fields) > 21 else None
