"""How the runner shares the processors with the processes that it starts."""

import os
import struct
import sys

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
_RESET_ON_FORK = 1
_SLICE = 300_000  #: nanoseconds: about what the runner does between two programs


def take_short_turns() -> None:
    """Ask for turns that are short and come soon (sched_setattr(2), Linux 6.12; elsewhere nothing happens).

    A process that starts a program sleeps until it has begun. If the runner's next turn came only after a whole turn of
    each job that it has started, processors would idle meanwhile. Its share of their time stays the same, and what it
    starts gets turns of the usual length. Nothing happens if the run has a negative nice or another policy: the kernel
    would take that from the jobs, too.
    """
    number = _SCHED_SETATTR.get(os.uname().machine)
    nice = os.nice(0)
    if sys.platform != "linux" or number is None or nice < 0 or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    import ctypes

    attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, _RESET_ON_FORK, nice, 0, _SLICE, 0, 0)
    ctypes.CDLL(None).syscall(number, 0, attributes, 0)  # if it is refused, turns stay as they are
