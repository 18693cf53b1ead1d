"""The terminal of a run: lines that stay, and a block under them that is drawn again and again. It never waits.

A terminal takes nothing while it is stopped (Ctrl-S) or its connection hangs. Then lines are kept, up to a limit, and
the block is not drawn. The cursor stays at the first line of the block: so the next drawing, a ``^C`` that the terminal
echoes, and a window that wraps its lines anew leave nothing of an old block.
"""

import io
import os
import select
import sys
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEPT = 1 << 20  #: bytes of lines that are kept for a terminal that takes none; later ones are counted and dropped
MOMENT = 1.0  #: seconds without progress after which the end of a run that was stopped no longer waits
_PIECE = 256  #: bytes that a terminal takes at once when it is ready for some, where it has to be asked before
_ERASE = b"\r\x1b[J"  # from the start of this line to the end of the window (ED, of ECMA-48)
_TO_END = b"\x1b[K"  # the rest of the line (EL)
_SIZE = os.terminal_size((80, 24))


class Screen:
    """``fd`` as a terminal, if ``draws`` with a block. In a ``with`` block it takes the place of sys.stderr.

    ``relaxed`` is called by a ``push`` after which nothing waits. If it ``hurries``, its end waits only a moment for a
    terminal that takes nothing, and messages after that are dropped, too.
    """

    def __init__(self, fd: int, *, draws: bool) -> None:
        self.draws = draws
        self._fd, self._is_ours = _opened_again(fd)
        self._ready = select.poll()
        self._ready.register(self._fd, select.POLLOUT)
        self.hurries = False
        self._is_broken = False
        self._lines = bytearray()  # that wait for their turn
        self._dropped = 0
        self._writing = b""  # what the terminal has not taken yet
        self._block: list[str] = []
        self._columns = 0  # of the window for which it was drawn
        self._is_block_shown = False
        self._stderr: Any = None
        self.relaxed: Callable[[], None] = lambda: None

    def __enter__(self) -> "Screen":
        self._stderr = sys.stderr
        sys.stderr = _Lines(self, self._stderr)
        return self

    def __exit__(self, *failure: object) -> None:
        sys.stderr.flush()
        self.finish()
        if not self._is_broken:
            sys.stderr = self._stderr
        if self._is_ours:
            os.close(self._fd)

    def size(self) -> os.terminal_size:
        """The columns and rows of the window now."""
        try:
            found = os.get_terminal_size(self._fd)
        except OSError:
            return _SIZE
        return os.terminal_size((found.columns or _SIZE.columns, found.lines or _SIZE.lines))

    def print(self, text: str) -> None:
        """Print whole lines above the block."""
        data = text.encode(self._stderr.encoding or "utf-8", "backslashreplace")
        if len(self._lines) + len(data) > KEPT:
            self._dropped += data.count(b"\n")
        else:
            self._lines += data
        self.push()

    def add(self, data: bytes) -> None:
        """Print whole lines with the next ``push``: there may be very many."""
        self._lines += data

    def waiting(self) -> int:
        """How many bytes the terminal has not taken yet."""
        return len(self._lines) + len(self._writing)

    def is_ready(self) -> bool:
        """Whether the terminal has taken everything: only then is it worth to draw."""
        return not self._writing and not self._lines

    def draw(self, lines: list[str], columns: int) -> None:
        """Draw the block, whose ``lines`` are for a window of so many ``columns``, in place of the one before."""
        if self.draws and (lines or self._is_block_shown):
            self._block, self._columns = lines, columns
            self._next()
            self.push()

    def erase(self) -> None:
        """Erase the block."""
        self.draw([], 0)

    def push(self) -> None:
        """Write what the terminal takes now, and no more."""
        if self._lines and not self._writing:
            self._next()
        while self._writing and not self._is_broken and self._ready.poll(0):
            piece = self._writing if self._is_ours else self._writing[:_PIECE]
            try:
                self._writing = self._writing[os.write(self._fd, piece) :]
            except BlockingIOError:
                return
            except OSError:  # it has gone
                self._is_broken = True
            if not self._writing and self._lines:
                self._next()
        if self._is_broken:
            self._writing = b""
            self._lines.clear()
        if not self._writing and not self._lines:
            self.relaxed()

    def _next(self) -> None:
        """Put the lines that wait, and the block, after what is being written."""
        out = bytearray()
        if self._lines or self._dropped:
            out += (_ERASE if self._is_block_shown else b"") + self._lines
            self._lines.clear()
        if self._dropped:
            out += f"batchq: {self._dropped:,} lines were not shown while the terminal took none\n".encode()
            self._dropped = 0
        if self.size().columns < self._columns:
            self._block = []  # it would be wrapped; the next drawing comes soon
        if self._block:
            rows = [line.encode(self._stderr.encoding or "utf-8", "backslashreplace") for line in self._block]
            up = f"\x1b[{len(rows) - 1}A" if len(rows) > 1 else ""
            out += b"\r" + b"\n".join(row + _TO_END for row in rows) + b"\x1b[J" + f"{up}\r".encode()
        elif self._is_block_shown and not out:
            out += _ERASE
        self._is_block_shown = bool(self._block)
        self._writing += bytes(out)

    def finish(self) -> None:
        """Erase the block, and wait until the terminal has taken the rest: nothing runs any more."""
        self.erase()
        self.push()
        while (self._writing or self._lines) and not self._is_broken:
            if not self._ready.poll(MOMENT * 1000 if self.hurries else None):
                self._is_broken = True
            self.push()


class _Lines(io.TextIOBase):
    """A stream for messages that prints them as lines on a screen; all else is as with the ``stderr`` under it."""

    def __init__(self, screen: Screen, stderr: "Any") -> None:
        self._screen = screen
        self._stderr = stderr
        self._rest = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of stderr."""
        return str(self._stderr.encoding)

    def fileno(self) -> int:
        """That of stderr."""
        return int(self._stderr.fileno())

    def isatty(self) -> bool:
        """Whether it is a terminal: it is."""
        return True

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Print the lines that are complete."""
        lines, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._screen.print(lines + newline)
        return len(text)

    def flush(self) -> None:
        """Print a line that is not complete."""
        if self._rest:
            rest, self._rest = self._rest, ""
            self._screen.print(rest + "\n")


def _opened_again(fd: int) -> tuple[int, bool]:
    """The same terminal as an open file of our own that never blocks, and whether that was possible.

    On ``fd`` itself O_NONBLOCK would hold for every process that shares it: the shell, too.
    """
    for path in (f"/proc/self/fd/{fd}", "/dev/tty"):
        try:
            if path == "/dev/tty":
                os.tcgetpgrp(fd)  # raises if that is another terminal
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), True
        except OSError:  # the first after su: the terminal belongs to another user
            continue
    return fd, False
