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


def cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
