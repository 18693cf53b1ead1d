"""Input that is huge, endless or no file at all is refused with a sentence, in bounded memory; much input needs little."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Shell
from soaking import SOAK

MIB = 1 << 20
FEW = 512 * MIB  #: bytes of address space, in which everything here must find room
MATRIX = "{" + ", ".join(f'"{name}": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]' for name in "abcde") + "}"
TOML_MATRIX = MATRIX.replace('"', "").replace(":", " =")


def limited(batchq: Shell, *words: str, stdin: str = "/dev/null") -> tuple[int, str]:
    """One command with little memory: its exit code and what it said."""
    with Path(stdin).open("rb") as source:
        done = subprocess.run(
            batchq.argv(*words), cwd=batchq.folder, env=batchq.env, stdin=source, capture_output=True, timeout=240,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (FEW, FEW)), check=False,
        )  # fmt: skip
    return done.returncode, done.stderr.decode()


def refused(batchq: Shell, *words: str, stdin: str = "/dev/null") -> str:
    code, said = limited(batchq, *words, stdin=stdin)
    assert code == 65, said
    assert said.count("\n") == 1
    assert batchq.rows("SELECT count(*) FROM jobs") == [(0,)]
    return said


@pytest.mark.parametrize("words", [
    ("add", "--format", "lines"), ("add", "--format", "jsonl"), ("add", "--format", "csv"), ("add", "--format", "toml"),
    ("run", "-q"),
])  # fmt: skip
def test_a_file_without_end_is_refused(batchq: Shell, words: tuple[str, ...]) -> None:
    (batchq.folder / "zero.jsonl").symlink_to("/dev/zero")
    refused(batchq, *words, "zero.jsonl" if words[0] == "run" else "/dev/zero")


@pytest.mark.parametrize("words", [
    ("--each",), ("--each", "-0"), ("--each", "--tsv"), ("--each", "--csv"),
])  # fmt: skip
def test_lines_without_end_are_refused(batchq: Shell, words: tuple[str, ...]) -> None:
    refused(batchq, "add", *words, "--from", "/dev/zero", "--", "true")
    refused(batchq, "add", *words, "--", "true", stdin="/dev/zero")


@pytest.mark.parametrize("name", ["bomb.toml", "bomb.jsonl"])
def test_a_small_file_cannot_describe_millions_of_jobs(batchq: Shell, name: str) -> None:
    one = f'{{"command": ["x", "{{a}}"], "matrix": {MATRIX}}}\n'
    if name == "bomb.toml":
        one = f'[[job]]\ncommand = ["x", "{{a}}"]\nmatrix = {TOML_MATRIX}\n'
    (batchq.folder / name).write_text(one * 100)

    assert "more than 2,000,000 jobs: split it" in refused(batchq, "add", name)


def test_a_list_of_hundreds_of_megabytes_is_refused(batchq: Shell) -> None:
    with (batchq.folder / "list").open("wb") as file:
        file.seek(300 * MIB)
        file.write(b"\n")
        for place in range(1, 300):
            file.seek(place * MIB)
            file.write(b"\necho a line of a megabyte\n# ")
    assert "split it" in refused(batchq, "add", "-0", "--format", "lines", "list")


def test_an_input_that_is_not_a_regular_file_is_refused(batchq: Shell) -> None:
    os.mkfifo(batchq.folder / "pipe")
    (batchq.folder / "folder").mkdir()
    for name in ("pipe", "folder", "/dev/zero"):
        said = refused(batchq, "add", "--key", "auto", "--input", name, "--", "true")
        assert "field 'inputs' names" in said
    assert "not JSON" in refused(batchq, "add", "--call", "m:f", "--args", '{"n": 1e999}')


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak(batchq: Shell, jobs: int) -> int:
    """The MiB that an add of so many jobs needs, each with a name, a key and a number of its own."""
    path = batchq.folder / "jobs.jsonl"
    with path.open("w") as file:
        for number in range(jobs):
            file.write(f'{{"command": ["echo", "{number}"], "name": "job {number}", "key": "k{number}"}}\n')
    # Through a small program: the kernel counts what a process shared with its parent before exec, and pytest is large.
    argv = [sys.executable, "-S", "-c", MEASURE, *batchq.argv("add", path.name)]
    done = subprocess.run(argv, cwd=batchq.folder, env=batchq.env, stdout=subprocess.PIPE, check=True)
    assert batchq.rows("SELECT count(*), count(DISTINCT key), max(id) FROM jobs") == [(jobs, jobs, jobs)]
    return int(done.stdout) // 1024


def test_many_jobs_need_little_memory(batchq: Shell) -> None:
    """A million need less than 150 MiB; here it is fewer, of which each may need as much as each of a million."""
    jobs = 1_000_000 if SOAK else 60_000
    assert peak(batchq, jobs) < 40 + jobs * 110 // 1_000_000


def test_an_error_in_one_of_the_last_lines_stores_nothing(batchq: Shell) -> None:
    lines = "".join(f'{{"command": "echo {number}"}}\n' for number in range(30_000))
    done = batchq("add", "--format", "jsonl", "-", stdin=lines + '{"comand": "typo"}\n', code=65)
    assert "line 30001: unknown field 'comand' (did you mean 'command'?)" in done.err
    assert batchq.rows("SELECT count(*) FROM jobs") == [(0,)]
    assert batchq.rows("SELECT value FROM settings WHERE name = 'last_job'") == [(0,)]


def test_many_jobs_are_as_they_were_written(batchq: Shell) -> None:
    """Jobs that rest in a file until they are stored keep every field, names and keys work across all of them."""
    lines = "".join(
        f'{{"command": "echo {number}", "name": "n{number}", "tags": ["t{number % 3}"], "priority": {number % 5},'
        f' "after": {[f"n{number - 1}"] if number % 1000 == 1 else []}, "key": "k{number // 2}"}}\n'.replace("'", '"')
        for number in range(40_000)
    )
    done = batchq("add", "--format", "jsonl", "-", stdin=lines)
    assert len(done.out.split()) == 40_000
    assert batchq.rows("SELECT count(*), sum(priority), count(DISTINCT name) FROM jobs") == [(20_000, 40_000, 20_000)]
    assert batchq.rows("SELECT count(*) FROM dependencies") == [(0,)]
    assert batchq.rows("SELECT tags, priority, work, key FROM jobs WHERE name = 'n39998'") == [
        ('["t2"]', 3, '["echo 39998"]', "k19999"),
    ]  # fmt: skip
