"""What a plain run leaves alone: one line for each kind that nobody knows of, and silence about what a person decided."""

import re
import subprocess

import pytest
from conftest import Shell


def paste(batchq: Shell, line: str, verb: str) -> None:
    """Type the command that a line names in another folder."""
    (command,) = re.findall(rf"'(batchq --db [^']* {verb} [^']*)'", line)
    subprocess.run(["/bin/sh", "-c", command], cwd="/", env=batchq.env, check=True, capture_output=True)


def test_jobs_that_batchq_put_on_hold_are_one_line_in_each_run_until_a_person_decides(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text("import os\ndef die(): os._exit(7)\n")
    for _ in range(3):
        batchq("add", "-q", "--call", "mine:die", "--on-crash", "hold")
    batchq("run", "-j1", code=1)

    for _ in range(2):
        done = batchq("run")
        assert done.out == "" and done.err.count("\n") == 1
        assert "jobs 1, 2, 3 are on hold, because batchq gave up on them" in done.err
    paste(batchq, done.err, "release")
    assert batchq.rows("SELECT DISTINCT state FROM jobs") == [("queued",)]
    batchq("hold", "--all")
    assert batchq("run").err == ""


def test_jobs_wider_than_the_run_are_one_line_with_at_most_ten_ranges_of_ids(batchq: Shell) -> None:
    lines = "".join(f'{{"command": "true", "slots": {8 if number % 2 else 1}}}\n' for number in range(40))
    batchq("add", "-q", "--format", "jsonl", "-", stdin=lines)

    done = batchq("run", "-j", "2")

    assert done.out == "" and done.err.count("\n") == 1
    assert "jobs 2,4,6,8,10,12,14,16,18,20 … (20 in all) need more slots than this run had (-j 2)" in done.err
    paste(batchq, done.err, "explain")


@pytest.mark.parametrize(("option", "name"), [("--queue", "nte"), ("--batch", "nihgt")])
def test_a_queue_or_batch_that_the_store_has_never_seen_is_one_line(batchq: Shell, option: str, name: str) -> None:
    batchq("add", "-q", "--queue", "net", "--batch", "night", "--", "true")

    done = batchq("run", option, name)

    assert done.out == "" and done.err.count("\n") == 1
    assert f"never seen the {option[2:]} '{name}' (did you mean" in done.err


def test_what_a_person_holds_pauses_or_postpones_is_silent(batchq: Shell) -> None:
    batchq("add", "-q", "--hold", "--name", "first", "--", "true")
    batchq("add", "-q", "--after", "first", "--", "true")
    batchq("add", "-q", "--delay", "1h", "--", "true")
    batchq("queue", "pause", "net")
    batchq("add", "-q", "--queue", "net", "--", "true")

    for words in ((), ("--queue", "net"), ("--queue", "default")):
        done = batchq("run", *words)
        assert (done.out, done.err) == ("", "")
