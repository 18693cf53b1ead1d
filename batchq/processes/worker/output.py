"""The output of short tasks, kept apart in two files, so that its end is known."""

import binascii
import os

from batchq.processes.worker.wire import as_json


class Spill:
    """The two output files of a worker, which the runner has opened."""

    def __init__(self, out: int, err: int) -> None:
        self.files = out, err

    def take(self, kept: int) -> bytes:
        """Return the output of a task as an answer has it, ``kept`` bytes of each stream; empty the files for the next."""
        out, err = self.files
        size, errors = os.lseek(out, 0, os.SEEK_END), os.lseek(err, 0, os.SEEK_END)  # six times faster than fstat
        if size == errors == 0:
            return b""
        return as_json({"stdout": _taken(out, size, kept), "stderr": _taken(err, errors, kept)}).encode()


def _taken(file: int, size: int, kept: int) -> "list[str | int] | None":
    """Return the stream in the form that the runner keeps; None if it is empty."""
    if not size:
        return None
    head = os.pread(file, kept // 2, 0)
    of_tail = kept - kept // 2
    tail = os.pread(file, of_tail, max(len(head), size - of_tail))
    os.ftruncate(file, 0)
    return [_base64(head), _base64(tail), size]


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
