"""What machine this is: its name, its boot, and how many cores this process may use."""

import functools
import math
import os


def host() -> str:
    """The node name."""
    return os.uname().nodename


def boot_id() -> str:
    """An identifier of this boot of the machine, empty where the system has none; a reboot ends every runner."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def namespace() -> str:
    """The process namespace: a process of another one (another container) cannot be seen or ended from here."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def oom_kills() -> int:
    """How often the kernel has killed a process of this control group for want of memory; 0 where nobody counts."""
    for group, file in ((_groups("memory"), "memory.oom_control"), (_groups(""), "memory.events")):
        for folder in group[:1]:
            for line in _lines(f"{folder}/{file}"):
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def limit_processes(most: int) -> None:
    """Bound the processes that this user may have, for this process and all that it starts (RLIMIT_NPROC; not for root)."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def free_descriptors() -> float:
    """How many files, pipes and sockets this process may still open (RLIMIT_NOFILE)."""
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return float("inf")
    return most - len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


def cores() -> int:
    """The cores that this process may use: by its affinity, and by the quota of its control groups (a container's)."""
    try:
        most = len(os.sched_getaffinity(0))
    except AttributeError:
        most = os.cpu_count() or 1
    return max(1, math.ceil(min([most, *_quotas()])))


def _quotas() -> list[float]:
    """How many cores each control group above this process allows, as far as it sets a limit."""
    found = []
    for folder in _groups("cpu"):
        quota, period = _number(f"{folder}/cpu.cfs_quota_us"), _number(f"{folder}/cpu.cfs_period_us")
        if quota is not None and quota > 0 and period:
            found.append(quota / period)
    for folder in _groups(""):
        for line in _lines(f"{folder}/cpu.max"):
            most, _, period_of_it = line.partition(" ")
            if most.isdigit() and period_of_it.isdigit():
                found.append(int(most) / int(period_of_it))
    return found


def _groups(controller: str) -> list[str]:
    """The folders of the control group of this process and of those above it, nearest first.

    ``controller`` names a hierarchy of cgroup v1; the empty name is that of v2.
    """
    path = next((words[2] for words in _memberships() if controller in words[1].split(",")), None)
    mount = next((mount for mount in _hierarchies() if mount[2] == controller), None) if path is not None else None
    if path is None or mount is None:
        return []
    root, top, _ = mount
    # A container may see its mount as a part of the whole, and the path as from the whole or from that part.
    below = path[len(root.rstrip("/")) :] if path == root or path.startswith(root.rstrip("/") + "/") else path
    names = [name for name in below.split("/") if name and name != ".."]
    folders = ["/".join([top, *names[:depth]]) for depth in range(len(names), -1, -1)]
    return [folder for folder in folders if os.path.isdir(folder)]


@functools.cache
def _memberships() -> list[list[str]]:
    return [words for line in _lines("/proc/self/cgroup") if len(words := line.split(":", 2)) == 3]


@functools.cache
def _hierarchies() -> list[tuple[str, str, str]]:
    """What is mounted of control groups: the part, where, and each controller that it has (empty for v2).

    What was mounted in another namespace of control groups comes last: its part begins above ours (``/..``).
    """
    found = []
    for line in _lines("/proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2) if right.count(" ") >= 2 else ("", "", "")
        root, top = left.split(" ")[3:5]
        if kind == "cgroup2":
            found.append((root, top, ""))
        elif kind == "cgroup":
            found += [(root, top, option) for option in options.split(",")]
    return sorted(found, key=lambda mount: mount[0].startswith("/.."))


def _number(path: str) -> int | None:
    try:
        return int(next(iter(_lines(path)), ""))
    except ValueError:
        return None


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []
