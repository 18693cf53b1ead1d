"""Finds the line of a job's output that explains best why it failed."""

import json
import re

from batchq.jobs.causes.severity import ERROR, TROUBLE, of_level, severity
from batchq.named import NamedTuple

MOST_LINES = 120  #: lines that are looked at, from the end
LONGEST_LINE = 1000  #: characters of a line that are looked at

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
# Frames of other languages, source lines and carets, tables, and what programs print after the reason.
_NOISE = re.compile(
    r"""
      \d*\s*\|.* | [\^~]+.* | [-=*_\#.\s╷╵│]+ | at\s\S.* | from\s\S+:\d+.* | \.\.\.\ \d+\ more
    | \d+:\s+(?:0x[0-9a-f]+\ -\ )?[\w<&\[].*::.* | goroutine\ \d.* | stack\ backtrace:? | note:\ .* | hint:\ .*
    | \[?notice\]?\ .* | \[end\ of\ output\] | Node\.js\ v[\d.]+ | compilation\ terminated.* | collect2:\ .*
    | (?:g?make|ninja)(?:\[\d+\])?:\ (?:\*\*\*\ \[|Leaving|Entering|Target).* | ninja:\ build\ stopped.*
    | npm\ (?:ERR!|error)\s+A\ complete\ log.* | rsync\ error:\ .*
    | tar.*:\ (?:Error\ is\ not\ recoverable|Exiting\ with).* | tar:\ Child\ (?:returned|died).*
    | error:\ aborting\ due\ to.* | For\ more\ information.* | .*\bmay\ have\ more\ information.*
    | .*\(see\ previous\ errors\).* | .*:\ no\ images\ defined\ .* | \d+\+\d+\ records\ (?:in|out) | \+\ .*
    | [}\]),;]+ | code:\ .* | Aborted(?:\ \(core\ dumped\))? | (?:=+\ )?\d+\ (?:failed|passed|error).*\ in\ [\d.]+s.*
    | During\ handling\ of.* | Traceback\ \(most.* | Try\ '.*--help'.* | [Uu]sage:.* | .*[Cc]onversion\ failed!
    """,
    re.VERBOSE,
)
_DIAGNOSTIC = re.compile(
    r"^\S+?:\d+(?::\d+)?: (?:fatal )?error: |: undefined reference to "
    r"|^error(?:\[\w+\])?: (?!aborting|could not compile)"
)
_RUST_PANIC = re.compile(r"^thread '[^']*' .*panicked at ")
_MESSAGES = ("msg", "message", "error", "err", "event", "exception")
_LEVELS = ("level", "severity", "lvl")


class Finding(NamedTuple):
    """The line that explains most, and how much it does (``severity``)."""

    severity: int
    line: str


def explaining(text: str) -> Finding | None:
    """Find the last line of the highest severity; of a compiler's diagnostics the first. None where nothing is printed."""
    lines = _last_lines(text)
    best: Finding | None = None
    for number, line in enumerate(lines):
        bare = line.strip()
        if not bare or _NOISE.fullmatch(bare):
            continue
        if _DIAGNOSTIC.search(line):
            return Finding(ERROR, line)  # the later ones follow from it
        found = _structured(line) or Finding(severity(line), line)
        if best is not None and _continues(lines, number, found.severity, best.severity):
            continue
        if best is None or found.severity >= best.severity:
            best = found._replace(line=_with_next(lines, number, found))
    return best


def _last_lines(text: str) -> list[str]:
    """The last lines as a terminal would show them: without colours, and without what ``\\r`` has overwritten."""
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    return [line.rstrip("\r").rpartition("\r")[2][:LONGEST_LINE] for line in text.split("\n")[-MOST_LINES:]]


def _continues(lines: list[str], number: int, found: int, best: int) -> bool:
    """Whether a line is indented below the line before it and goes on with that one's sentence."""
    is_indented = lines[number][0] in " \t" and not lines[number - 1].startswith((" ", "\t"))
    return is_indented and best >= TROUBLE and found <= best


def _with_next(lines: list[str], number: int, found: Finding) -> str:
    """The line, together with the next one where it only announces that."""
    line = found.line
    if line is not lines[number]:
        return line
    if found.severity >= ERROR and _RUST_PANIC.match(line) and number + 1 < len(lines):
        return f"panicked: {lines[number + 1]}"
    if found.severity >= TROUBLE and line.endswith(":"):
        return f"{line} {next((after.strip() for after in lines[number + 1 :] if after.strip()), '')}"
    return line


def _structured(line: str) -> Finding | None:
    """Level and message of a log line that is a JSON object; None where it is something else."""
    if not (line[0] == "{" and line[-1] == "}"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    message = next((value[name] for name in _MESSAGES if isinstance(value.get(name), str)), None)
    if message is None:
        return None
    return Finding(of_level(next((value[name] for name in _LEVELS if name in value), "")), message)
