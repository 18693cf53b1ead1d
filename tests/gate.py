"""A gate at which jobs of a test wait, without a loop of ``sleep`` that costs more than all else that they do."""

import os
import shlex
from pathlib import Path


class Gate:
    """A FIFO. A job whose script has ``wait`` in it waits there until ``open()``, and passes if it comes later."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.wait = f": < {shlex.quote(str(path))}"
        self._open: int | None = None

    def open(self) -> None:
        """Let all pass, until the test ends."""
        if self._open is None:
            self._open = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def close(self) -> None:
        """Let nobody pass who comes from now on."""
        if self._open is not None:
            os.close(self._open)
            self._open = None
