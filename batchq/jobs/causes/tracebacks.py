"""Reads Python tracebacks: which exceptions were raised, from which, and where in the user's own code."""

import re

from batchq.named import NamedTuple

STALE = 30  #: so many lines after a traceback mean that it was only logged and the program went on
MOST_LINES = 2000  #: lines of a text that are read, from its end

_START = "Traceback (most recent call last):"
_FRAME = re.compile(r'\s*File "(?P<file>[^"]*)", line (?P<line>[0-9]{1,9})(?:, in (?P<function>.*))?')
_LAST = re.compile(r"(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?")
_LINK = ("The above exception was the direct cause", "During handling of the above exception")
_GROUP_MARGIN = re.compile(r"\s*[|+] ?")
_LIBRARY = re.compile(r"/(?:site|dist)-packages/|/lib(?:64)?/python\d|/python\d[\d.]*\.zip/|^<(?!stdin>)")


class Frame(NamedTuple):
    """One frame of a traceback."""

    file: str
    line: int
    function: str
    source: str

    @property
    def name(self) -> str:
        """The name of the file without its folder."""
        return self.file.rpartition("/")[2]


class Raised(NamedTuple):
    """One exception of a traceback with the first line of its message; the outermost frame comes first."""

    type: str
    message: str
    frames: tuple[Frame, ...]

    @property
    def own_frame(self) -> Frame | None:
        """The innermost frame outside libraries; None where all frames are in libraries."""
        return next((frame for frame in reversed(self.frames) if not is_library(frame.file)), None)

    @property
    def best_frame(self) -> Frame | None:
        """The frame to show: the user's own, else the innermost that is in a file, else the innermost."""
        in_files = (frame for frame in reversed(self.frames) if not frame.file.startswith("<"))
        return self.own_frame or next(in_files, self.frames[-1] if self.frames else None)


def is_library(file: str) -> bool:
    """Whether a file of a frame is not the user's own: installed, of Python itself, or not a file at all."""
    return _LIBRARY.search(file) is not None


def chain(text: str) -> list[Raised]:
    """Read the last traceback in ``text``: its exceptions, the root cause first. Returns [] where there is none.

    Of an exception group the group comes first, then its members. Exceptions that are not linked to the last one do not
    count: they were handled and logged earlier.
    """
    if _START not in text and "SyntaxError" not in text and "IndentationError" not in text:
        return []
    lines = text.split("\n")[-MOST_LINES:]
    is_group = "Exception Group Traceback" in text
    if is_group:
        lines = [_GROUP_MARGIN.sub("", line, count=1) if line.lstrip()[:1] in ("|", "+") else line for line in lines]
    reader = _Reader(keeps_all=is_group)
    first = next((n for n, line in enumerate(lines) if _START in line or _FRAME.fullmatch(line)), len(lines))
    end = first
    for number in range(first, len(lines)):
        if reader.read(lines[number].rstrip()):
            end = number + 1
    return reader.found if sum(map(bool, lines[end:])) < STALE else []


class _Reader:
    """Takes the lines of a traceback one by one."""

    def __init__(self, *, keeps_all: bool) -> None:
        self.found: list[Raised] = []
        self._keeps_all = keeps_all
        self._frames: list[Frame] = []
        self._is_inside = True
        self._is_linked = False
        self._awaits_source = False

    def read(self, line: str) -> bool:
        """Whether ``line`` completes an exception."""
        is_source, self._awaits_source = self._awaits_source and line.startswith("  "), False
        if _START in line:
            if not self._is_linked and not self._keeps_all:
                self.found = []
            self._frames, self._is_inside, self._is_linked = [], True, False
        elif line.startswith(_LINK):
            self._is_linked = True
        elif not self._is_inside or not line:
            pass
        elif match := _FRAME.fullmatch(line):
            self._frames.append(Frame(match["file"], int(match["line"]), match["function"] or "", ""))
            self._awaits_source = True
        elif is_source:
            self._frames[-1] = self._frames[-1]._replace(source=line.strip())
        elif not line.startswith("  ") and (match := _LAST.fullmatch(line)):
            self.found.append(Raised(match["type"], match["message"] or "", tuple(self._frames)))
            self._frames, self._is_inside = [], False
            return True
        return False
