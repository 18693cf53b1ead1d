"""Writing what jobs printed to stdout: to a file or a pipe byte by byte, to a terminal made safe, line by line."""

import sys

from batchq.cli.look.printing import encoded, look_of_stdout
from batchq.report.layout import Look, styled
from batchq.report.printed import on_a_terminal
from batchq.report.widths import fitting


def writer() -> "Bytes":
    """Return the writer for what stdout is now."""
    return Terminal(look_of_stdout("auto")) if sys.stdout.isatty() else Bytes()


class Bytes:
    """Writes bytes as they are."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._file = sys.stdout.buffer
        self._is_at_start = True  # of a line

    def text(self, text: str) -> None:
        """Write a line of batchq's own."""
        self.own_line()
        self.write(encoded(text) + b"\n")

    def write(self, data: bytes) -> None:
        """Write what a job printed, which may end anywhere in a line."""
        if data:
            self._file.write(data)
            self._is_at_start = data.endswith(b"\n")

    def line(self, data: bytes, label: str) -> None:
        """Write one line, after a label, and with a newline if it has none."""
        self.own_line()
        self.write(encoded(label) + data.removesuffix(b"\n") + b"\n")

    def own_line(self) -> None:
        """Begin a new line, unless this one is empty."""
        if not self._is_at_start:
            self.write(b"\n")

    def end(self) -> None:
        """Finish the output of a job."""

    def flush(self) -> None:
        """Pass on what was written so far."""
        self._file.flush()


class Terminal(Bytes):
    """Shows lines in their colours, and of a progress bar the last state; everything else is made safe.

    A line that has not ended is shown by ``flush``, cut to the width of the screen so that it can be drawn again.
    """

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._has_colours = look.colour
        self._begun: list[bytes] = []
        self._is_drawn = False

    def write(self, data: bytes) -> None:
        """Show the lines that are complete now."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._show(b"".join([*self._begun, line]))
            self._begun = []
        if rest:
            self._begun.append(rest)

    def line(self, data: bytes, label: str) -> None:
        """Show one line after a label."""
        self.own_line()
        self._show(data.removesuffix(b"\n"), self._styled(label, "cyan"))

    def text(self, text: str) -> None:
        """Show a line of batchq's own."""
        self.own_line()
        self._file.write(encoded(self._styled(text, "bold") + "\n"))

    def own_line(self) -> None:
        """Show the line that has begun as one that has ended."""
        if self._begun:
            begun, self._begun = b"".join(self._begun), []
            self._show(begun)

    def end(self) -> None:
        """Finish the output of a job: the next one begins on a line of its own."""
        self.own_line()

    def flush(self) -> None:
        """Show the line that has begun, too."""
        if self._begun:
            text = on_a_terminal(b"".join(self._begun), colour=False).expandtabs()
            self._erase()
            columns = look_of_stdout("auto").width or 80  # the window may have another size now
            self._file.write(encoded(text[: fitting(text, 0, columns - 1)]))
            self._is_drawn = True
        super().flush()

    def _show(self, line: bytes, label: str = "") -> None:
        self._erase()
        self._file.write(encoded(label + on_a_terminal(line, colour=self._has_colours)) + b"\n")

    def _styled(self, text: str, style: str) -> str:
        return styled(text, style) if self._has_colours and text else text

    def _erase(self) -> None:
        if self._is_drawn:
            self._file.write(b"\r\x1b[K")
            self._is_drawn = False
