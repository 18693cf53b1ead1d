"""The terminal while ``batchq top`` is on it: the alternate screen, keys one by one; afterwards it is as it was."""

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence

from batchq.cli.top.keys import Decoder
from batchq.processes import tree
from batchq.report.layout import Line, cropped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

ENDING = (signal.SIGTERM, signal.SIGHUP)
_ESCAPE = 0.05  #: seconds in which the rest of a sequence comes; after them an escape is the Escape key
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"  #: a line that is wider here than it was measured must not scroll the picture


class Ended(BaseException):
    """A signal asks the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Terminal:
    """The terminal of stdin and stdout in a ``with`` block. ``color`` is the value of ``--color``.

    However the block ends, the terminal is as before: by an exception, Ctrl-C, or one of ``ENDING``, which raises Ended.
    """

    def __init__(self, color: str) -> None:
        from rich.console import Console

        self._console = Console(
            file=sys.stdout, force_terminal=True, highlight=False, no_color={"never": True, "always": False}.get(color)
        )
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._decoder = Decoder()
        self._before = termios.tcgetattr(self._in)
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._handlers: dict[int, object] = {}
        self._is_ours = False  # the terminal is in our modes
        self._is_to_stop = self._is_continued = False
        self._ended_by = 0

    def __enter__(self) -> "Terminal":
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number, handler in (
            *((number, self._end) for number in ENDING),
            (signal.SIGTSTP, self._note_stop),
            (signal.SIGCONT, self._note_continue),
            (signal.SIGWINCH, _nothing),
        ):
            if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGWINCH:
                self._handlers[number] = signal.signal(number, handler)
        try:
            self._enter()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        handled = {number: signal.signal(number, _nothing) for number in (signal.SIGINT, *self._handlers)}
        with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
            self._leave()
        for number, handler in {**handled, **self._handlers}.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._read)
        os.close(self._write)

    @property
    def size(self) -> tuple[int, int]:
        """How many columns and rows it has now."""
        try:
            columns, rows = os.get_terminal_size(self._out)
        except OSError:
            columns, rows = 0, 0
        return max(20, columns or 80), max(4, rows or 24)

    def draw(self, lines: Sequence[Line]) -> None:
        """Draw the lines from the top, each cropped to the width, and nothing below them."""
        from rich.console import Group
        from rich.text import Text

        columns, rows = self._console.size = self.size
        shown = [Text(no_wrap=True, overflow="crop") for _ in lines[:rows]]
        for text, line in zip(shown, lines, strict=False):
            for piece, style in cropped(line, columns):
                text.append(piece, style.strip())
        self._console.update_screen(Group(*shown))

    def keys(self, seconds: float) -> Iterator[str]:
        """Yield the keys that are pressed, after ``seconds`` at the latest; none if it was resized or continued first."""
        until = time.monotonic() + seconds
        while True:
            patience = _ESCAPE if self._decoder.is_waiting else max(0.0, until - time.monotonic())
            ready, _, _ = select.select([self._in, self._read], [], [], patience)
            if self._read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._read, 4096)
            if self._ended_by:  # Python loses exceptions in some callbacks
                raise Ended(self._ended_by)
            if self._is_to_stop:
                self._suspend()
            if self._is_continued:
                self._is_continued = False
                self._enter()
            data = self._typed() if self._in in ready else b""
            yield from (found := self._decoder.keys(data, final=not ready))
            if found or self._read in ready or (not ready and time.monotonic() >= until):
                return

    def _typed(self) -> bytes:
        with contextlib.suppress(OSError):
            if data := os.read(self._in, 4096):
                return data
        raise Ended(signal.SIGHUP)  # the terminal is gone

    def _enter(self) -> None:
        tty.setcbreak(self._in, termios.TCSANOW)  # in the background the kernel stops us here, until fg
        self._is_ours = True
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._send(_NO_WRAP)

    def _leave(self) -> None:
        if not self._is_ours:  # a shell has it while we are suspended
            return
        self._is_ours = False
        termios.tcsetattr(self._in, termios.TCSANOW, self._before)
        self._send(_WRAP)
        self._console.show_cursor(True)
        self._console.set_alt_screen(False)

    def _send(self, sequence: str) -> None:
        sys.stdout.write(sequence)
        sys.stdout.flush()

    def _suspend(self) -> None:
        """Stop as Ctrl-Z stops any program, with the terminal as it was before; returns when the process is continued."""
        self._is_to_stop = False
        self._leave()
        tree.stop_self()
        self._is_continued = True

    def _end(self, number: int, _frame: "FrameType | None") -> None:
        self._ended_by = number
        raise Ended(number)

    def _note_stop(self, _number: int, _frame: "FrameType | None") -> None:
        self._is_to_stop = True

    def _note_continue(self, _number: int, _frame: "FrameType | None") -> None:
        self._is_continued = True


def _nothing(_number: int, _frame: "FrameType | None") -> None:
    """Do nothing for a signal that only wakes the loop."""
