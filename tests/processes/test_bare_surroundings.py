"""A run from a crontab: hardly any environment, closed or full descriptors. The exit code and the records are as ever."""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from scene import Scene

pytest_plugins = ("scene",)

CLOSED = {"0": "<&-", "1": ">&-", "2": "2>&-"}
COMBINATIONS = ["".join(digits).strip() for digits in product(*((" ", digit) for digit in CLOSED))]


def as_cron(scene: Scene, redirections: str, *words: str) -> "subprocess.CompletedProcess[bytes]":
    """One command of batchq as cron starts it."""
    root = str(Path(sys.modules["batchq"].__file__ or "").parent.parent)
    return subprocess.run(
        ["env", "-i", "PATH=/usr/bin:/bin", f"PYTHONPATH={root}", "/bin/sh", "-c", f'exec "$@" {redirections}', "sh",
         sys.executable, "-m", "batchq", *words],
        cwd=scene.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def add_three(scene: Scene) -> None:
    scene.add(
        {"command": "echo out; echo err >&2; cat; exit 3"},
        {"call": "os:getcwd"},
        {"command": "echo ü; ls -l /proc/self/fd >&2", "env": {"PATH": "/usr/bin:/bin"}},
    )


def check_three(scene: Scene) -> None:
    assert scene.attempts("outcome, exit_code") == [("failed", 3), ("succeeded", None), ("succeeded", 0)]
    assert scene.attempts("result")[1] == (f'"{scene.folder}"',)
    assert scene.output() == b"out\n"
    assert scene.output(1, "stderr") == b"err\n"
    assert scene.output(3) == "ü\n".encode()
    assert b"/dev/null" in scene.output(3, "stderr")  # stdin is there, whatever the run had
    assert b"batchq.db" not in scene.output(3, "stderr")


@pytest.mark.parametrize("closed", COMBINATIONS)
def test_a_run_with_closed_descriptors_is_a_run(scene: Scene, closed: str) -> None:
    add_three(scene)
    done = as_cron(scene, " ".join(CLOSED[digit] for digit in closed.replace(" ", "")), "run", "-j", "2")

    assert done.returncode == 1
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr
    if "2" not in closed:
        assert b"exit code 3" in done.stderr
    check_three(scene)


@pytest.mark.parametrize("words", [("run",), ("run", "-v"), ("run", "-q"), ("run", "--json"), ("run", "--events", "-")])
@pytest.mark.parametrize("full", [">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full"])
def test_a_full_device_changes_neither_the_records_nor_what_the_exit_code_says(
    scene: Scene, full: str, words: tuple[str, ...]
) -> None:
    add_three(scene)
    done = as_cron(scene, full, *words)

    wanted_stdout = words[-1] in ("--json", "-") and ">/dev/full" in full.replace("2>/dev/full", "")
    assert done.returncode in ((1, 74) if wanted_stdout else (1,))
    assert b"Traceback" not in done.stderr + done.stdout
    check_three(scene)


def test_json_that_cannot_be_written_is_never_a_success(scene: Scene) -> None:
    scene.add({"command": "true"})
    done = as_cron(scene, ">/dev/full", "run", "--json")

    assert done.returncode == 74
    assert b"Traceback" not in done.stderr
    assert scene.jobs() == [("succeeded",)]


def test_a_reader_that_goes_away_is_no_traceback(scene: Scene) -> None:
    scene.add(*[{"command": "echo; exit 1"}] * 100)
    words = [os.fsdecode(word) for word in scene.shell.argv("run", "-v")]
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" 2>&1 | head -c 1', "bash", *words],
        cwd=scene.folder, env=scene.shell.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert b"Traceback" not in done.stdout + done.stderr
    assert done.returncode == 1
    assert set(scene.jobs()) == {("failed",)}


@pytest.mark.parametrize("words", [("list",), ("report",), ("show", "1"), ("logs", "1"), ("--help",)])
@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", ">/dev/full 2>/dev/full"])
def test_a_command_that_only_looks_has_no_traceback_either(
    scene: Scene, words: tuple[str, ...], redirections: str
) -> None:
    scene.add({"command": "echo out"})
    scene.run()
    done = as_cron(scene, redirections, *words)

    assert b"Traceback" not in done.stderr
    assert done.returncode == (74 if ">/dev/full" in redirections else 0)


def test_a_run_without_home_or_locale_or_terminal_is_silent_when_all_is_well(scene: Scene) -> None:
    scene.add({"command": "echo ü"}, {"call": "os:getcwd"})
    done = as_cron(scene, "", "run")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_failure_is_told_in_any_locale(scene: Scene) -> None:
    scene.add({"name": "prüfe", "command": "echo schön >&2; printf '\\377\\033[31m' >&2; exit 3"})
    done = as_cron(scene, "", "run")

    assert done.returncode == 1
    assert b"exit code 3" in done.stderr
    assert b"\x1b" not in done.stderr
    assert b"Traceback" not in done.stderr
