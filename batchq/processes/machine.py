"""What machine this is: its name, its boot, and how many cores this process may use."""

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
    try:
        with open("/proc/self/cgroup") as file:
            group = next(line.rstrip().partition("::")[2] for line in file if line.startswith("0::"))
        with open(f"/sys/fs/cgroup{group}/memory.events") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    except (OSError, StopIteration, ValueError):
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
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
