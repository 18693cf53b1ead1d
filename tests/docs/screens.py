"""The screens of the pages in docs, made by real commands on a terminal, of 80 columns where nothing else is said."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from conftest import Shell
from terminal import CTRL_C, Terminal, on_terminal

PAGES = Path(__file__).parents[2] / "docs"
UNTIL_GO = "until [ -e go ]; do sleep 0.02; done"
_VARYING = (
    (re.compile(r"[━╸─]+"), "BAR"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"\d\d:\d\d:\d\d"), "TIME"),
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


def end(terminal: Terminal, shell: Shell) -> None:
    (shell.folder / "go").touch()
    terminal.wait()


def working(batchq: Shell) -> Iterator[str]:
    batchq("add", "--name", "import", "-c", f"echo reading part 7 of 12; {UNTIL_GO}")
    batchq("add", "--", "sh", "-c", UNTIL_GO)
    batchq("add", "--each", "-c", f"{UNTIL_GO}; echo $1", stdin="\n".join("abcdef"))
    with on_terminal(batchq, "run", "-j", "3") as terminal:
        yield terminal.wait_for("1 (import)", "part 7", "3 running", "3  sh -c 'until")
        end(terminal, batchq)


def failures(batchq: Shell) -> Iterator[str]:
    batchq("add", "--each", "-c", "echo 'error: no route to host' >&2; exit 3", stdin="\n".join("abcdefghij"))
    batchq("add", "--name", "load", "--max-attempts", "3", "--backoff", "1h", "-c", "exit 4")
    batchq("add", "--name", "import", "-c", UNTIL_GO)
    with on_terminal(batchq, "run", "-j", "1") as terminal:
        yield terminal.wait_for("7 more failed: exit 3", "12 (import)", "1 running", "10 failed")
        terminal.signal(15)
        end(terminal, batchq)


def waiting(batchq: Shell) -> Iterator[str]:
    batchq("queue", "set", "api", "--limit", "1")
    batchq("queue", "set", "mail", "--rate", "1/h")
    batchq("add", "--name", "load", "--max-attempts", "3", "--backoff", "1h", "-c", "exit 4")
    batchq("add", "--queue", "api", "--name", "get", "-c", UNTIL_GO)
    batchq("add", "--queue", "api", "--", "true")
    batchq("add", "--queue", "mail", "--", "true")
    batchq("add", "--queue", "mail", "--", "true")
    with on_terminal(batchq, "run", "-j", "4") as terminal:
        yield terminal.wait_for("a retry", "'api'", "'mail'", "2 (get)", "1 running")
        terminal.signal(15)
        end(terminal, batchq)


def stopping(batchq: Shell) -> Iterator[str]:
    batchq("add", "--name", "import", "-c", UNTIL_GO)
    batchq("add", "--", "sh", "-c", UNTIL_GO)
    batchq("add", "--", "true")
    with on_terminal(batchq, "run", "-j", "2") as terminal:
        terminal.wait_for("1 (import)", "2  sh -c", "2 running")
        terminal.type(CTRL_C)
        yield terminal.wait_for("again stops them", "waiting for 2 jobs")
        end(terminal, batchq)
        yield terminal.screen()


def verbose(batchq: Shell) -> Iterator[str]:
    batchq("add", "--name", "load", "--", "true")
    batchq("add", "-c", "exit 4")
    yield batchq("run", "-v", "-j", "1", code=1).err.partition("batchq: ")[0]  # before the digest


def last_lines(batchq: Shell) -> Iterator[str]:
    batchq("add", "--", "true")
    batchq("add", "--hold", "--", "true")
    batchq("add", "--run-at", "tomorrow 9:00", "--", "true")
    seen = []
    for _ in range(2):
        with on_terminal(batchq, "run") as terminal:
            terminal.wait()
            seen.append(terminal.screen())
    yield "\n".join(seen)


def looking(batchq: Shell, command: str, widths: tuple[int, ...] = (80,)) -> Iterator[str]:
    """A command that looks at a short night with one failure, in windows of some widths."""
    batchq("add", "--name", "extract", "--", "sleep", "0.4")
    script = batchq.folder / "load.sh"
    script.write_text("#!/bin/sh\nsleep 0.1; echo disk full >&2; exit 4\n")
    script.chmod(0o755)
    batchq("add", "--name", "load", "./load.sh")
    batchq("add", "--name", "mail", "--hold", "--", "true")
    batchq("run", "-q", code=1)
    for columns in widths:
        with on_terminal(batchq, command, columns=columns, rows=40) as terminal:
            terminal.wait()
            yield terminal.screen()


SCREENS: dict[str, Callable[[Shell], Iterator[str]]] = {
    "working": working, "failures": failures, "waiting": waiting, "stopping": stopping, "verbose": verbose,
    "last": last_lines, "list": partial(looking, command="list", widths=(80, 40)),
    "report": partial(looking, command="report"),
}  # fmt: skip
