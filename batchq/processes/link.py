"""Messages between two processes over any two descriptors: each is one line of JSON.

Lines, because some carriers hold back what does not end with a line end (srun), and others put a greeting before it (ssh):
lines that are not messages are dropped. Neither side waits for the other to read: ``push`` sends what had no room.
"""

import contextlib
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = list[Any]

_CHUNK = 256 * 1024


class Closed(Exception):
    """The other side is gone."""


class Link:
    """Both directions of a connection; ``reader`` and ``writer`` may be the same descriptor (a socket)."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader, self.writer = reader, writer
        for end in (reader, writer):
            os.set_blocking(end, False)
        self._parts: list[bytes] = []  # of a line whose end has not come
        self._unsent = bytearray()

    def fileno(self) -> int:
        """Return the descriptor on which messages come."""
        return self.reader

    @property
    def unsent(self) -> int:
        """How many bytes the other side has not had room for."""
        return len(self._unsent)

    def send(self, *messages: "Message") -> None:
        """Send messages, as much as there is room for. Raises Closed."""
        for message in messages:
            self._unsent += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        self.push()

    def push(self) -> bool:
        """Send what there is room for now; return whether that was all. Raises Closed."""
        try:
            while self._unsent:
                with memoryview(self._unsent)[:_CHUNK] as part:
                    sent = os.write(self.writer, part)
                del self._unsent[:sent]
        except BlockingIOError:
            return False
        except OSError:
            raise Closed from None
        return True

    def receive(self) -> "list[Message]":
        """Return the whole messages that have come. Raises Closed after the last one, when no more can come."""
        is_over = False
        lines: list[bytes] = []
        try:
            while part := os.read(self.reader, _CHUNK):
                if b"\n" in part:
                    first, *whole = part.split(b"\n")
                    lines.append(b"".join((*self._parts, first)))
                    lines += whole[:-1]
                    self._parts = [whole[-1]]
                else:
                    self._parts.append(part)
            is_over = True
        except BlockingIOError:
            pass
        except OSError:
            is_over = True
        found: list[Message] = []
        for line in lines:
            if line.startswith(b"[") and line.endswith(b"]"):
                try:
                    message = json.loads(line)
                except ValueError:  # of a greeting: "[ OK ]"
                    continue
                if message and isinstance(message[0], str):
                    found.append(message)
        if is_over and not found:
            raise Closed
        return found

    def close(self) -> None:
        """Close both descriptors."""
        for end in {self.reader, self.writer}:
            with contextlib.suppress(OSError):
                os.close(end)
