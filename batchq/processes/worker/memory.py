"""The peak memory of a worker."""

import contextlib
import resource


class PeakMemory:
    """The peak memory of this process; ``kib`` is what the last measurement found, 0 if that is unknown."""

    def __init__(self) -> None:
        self.kib = 0
        self._maximum = 0
        self.measure(is_long=True)

    def measure(self, *, is_long: bool) -> None:
        """Measure again, after a long task always, else only if the kernel's cheap figure has changed.

        ru_maxrss includes the size of the runner that started this process; VmHWM does not, but is slow to read.
        """
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if is_long or grown != self._maximum:
            self._maximum = grown
            with contextlib.suppress(OSError, StopIteration), open("/proc/self/status") as status:
                self.kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
