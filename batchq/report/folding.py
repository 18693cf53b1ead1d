"""A traceback in few lines: the frames of libraries are counted, the user's own are shown."""

import re

from batchq.jobs.causes.tracebacks import is_library

MOST = 24  #: lines of a folded traceback
_FRAME = re.compile(r'(?P<margin>[\s|+]*)File "(?P<file>[^"]*)", line \d+')
_CARETS = re.compile(r"[\s|]*[\^~]+[\s\^~]*")
_NAMED = 3  #: files that a line about frames of libraries names


def folded(text: str) -> list[str]:
    """The lines of a traceback with one line for each run of library frames; without the lines of carets.

    Of a long one only the last ``MOST`` lines are kept, and the first says how many are missing. Other text keeps its
    lines. Nothing is made safe here.
    """
    lines: list[str] = []
    passed: list[str] = []
    margin = ""
    is_source = False  # of a library frame: more than one line of it may follow
    for line in text.rstrip().split("\n"):
        match = _FRAME.match(line)
        if match and is_library(match["file"]):
            passed.append(match["file"].rpartition("/")[2])
            margin, is_source = match["margin"], True
        elif is_source and not match and line.startswith(f"{margin}  "):
            continue
        else:
            lines += _counted(passed, margin)
            passed, is_source = [], False
            if not _CARETS.fullmatch(line):
                lines.append(line)
    lines += _counted(passed, margin)
    return lines if len(lines) <= MOST else [f"… {len(lines) - MOST + 1:,} more lines", *lines[1 - MOST :]]


def folded_output(data: bytes) -> bytes:
    """The same output with its tracebacks folded; output without any stays as it is, with the carets of compilers."""
    if b"Traceback (most recent call last):" not in data:
        return data
    return "\n".join(folded(data.decode("utf-8", "surrogateescape"))).encode("utf-8", "surrogateescape")


def _counted(passed: list[str], margin: str) -> list[str]:
    if not passed:
        return []
    names = list(dict.fromkeys(passed))
    more = ", …" if len(names) > _NAMED else ""
    frames = "1 frame" if len(passed) == 1 else f"{len(passed):,} frames"
    return [f"{margin}… {frames} in {', '.join(names[:_NAMED])}{more}"]
