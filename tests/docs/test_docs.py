"""The documentation is true: sessions print what they show, job files are accepted, every field and command is there.

A ``console`` block in which a line begins with ``$ batchq`` is run, block after block of a page in one empty folder. A
block of another language whose first line is ``# NAME.SUFFIX`` is saved there under that name. What differs from run to
run (times, durations, rates) is taken out of both sides before they are compared.
"""

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import invariants
import pytest
from conftest import Shell

from batchq.cli import commands
from batchq.jobs.fields import FIELDS
from batchq.jobs.reading import jobfile
from batchq.store.file.opening import open_at

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HOME = "/home/ann/night"  #: the folder in which every session of the documentation takes place
HOST = "web1"  #: and the machine


class Block(NamedTuple):
    """A fenced block of a page: its language, its text, and the line at which the text begins."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    return [Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1) for match in found]


def is_session(block: Block) -> bool:
    return block.language == "console" and re.search(r"^\$ batchq\b", block.text, re.M) is not None


def steps(session: Block) -> list[tuple[str, str]]:
    """Each command of a session with what it is said to print."""
    pieces = re.split(r"^\$ (.*)\n", session.text, flags=re.M)
    assert not pieces[0], f"a session begins with a command, not with {pieces[0]!r}"
    return list(zip(pieces[1::2], pieces[2::2], strict=True))


_VARYING = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d([.,]\d+)?(Z| [+-]\d{4})?"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\bTIME to TIME\b"), "TIME"),  # jobs that fail in the same second, or not
    (re.compile(r"\b(\d+ (d|h|m) \d\d (h|m|s)|\d+(\.\d+)? (ms|s))\b"), "DURATION"),
    (re.compile(r"\b[\d,.]+ jobs/(s|min|h)"), "RATE"),
    (re.compile(r"\bpid \d+"), "PID"),
    (re.compile(r"\b[\d.]+ [kMG]B\b"), "SIZE"),
    (re.compile(r" {2,}"), " "),  # the width of a column follows from its widest cell
)


def comparable(printed: str) -> list[str]:
    """The lines of a text without what varies; lines that begin with a duration, the slowest jobs, in any order."""
    for pattern, word in _VARYING:
        printed = pattern.sub(word, printed)
    lines = [line.strip() for line in printed.splitlines()]
    at = [number for number, line in enumerate(lines) if line.startswith("DURATION ")]
    for number, line in zip(at, sorted(lines[number] for number in at), strict=True):
        lines[number] = line
    return lines


def told(command: str, shell: Shell, bin: Path) -> str:
    """What a command prints to stdout and stderr, as one text."""
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=shell.folder,
        env=shell.env | {"PATH": f"{bin}{os.pathsep}{shell.env['PATH']}", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    printed = done.stdout.decode().replace(str(shell.folder), HOME)
    return re.sub(
        rf"\b(on `?|hostname=\"|\"host\": \"){re.escape(os.uname().nodename)}\b", rf"\1{HOST}", printed, flags=re.I
    )


@pytest.fixture
def bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the commands ``batchq`` and ``python3``, for the PATH."""
    folder = tmp_path_factory.mktemp("bin")
    for name, start in (("batchq", f'"{sys.executable}" -m batchq'), ("python3", f'"{sys.executable}"')):
        (folder / name).write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def night() -> Iterator[Path]:
    """A folder whose path is short: long ones are shortened where they are told."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)
        invariants.check_all(Path(made))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_session_prints_what_the_page_shows(page: Path, night: Path, bin: Path) -> None:
    shell = Shell(night)
    for block in blocks(page):
        if name := re.match(r"# ([\w-]+\.\w+)\n", block.text):
            (night / name[1]).write_text(block.text)
        if not is_session(block):
            continue
        for command, shown in steps(block):
            assert comparable(told(command, shell, bin)) == comparable(shown), f"{page.name}:{block.line}: $ {command}"


def test_the_comparison_lets_pass_only_what_varies() -> None:
    shown = "2 jobs: 2 succeeded, in 12 ms (1.2 jobs/s)\n\nSLOWEST\n  9 ms  1  a\n  3 ms  2  b\n"

    assert comparable(shown) == comparable(
        shown.replace("12 ms", "1 m 02 s").replace("9 ms  1  a\n  3 ms  2  b", "4 ms 2 b\n 4 ms 1 a")
    )
    assert comparable(shown) != comparable(shown.replace("2 succeeded", "1 succeeded"))
    assert comparable(shown) != comparable(shown + "more\n")
    assert comparable("jobs 1, 2, 14:01:51 to 14:01:52") == comparable("jobs 1, 2, 14:01:51") != comparable("jobs 1, 2")


def test_there_are_sessions_to_run() -> None:
    assert [page.name for page in PAGES if any(map(is_session, blocks(page)))] == [
        "README.md",
        "causes.md",
        "change.md",
        "ci.md",
        "cli.md",
        "cron.md",
        "digest.md",
        "formats.md",
        "jobfile.md",
        "list.md",
        "monitoring.md",
        "notify.md",
        "output.md",
        "page.md",
        "python.md",
        "reports.md",
        "scale.md",
        "terminal.md",
        "top.md",
    ]


JOB_FILES = [
    (page, block) for page in PAGES for block in blocks(page) if block.language == "toml" and "[[job]]" in block.text
]


@pytest.mark.parametrize(("page", "block"), JOB_FILES, ids=lambda part: getattr(part, "name", ""))
def test_every_job_file_shown_is_accepted(page: Path, block: Block) -> None:
    jobs = jobfile.read(block.text.encode(), "toml", f"{page.name}:{block.line}", {}, "/srv", "/usr/bin")

    assert len(jobs) == block.text.count("[[job]]") or "matrix = " in block.text


def test_every_line_of_json_and_csv_shown_is_accepted() -> None:
    for block in blocks(ROOT / "docs/jobfile.md"):
        if format := {"json": "jsonl", "csv": "csv"}.get(block.language):
            assert jobfile.read(block.text.encode(), format, "jobfile.md", {}, "/srv", "/usr/bin")


def test_the_example_of_the_repository_is_accepted() -> None:
    data = (ROOT / "jobs.example.toml").read_bytes()

    kinds = {job.kind for job in jobfile.read(data, "toml", "jobs.example.toml", {}, "/srv", "/usr/bin")}
    assert kinds == {"argv", "shell", "call", "payload"}


def test_the_table_of_fields_is_the_list_of_fields() -> None:
    section = (ROOT / "docs/jobfile.md").read_text().partition("## The fields\n")[2].partition("\n## ")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.M) == list(FIELDS)


@pytest.mark.parametrize("command", commands.ROOMS)
def test_every_command_is_documented(command: str) -> None:
    assert any(re.search(rf"`?batchq {command}\b", page.read_text()) for page in PAGES)


def test_the_page_of_the_views_names_each_column_once(night: Path) -> None:
    page = (ROOT / "docs" / "views.md").read_text()
    named = [name for cells in re.findall(r"^\| (`.*?`) \|", page, re.M) for name in re.findall(r"`(\w+)`", cells)]

    open_at(str(night / "batchq.db"), create=True).close()
    with closing(sqlite3.connect(night / "batchq.db")) as db:
        views = re.findall(r"\w+_report\b", " ".join(re.findall(r"^## (.*)", page, re.M)))
        columns = [column for view in views for _, column, *_ in db.execute(f"PRAGMA table_info({view})")]
        there = db.execute("SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY 1").fetchall()

    assert sorted(views) == [name for (name,) in there]
    assert sorted(named) == sorted(columns)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()) if "://" not in link]

    assert [link for link in links if not (page.parent / link).exists()] == []
