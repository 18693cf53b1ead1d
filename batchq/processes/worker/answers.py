"""The answers that a worker sends to its runner: what each call came to, which phase has begun, and the last one."""

import contextlib
import os
import select

from batchq.processes.worker.wire import ANSWER, LAST, PHASE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_ZEROS = (0,) * 11  #: the fields of an answer that belongs to no task


class Replaced(Exception):
    """This process must be replaced, and the runner knows."""


class Answers:
    """The pipe of the answers, and the bell that wakes the runner."""

    def __init__(self, pipe: int, bell: int) -> None:
        self._pipe = pipe
        self._bell = bell

    def send(self, data: bytes) -> None:
        """Send without waiting while the pipe has room; then wake the runner, which makes room."""
        try:
            while data := data[self._write(data) :]:
                self.ring()
                waiting = select.poll()
                waiting.register(self._pipe, select.POLLOUT)
                waiting.poll()
        except OSError as error:
            end_broken(error)

    def send_phase(self, module: str) -> None:
        """Send the name of the module whose import begins; an empty one when it has ended."""
        text = module.encode()
        self.send(ANSWER.pack(PHASE, *_ZEROS[1:], len(text)) + text)

    def send_last(self, answer: bytes) -> "NoReturn":
        """Send an answer, and after it the one that asks for another process. Raises Replaced."""
        self.send(answer + ANSWER.pack(LAST, *_ZEROS))
        raise Replaced

    def ring(self) -> None:
        """Wake the runner. Raises OSError."""
        os.write(self._bell, b"!")

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._pipe, data)
        except BlockingIOError:
            return 0


def end_broken(error: OSError) -> "NoReturn":
    """End this process at once: a callable has closed a descriptor that belongs to the worker."""
    with contextlib.suppress(OSError):
        os.write(2, f"batchq: the callable broke its worker's connection ({error.strerror})\n".encode())
    os._exit(1)
