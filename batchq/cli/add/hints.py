"""What to type instead, for command lines of ``add`` that are valid and probably not meant as they are written."""

import os
import select
import stat
import sys

from batchq.jobs import shellwords
from batchq.jobs.fields import FIELDS
from batchq.jobs.reading.placeholders import first_in, of_lines
from batchq.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_OWN_BRACES = {"find", "fd", "parallel", "xargs", "git", "docker", "podman"}  #: programs that use {} themselves
#: Fields whose options no common program has, or would misunderstand.
_AFTER_COMMAND = (
    "timeout", "max_attempts", "backoff", "priority", "slots", "on_crash", "max_crashes", "after", "after_any",
    "run_at", "delay", "unique", "if_exists", "retry_on", "no_retry_on", "success_codes",
)  # fmt: skip


def for_command(words: "Sequence[str]", verb: str, *, script: str | None) -> None:
    """Warn of a single command that was meant for a shell, or as the template of many jobs.

    ``script``: that of ``-c``, whose words these are.
    """
    if ":::" in words and os.path.basename(words[0]) not in _OWN_BRACES:
        line = f"-- {shellwords.joined(words)}"
        line = line if script is None else f"-c {shellwords.joined([script])} {line}"
        note(
            f"warning: this is one job, with ::: as it is; for a job for each value, write: batchq {verb} --each {line}"
        )
    if script is not None or not words:
        return
    if len(words) == 1 and shellwords.needs_shell(words[0]) and not os.path.exists(words[0]):
        meant = shellwords.joined([words[0]])
        note(
            f"warning: {words[0]!r} is one word and so the name of a program; for a shell, write: batchq {verb} -c {meant}"
        )
    found = next((found for word in words if (found := first_in(word, of_lines([])))), None)
    if found is not None and os.path.basename(words[0]) not in _OWN_BRACES and _has_input():
        note(
            f"warning: this is one job, with {found} as it is; for a job for each line of stdin, write:"
            f" batchq {verb} --each -- {shellwords.joined(words)}"
        )
    if sys.stderr.isatty() and (option := _option_at_end(words)):
        note(f"{option} goes to {words[0]}; options of batchq stand before the command")


def for_input(file: str) -> None:
    """Note that lines are read from the keyboard, where a pipe was perhaps forgotten."""
    if file == "-" and sys.stdin is not None and sys.stdin.isatty():
        note("reading lines from the keyboard; Ctrl-D ends them, Ctrl-C adds nothing")


def for_template(words: "Sequence[str]", *, is_plain: bool) -> None:
    """Note on a terminal that a command without {} gets each line as its last word, as with xargs and parallel."""
    if is_plain and words and not any(first_in(word, of_lines([])) for word in words):
        note(f"no {{}} in the command, so each line becomes its last word, as in: {shellwords.joined(words)} LINE")


def _has_input() -> bool:
    """Whether stdin is a pipe or a file from which something can be read now."""
    try:
        facts = os.fstat(0)
        if stat.S_ISREG(facts.st_mode):
            return facts.st_size > os.lseek(0, 0, os.SEEK_CUR)
        if not stat.S_ISFIFO(facts.st_mode) or not select.select([0], [], [], 0)[0]:
            return False
        return _waiting_bytes() > 0
    except OSError:
        return False


def _waiting_bytes() -> int:
    import array
    import fcntl
    import termios

    size = array.array("i", [0])
    fcntl.ioctl(0, termios.FIONREAD, size)
    return size[0]


def _option_at_end(words: "Sequence[str]") -> str | None:
    """An option of add among the last two words of a command, with its value."""
    own = {flag for name in _AFTER_COMMAND for flag in FIELDS[name].flags if flag.startswith("--")}
    last = list(words[-2:])
    if len(words) > 2 and last[0] in own and not last[1].startswith("-"):
        return " ".join(last)
    return last[-1] if len(words) > 1 and last[-1].partition("=")[0] in own and "=" in last[-1] else None
