"""``success_codes``: exit codes of a command that count as success."""

import json

import pytest
from conftest import Shell


def test_an_exit_code_that_counts_as_success_is_kept_and_shown(batchq: Shell) -> None:
    batchq("add", "--success-codes", "0,24", "-c", "exit 24")
    batchq("add", "--success-codes", "23", "--success-codes", "24", "--name", "sync", "-c", "exit 23")
    batchq("add", "--after", "sync", "-c", "exit 0")
    batchq("run", code=0)

    assert batchq.rows("SELECT state, outcome, exit_code FROM jobs JOIN attempts ON job = jobs.id ORDER BY id") == [
        ("succeeded", "succeeded", 24), ("succeeded", "succeeded", 23), ("succeeded", "succeeded", 0),
    ]  # fmt: skip
    assert "succeeded with exit code 24" in batchq("show", "1").out
    assert json.loads(batchq("show", "--json", "1").out)["job"]["attempts"][0]["exit_code"] == 24


def test_what_is_not_listed_is_a_failure_also_0(batchq: Shell) -> None:
    (batchq.folder / "jobs.toml").write_text(
        "[[job]]\ncommand = 'exit 0'\nsuccess_codes = [24]\n[[job]]\ncommand = 'exit 2'\nsuccess_codes = [0, 24]\n"
    )
    batchq("add", "jobs.toml")
    batchq("run", code=1)

    assert batchq.rows("SELECT state, exit_code FROM jobs JOIN attempts ON job = jobs.id ORDER BY id") == [
        ("failed", 0), ("failed", 2),
    ]  # fmt: skip


def test_a_listed_code_is_a_success_whatever_retry_on_says(batchq: Shell) -> None:
    batchq("add", "--success-codes", "0,75", "--retry-on", "75", "--max-attempts", "3", "-c", "exit 75")
    batchq("run", code=0)

    assert batchq.rows("SELECT state, attempt FROM jobs") == [("succeeded", 1)]


def test_a_csv_file_has_them_as_a_list(batchq: Shell) -> None:
    (batchq.folder / "jobs.csv").write_text('command,success_codes\nexit 24,0;24\nexit 23,"[0, 23]"\n')
    batchq("add", "jobs.csv")
    batchq("run", code=0)

    assert batchq.rows("SELECT success_codes FROM jobs ORDER BY id") == [("0,24",), ("0,23",)]


@pytest.mark.parametrize("work", ["call = 'os:getcwd'", "payload = 1"])
def test_a_job_without_an_exit_code_takes_none(batchq: Shell, work: str) -> None:
    (batchq.folder / "jobs.toml").write_text(f"[[job]]\n{work}\nsuccess_codes = [0, 24]\n")

    complaint = "field 'success_codes' can be [0, 24] for commands only: a callable has no exit code"
    assert complaint in batchq("add", "jobs.toml", code=65).err
    assert batchq.rows("SELECT count(*) FROM jobs") == [(0,)]


@pytest.mark.parametrize("codes", ["[256]", "[-1]", "['x']", "[true]", "[1.5]"])
def test_what_is_not_an_exit_code_is_refused(batchq: Shell, codes: str) -> None:
    (batchq.folder / "jobs.toml").write_text(f"[[job]]\ncommand = 'x'\nsuccess_codes = {codes}\n")

    assert "which is not an exit code: write numbers from 0 to 255" in batchq("add", "jobs.toml", code=65).err
