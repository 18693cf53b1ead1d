"""The screens of the pages in docs, made by real commands on a terminal, of 80 columns where nothing else is said."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from conftest import Shell
from terminal import CTRL_C, Terminal, on_terminal

PAGES = Path(__file__).parents[2] / "docs"
UNTIL_GO = "until [ -e go ]; do sleep 0.02; done"
#: Of the jobs of ``looking`` the one that sleeps takes longer, however late the other one is: it ends after that.
SLEEP = """test "$1" = 0.4 || exec /bin/sleep "$1"
until test -s loading; do /bin/sleep 0.01; done
while test -e "/proc/$(cat loading)"; do /bin/sleep 0.01; done
exec /bin/sleep "$1\""""
_VARYING = (
    (re.compile(r"[━╸─]+"), "BAR"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"\d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"TIME to (DATE )?TIME"), "TIME"),  # within a second, or not
    (re.compile(r"\s+[+-]\d{4}$", re.M), ""),
    (re.compile(r"\s+on \S+, store \S+$", re.M), " on HOST, store PATH"),
    (re.compile(r"^store \S+$", re.M), "store PATH"),
    (re.compile(r"\b\d+(\.\d)?( jobs)?/(s|min|h)\b"), "RATE"),
    (re.compile(r"\b(\d+ m \d\d s|\d+(\.\d)? (m?s|m))\b"), "SPAN"),
    (re.compile(r"(, RATE)?(, SPAN)?(, SPAN left)?$", re.M), ""),
    (re.compile(r" +"), " "),
)


def masked(screen: str) -> str:
    """A screen without what differs from run to run."""
    for pattern, text in _VARYING:
        screen = pattern.sub(text, screen)
    return "\n".join(line.strip() for line in screen.strip("\n").split("\n"))


def documented() -> dict[str, str]:
    """The screens of all pages, by name."""
    pattern = re.compile(r"^<!-- screen: (\S+) -->\n```text\n(.*?)^```$", re.M | re.S)
    return dict(screen for page in PAGES.glob("*.md") for screen in pattern.findall(page.read_text()))


Look = Callable[[], str]  #: what a screen shows by now


def end(terminal: Terminal, shell: Shell) -> None:
    (shell.folder / "go").touch()
    terminal.wait()


def working(batchq: Shell) -> Iterator[Look]:
    batchq("add", "--name", "import", "-c", f"echo reading part 7 of 12; {UNTIL_GO}")
    batchq("add", "--", "sh", "-c", UNTIL_GO)
    batchq("add", "--each", "-c", f"{UNTIL_GO}; echo $1", stdin="\n".join("abcdef"))
    with on_terminal(batchq, "run", "-j", "3") as terminal:
        terminal.wait_for("1 (import)", "part 7", "3 running", "3  sh -c 'until")
        yield terminal.screen
        end(terminal, batchq)


def failures(batchq: Shell) -> Iterator[Look]:
    batchq("add", "--each", "-c", "echo 'error: no route to host' >&2; exit 3", stdin="\n".join("abcdefghij"))
    batchq("add", "--name", "load", "--max-attempts", "3", "--backoff", "1h", "-c", "exit 4")
    batchq("add", "--name", "import", "-c", UNTIL_GO)
    with on_terminal(batchq, "run", "-j", "1") as terminal:
        terminal.wait_for("7 more failed: exit 3", "12 (import)", "1 running", "10 failed")
        yield terminal.screen
        terminal.signal(15)
        end(terminal, batchq)


def waiting(batchq: Shell) -> Iterator[Look]:
    batchq("queue", "set", "api", "--limit", "1")
    batchq("queue", "set", "mail", "--rate", "1/h")
    batchq("add", "--name", "load", "--max-attempts", "3", "--backoff", "1h", "-c", "exit 4")
    batchq("add", "--queue", "api", "--name", "get", "-c", UNTIL_GO)
    batchq("add", "--queue", "api", "--", "true")
    batchq("add", "--queue", "mail", "--", "true")
    batchq("add", "--queue", "mail", "--", "true")
    with on_terminal(batchq, "run", "-j", "4") as terminal:
        terminal.wait_for("a retry", "'api'", "'mail'", "2 (get)", "1 running")
        yield terminal.screen
        terminal.signal(15)
        end(terminal, batchq)


def stopping(batchq: Shell) -> Iterator[Look]:
    batchq("add", "--name", "import", "-c", UNTIL_GO)
    batchq("add", "--", "sh", "-c", UNTIL_GO)
    batchq("add", "--", "true")
    with on_terminal(batchq, "run", "-j", "2") as terminal:
        terminal.wait_for("1 (import)", "2  sh -c", "2 running")
        terminal.type(CTRL_C)
        terminal.wait_for("again stops them", "waiting for 2 jobs")
        yield terminal.screen
        end(terminal, batchq)
        yield terminal.screen


def verbose(batchq: Shell) -> Iterator[Look]:
    batchq("add", "--name", "load", "--", "true")
    batchq("add", "-c", "exit 4")
    said = batchq("run", "-v", "-j", "1", code=1).err.partition("batchq: ")[0]  # before the digest
    yield lambda: said


def last_lines(batchq: Shell) -> Iterator[Look]:
    batchq("add", "--", "true")
    batchq("add", "--hold", "--", "true")
    batchq("add", "--run-at", "tomorrow 9:00", "--", "true")
    seen = []
    for _ in range(2):
        with on_terminal(batchq, "run") as terminal:
            terminal.wait()
            seen.append(terminal.screen())
    yield lambda: "\n".join(seen)


def looking(batchq: Shell, command: str, widths: tuple[int, ...] = (80,)) -> Iterator[Look]:
    """A command that looks at a short night with one failure, in windows of some widths."""
    batchq.env["PATH"] = f"{batchq.folder}:{batchq.env['PATH']}"
    for name, text in (("sleep", SLEEP), ("load.sh", "echo $$ > loading; sleep 0.1; echo disk full >&2; exit 4")):
        (batchq.folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (batchq.folder / name).chmod(0o755)
    batchq("add", "--name", "extract", "--", "sleep", "0.4")
    batchq("add", "--name", "load", "./load.sh")
    batchq("add", "--name", "mail", "--hold", "--", "true")
    batchq("run", "-q", "-j", "2", code=1)
    for columns in widths:
        with on_terminal(batchq, command, columns=columns, rows=40) as terminal:
            terminal.wait()
            yield terminal.screen


SCREENS: dict[str, Callable[[Shell], Iterator[Look]]] = {
    "working": working, "failures": failures, "waiting": waiting, "stopping": stopping, "verbose": verbose,
    "last": last_lines, "list": partial(looking, command="list", widths=(80, 40)),
    "report": partial(looking, command="report"),
}  # fmt: skip
