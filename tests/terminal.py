"""A real terminal around a command: what a person sees at so many columns, types, and has after a change of the window.

``Terminal`` reads only when it is asked to, so a command whose terminal is not read meets a full one, as with Ctrl-S.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte
from conftest import Shell, shell_status
from ptyprocess import PtyProcess

CTRL_C, CTRL_S, CTRL_Q, CTRL_Z, ESCAPE = "\x03", "\x13", "\x11", "\x1a", "\x1b"
UP, DOWN, RIGHT, LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"

_CONFUSING = ("BATCHQ_DB", "CI", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")


class Terminal:
    """``words`` at work on a terminal of its own, in the folder ``cwd``; ``env`` changes variables of this process.

    Use it as a context: at its end the command is killed if it is still there. With ``BATCHQ_DB`` and what changes
    colours or widths only as ``env`` has it. If not ``is_drawn``, the window stays empty: there is only ``raw``.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: Path | str,
        env: Mapping[str, str] | None = None,
        columns: int = 80,
        rows: int = 24,
        is_drawn: bool = True,
    ) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in _CONFUSING}
        environment |= {
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        }
        self.raw = b""  #: all that was read
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=1)
        self._stream = pyte.ByteStream(self._screen)
        self._shown: str | None = None  #: the window as text, until more is read
        self._is_drawn = is_drawn
        self._process = PtyProcess.spawn(
            list(words), cwd=str(cwd), env=environment | dict(env or {}), dimensions=(rows, columns)
        )
        self._is_closed = False
        self.pid: int = self._process.pid

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *failure: object) -> None:
        if self._process.isalive():
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait()
        self._process.fileobj.close()
        self._process.closed = True  # else its end closes the descriptor again, which may be another's by then

    # --- what a person sees ---------------------------------------------------------------------------------------

    def read(self, seconds: float = 0.0) -> bool:
        """Take what the command has written, waiting up to ``seconds`` for it; whether there was anything."""
        if self._is_closed or not select.select([self._process.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._process.fd, 65536)
        except OSError:  # how Linux says that the other end is closed
            data = b""
        self._is_closed = not data
        self.raw += data
        if self._is_drawn:
            self._stream.feed(data)
        self._shown = None
        return bool(data)

    def screen(self) -> str:
        """The lines in the window after all that was written, without blanks at their ends and empty lines at the end."""
        while self.read():
            pass
        if self._shown is None:  # it takes milliseconds, and waits ask for it again and again
            self._shown = _text(self._screen.display)
        return self._shown

    def scrolled(self) -> str:
        """The lines that have left the window at its top, and those in it."""
        screen = self.screen()
        above = [
            "".join(line[column].data for column in range(self._screen.columns)) for line in self._screen.history.top
        ]
        return _text([*above, *screen.split("\n")])

    @property
    def cursor(self) -> tuple[int, int]:
        """Its row and column, both from 0."""
        return self._screen.cursor.y, self._screen.cursor.x

    @property
    def is_cursor_shown(self) -> bool:
        """Whether it can be seen."""
        return not self._screen.cursor.hidden

    def colour(self, row: int, column: int) -> str:
        """The colour of a character in the window: ``default``, ``red``."""
        return str(self._screen.buffer[row][column].fg)

    # --- waiting --------------------------------------------------------------------------------------------------

    def wait_for(self, *texts: str, seconds: float = 60.0) -> str:
        """Wait until each of ``texts`` is in the window; return it."""
        return self.wait_until(lambda screen: all(text in screen for text in texts), f"{texts}", seconds)

    def wait_until(self, condition: Callable[[str], object], what: str = "that", seconds: float = 60.0) -> str:
        """Wait until ``condition`` holds of the window; return it. Fails with the window after ``seconds``."""
        deadline = time.monotonic() + seconds
        while not condition(screen := self.screen()):
            assert time.monotonic() < deadline, f"{what} never came:\n{self._framed(screen)}"
            assert not self._is_closed, f"{what} never came, and the command has ended:\n{self._framed(screen)}"
            self.read(0.05)
        return screen

    def wait(self, seconds: float = 60.0) -> int:
        """Read to the end of the command; return its exit code as a shell has it (130 after Ctrl-C)."""
        deadline = time.monotonic() + seconds
        while not self._is_closed:
            assert time.monotonic() < deadline, f"it never ended:\n{self._framed(self.screen())}"
            self.read(0.05)
        self._process.wait()
        killed_by = self._process.signalstatus
        return shell_status(self._process.exitstatus if killed_by is None else -killed_by)

    def has_ended(self) -> bool:
        """Whether the command has ended, without reading what it has written."""
        return not self._process.isalive()

    def _framed(self, screen: str) -> str:
        edge = "-" * self._screen.columns
        return f"{edge}\n{screen}\n{edge}"

    # --- what a person does ---------------------------------------------------------------------------------------

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._process.fd, keys.encode())

    def resize(self, columns: int, rows: int = 24) -> None:
        """Change the size of the window; the kernel sends SIGWINCH."""
        self.read()
        self._screen.resize(rows, columns)
        self._shown = None
        self._process.setwinsize(rows, columns)

    def signal(self, number: int) -> None:
        """Signal the command, and only that process."""
        os.kill(self.pid, number)


def _text(lines: Sequence[str]) -> str:
    return "\n".join(line.rstrip() for line in lines).rstrip("\n")


def on_terminal(
    shell: Shell, *words: str, columns: int = 80, rows: int = 24, env: Mapping[str, str] | None = None
) -> Terminal:
    """``batchq WORDS…`` in the folder of ``shell``, on a terminal."""
    argv = [os.fsdecode(word) for word in shell.argv(*words)]
    return Terminal(argv, cwd=shell.folder, env={**shell.env, **(env or {})}, columns=columns, rows=rows)
