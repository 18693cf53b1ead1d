"""A mark that a process and its descendants keep, whatever they do to their environment, title, session and user.

It is a resource limit that limits nothing: the microseconds that a real-time process may run without a pause (Linux).
Every value used here is over 70,000 years. Limits are inherited through fork, exec and setuid, and all users can read
them in /proc.
"""

import resource
from binascii import crc32
from collections.abc import Collection

from batchq.processes import proc

_LOWEST = 1 << 61


def number_of(text: str) -> int:
    """Compute the mark for the token of an attempt or the cookie of a run."""
    data = text.encode()
    return _LOWEST | (crc32(data) << 29 ^ crc32(data[::-1]))


def can_mark() -> bool:
    """Whether this process may mark what it starts, because nothing else has set that limit."""
    if not proc.CAN_TRACE:
        return False
    soft, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
    return hard == resource.RLIM_INFINITY and (soft == hard or soft >= _LOWEST)


def put(text: str) -> None:
    """Mark all processes that are started from now on."""
    resource.setrlimit(resource.RLIMIT_RTTIME, (number_of(text), resource.RLIM_INFINITY))


def carried(pids: Collection[int]) -> dict[int, int]:
    """Map those processes that have a mark to it."""
    found = {}
    for pid in pids:
        try:
            lines = proc.read(f"/proc/{pid}/limits").splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(b"Max realtime timeout") and (limit := line.split()[3]).isdigit():
                if int(limit) >= _LOWEST:
                    found[pid] = int(limit)
                break
    return found
