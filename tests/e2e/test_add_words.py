"""What people type first: ``batchq add echo hello``, a script with options in it, and what they meant instead."""

import json
from pathlib import Path

import pytest
from conftest import Shell


def script(folder: Path, name: str, text: str, mode: int = 0o755) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def work(batchq: Shell, *words: str) -> list[str]:
    """The command that these words after ``batchq add`` are stored as."""
    batchq("add", *words)
    ((found,),) = batchq.rows("SELECT work FROM jobs ORDER BY id DESC LIMIT 1")
    return list(json.loads(str(found)))


def test_a_program_and_all_words_after_it_are_a_command(batchq: Shell) -> None:
    assert work(batchq, "echo", "hello") == ["echo", "hello"]
    assert work(batchq, "--name", "x", "sleep", "0", "--name", "y", "-q") == ["sleep", "0", "--name", "y", "-q"]
    assert work(batchq, "-q", "/bin/echo", "-n") == ["/bin/echo", "-n"]
    assert work(batchq, "echo", "a", "--", "b") == ["echo", "a", "--", "b"]
    assert batchq.rows("SELECT name FROM jobs") == [(None,), ("x",), (None,), (None,)]


def test_a_file_that_can_be_executed_is_a_command_too(batchq: Shell) -> None:
    script(batchq.folder, "s.sh", "#!/bin/sh\necho ran $1\n")

    assert work(batchq, "s.sh", "a") == ["./s.sh", "a"]
    assert work(batchq, "./s.sh") == ["./s.sh"]
    batchq("run")
    assert batchq("logs", "1", "2", "--raw").out == "ran a\nran\n"


def test_job_files_and_stdin_are_read_even_if_they_can_be_executed(batchq: Shell) -> None:
    script(batchq.folder, "jobs.toml", '[[job]]\ncommand = "true"\n')

    assert batchq("add", "jobs.toml").out == "1\n"
    assert batchq("add", "-", stdin="true\nfalse\n").out == "2\n3\n"
    assert batchq("add", "--format", "lines", "jobs.toml").out.split() == ["4", "5"]


def test_a_line_per_input_takes_a_command_without_dashes(batchq: Shell) -> None:
    batchq("add", "--each", "echo", "-n", "{}", stdin="a\nb\n")

    assert batchq.rows("SELECT work FROM jobs") == [('["echo","-n","a"]',), ('["echo","-n","b"]',)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["script.py"], "has no suffix .toml, .jsonl or .csv and cannot be executed: 'chmod +x script.py' to run it"),
        (["nosuchprogram", "x"], "'nosuchprogram' is not a program on the PATH, and as a job file it has no suffix .toml,"
         " .jsonl or .csv: write batchq add -- nosuchprogram … for a command, --format NAME for a job file"),
        (["echo hello"], "for a shell, write batchq add -c 'echo hello'"),
        (["-c", "echo", "hi"], "-c takes one script; write it in quotes, as in -c 'echo hi'"),
        (["a.yaml"], "'a.yaml' is not a program on the PATH"),
    ],
)  # fmt: skip
def test_other_words_get_the_line_that_would_work(batchq: Shell, words: list[str], message: str) -> None:
    script(batchq.folder, "script.py", "print()", 0o644)

    assert message in batchq("add", *words, code=2).err
    assert batchq.rows("SELECT count(*) FROM jobs") == [(0,)]


def test_options_at_the_head_of_a_script_are_those_of_the_job_and_the_command_line_wins(batchq: Shell) -> None:
    head = "#!/bin/sh\n# says\n#BATCHQ --timeout 5m --name 'from script'\n\n#BATCHQ --tag a --tag b\necho\n#BATCHQ --hold\n"
    script(batchq.folder, "s.sh", head)

    batchq("add", "s.sh")
    batchq("add", "--name", "mine", "--", "./s.sh", "x")
    batchq("add", "--tag", "c", "./s.sh")

    rows = batchq.rows("SELECT name, timeout, tags, state FROM jobs")
    assert rows == [
        ("from script", 300_000, '["a","b"]', "queued"),
        ("mine", 300_000, '["a","b"]', "queued"),
        ("from script", 300_000, '["c"]', "queued"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nmae x", "./s.sh, line 2: no option '--nmae' (did you mean '--name'?)"),
        ("--timeout soon", "option --timeout is wrong: 'soon' is not a duration"),
        ("--name 'x", "./s.sh, line 2: No closing quotation"),
        ("other.toml", "./s.sh, line 2: only fields of the job can be set here"),
        ("--each", "./s.sh, line 2: only fields of the job can be set here"),
        ("--db x", "./s.sh, line 2: only fields of the job can be set here"),
        ("-h", "./s.sh, line 2: --help is not a field of the job"),
    ],
)
def test_a_wrong_option_in_a_script_stores_nothing(batchq: Shell, line: str, message: str) -> None:
    script(batchq.folder, "s.sh", f"#!/bin/sh\n#BATCHQ {line}\n")

    done = batchq("add", "./s.sh", code=None)

    assert done.code in (2, 65) and message in done.err
    assert batchq.rows("SELECT count(*) FROM jobs") == [(0,)]


def test_a_binary_and_a_name_that_only_looks_alike_have_no_options(batchq: Shell) -> None:
    script(batchq.folder, "bin", "\x7fELF\n#BATCHQ --name x\n")
    script(batchq.folder, "s.sh", "#!/bin/sh\n#BATCHQS --name x\n")

    batchq("add", "./bin")
    batchq("add", "./s.sh")

    assert batchq.rows("SELECT name FROM jobs") == [(None,), (None,)]
