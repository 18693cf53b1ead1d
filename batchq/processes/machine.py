"""Facts about this machine: its name, its boot, and how many cores this process may use."""

import functools
import math
import os

BASIC_NEEDS = (
    18  #: descriptors that a run, or a site, without jobs needs: the store, locks, signals, starting a process
)
SLOT_NEEDS = 10  #: descriptors that each slot needs: two pipes, a worker's three and two files, a log


def host() -> str:
    """Return the node name."""
    return os.uname().nodename


def boot_id() -> str:
    """Return an identifier of this boot, empty if the system has none; a reboot ends every runner."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def namespace() -> str:
    """Return the process namespace: processes of another one (another container) cannot be seen or ended from here."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def oom_kills() -> int:
    """Count the processes of this control group that the kernel killed because memory ran out; 0 if it does not count."""
    for group, file in ((_groups("memory"), "memory.oom_control"), (_groups(""), "memory.events")):
        for folder in group[:1]:
            for line in _lines(f"{folder}/{file}"):
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def limit_processes(most: int) -> None:
    """Limit the number of this user's processes, for this process and its descendants (RLIMIT_NPROC; not for root)."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def free_descriptors() -> float:
    """Count the files, pipes and sockets that this process may still open (RLIMIT_NOFILE)."""
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return float("inf")
    return most - len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


def slots_with_descriptors() -> int:
    """Count the slots for which there are descriptors: a job without any would be requeued again and again."""
    return max(0, int(min(free_descriptors(), 1e9) - BASIC_NEEDS) // SLOT_NEEDS)


def cores() -> int:
    """Count the cores that this process may use, by its affinity and by the quota of its control groups (containers)."""
    try:
        most = len(os.sched_getaffinity(0))
    except AttributeError:
        most = os.cpu_count() or 1
    return max(1, math.ceil(min([most, *_quotas()])))


def _quotas() -> list[float]:
    """Return the cores that each control group above this process allows, if it sets a limit."""
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
    """Find the folders of this process's control group and of those above it, nearest first.

    ``controller`` names a hierarchy of cgroup v1; the empty name is that of v2.
    """
    path = next((words[2] for words in _memberships() if controller in words[1].split(",")), None)
    mount = next((mount for mount in _hierarchies() if mount[2] == controller), None) if path is not None else None
    if path is None or mount is None:
        return []
    root, top, _ = mount
    # A container may see only a part of the hierarchy mounted, and a path from the root of either.
    below = path[len(root.rstrip("/")) :] if path == root or path.startswith(root.rstrip("/") + "/") else path
    names = [name for name in below.split("/") if name and name != ".."]
    folders = ["/".join([top, *names[:depth]]) for depth in range(len(names), -1, -1)]
    return [folder for folder in folders if os.path.isdir(folder)]


@functools.cache
def _memberships() -> list[list[str]]:
    return [words for line in _lines("/proc/self/cgroup") if len(words := line.split(":", 2)) == 3]


@functools.cache
def _hierarchies() -> list[tuple[str, str, str]]:
    """List the mounts of control groups: the part that is mounted, where, and each of its controllers (empty for v2).

    A mount made in another namespace of control groups comes last: its part begins above ours (``/..``).
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
