"""Command lines that are valid and probably not meant as they are: each gets a line with what to type instead."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import Shell
from terminal import Terminal, on_terminal

END = "\x04"  #: Ctrl-D


def seen(shell: Shell, *words: str, keys: str = "", stdin: str | None = None) -> str:
    """What a person sees; with ``stdin`` that file comes through a pipe."""
    if stdin is None:
        with on_terminal(shell, *words, columns=150) as terminal:
            for key in keys:
                terminal.type(key)
            assert terminal.wait() == 0
            return terminal.scrolled()
    argv = " ".join(f"'{word}'" for word in shell.argv(*words) if isinstance(word, str))
    with Terminal(["sh", "-c", f"{argv} < {stdin}"], cwd=shell.folder, env=shell.env, columns=150) as terminal:
        assert terminal.wait() == 0
        return terminal.scrolled()


@pytest.mark.parametrize("kind", ["a pipe", "a file"])
def test_braces_with_something_on_stdin_and_no_each_is_a_warning(batchq: Shell, kind: str) -> None:
    lines = batchq.folder / "lines"
    lines.write_text("a.csv\nb.csv\n")
    argv = ("add", "--", "gzip", "-k", "{}")
    with (
        lines.open() as file,
        subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as cat,
        lines.open() as again,
    ):
        cat.wait()  # all of it is in the pipe
        done = subprocess.run(
            batchq.argv(*argv), cwd=batchq.folder, env=batchq.env, capture_output=True, text=True,
            stdin=cat.stdout if kind == "a pipe" else again,
        )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, "1\n")
    assert done.stderr == (
        "batchq: warning: this is one job, with {} as it is; for a job for each line of stdin, write:"
        " batchq add --each -- gzip -k '{}'\n"
    )


@pytest.mark.parametrize(
    "words", [("gzip", "{}"), ("find", ".", "-exec", "rm", "{}", ";"), ("echo", "{x}"), ("echo", "plain")]
)
def test_without_input_or_with_braces_of_its_own_there_is_no_warning(batchq: Shell, words: tuple[str, ...]) -> None:
    stdin = "a\n" if words[0] != "gzip" else ""

    assert batchq("add", "--", *words, stdin=stdin).err == ""


@pytest.mark.parametrize(
    "words",
    [
        ("--", "echo", "{}", ":::", "a b", "c"),
        ("-c", "echo $1", "--", ":::", "a b", "c"),
        ("echo", "{}", ":::", "a b", "c"),
    ],
)
def test_values_without_each_are_a_warning_with_the_line_that_works(batchq: Shell, words: tuple[str, ...]) -> None:
    told = batchq("add", *words, stdin="").err
    assert told.startswith(
        "batchq: warning: this is one job, with ::: as it is; for a job for each value, write: batchq "
    )
    assert "::: " not in batchq("add", "--hold", "--", "parallel", "echo", ":::", "a", stdin="").err

    meant = shlex.split(told.partition("write: batchq ")[2])
    assert batchq(*meant, stdin="").out == "3\n4\n"
    batchq("run", "-q")
    assert batchq("logs", "3", "4", "--raw").out == "a b\nc\n"


@pytest.mark.parametrize("line", ["echo a && echo b", "echo hello", "ls | wc -l", "echo 'a b'"])
def test_a_line_for_a_shell_as_one_word_is_a_warning_with_c_and_fails_with_a_hint(batchq: Shell, line: str) -> None:
    done = batchq("add", "--", line)
    (command,) = [text for text in done.err.splitlines() if "warning" in text]

    assert done.out == "1\n"
    assert "is one word and so the name of a program; for a shell, write: batchq add -c " in command
    meant = command.partition("write: batchq ")[2]
    assert subprocess.run(["sh", "-c", f'printf "%s" {meant[7:]}'], capture_output=True, text=True).stdout == line
    assert "(a line for a shell is added with -c)" in batchq("run", code=1).err


def test_a_program_whose_name_has_a_blank_is_no_reason_to_warn(batchq: Shell) -> None:
    program = batchq.folder / "my program"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)

    assert batchq("add", "--", "./my program").err == ""
    assert batchq("add", "--", "nosuchprogram").err == ""
    err = batchq("run", code=1).err
    assert "nosuchprogram" in err
    assert "a line for a shell" not in err


def test_each_on_a_terminal_says_that_it_reads_the_keyboard_and_how_to_end(batchq: Shell) -> None:
    text = seen(batchq, "add", "--each", "--", "echo", "{}", keys=f"one\n{END}")

    assert "batchq: reading lines from the keyboard; Ctrl-D ends them, Ctrl-C adds nothing" in text
    assert text.endswith("added job 1")
    assert "reading lines from the keyboard" in seen(batchq, "add", "-", keys=f"true\n{END}")


def test_empty_input_is_exit_code_0_with_a_line_on_a_terminal_only(batchq: Shell) -> None:
    for words in (("--each", "--", "echo", "{}"), ("-",)):
        assert "batchq: nothing added: the input has no jobs" in seen(batchq, "add", *words, stdin="/dev/null")
        done = batchq("add", *words, stdin="")
        assert (done.out, done.err) == ("", "")
    assert seen(batchq, "add", "-q", "-", stdin="/dev/null") == ""


def test_a_template_without_braces_gets_the_line_as_its_last_word_and_a_terminal_says_so(batchq: Shell) -> None:
    (batchq.folder / "lines").write_text("1\n2\n")

    text = seen(batchq, "add", "--each", "--", "sleep", "1", stdin="lines")

    assert "batchq: no {} in the command, so each line becomes its last word, as in: sleep 1 LINE" in text
    assert text.endswith("2 jobs added: 1-2")
    assert batchq("add", "--each", "--", "sleep", "1", stdin="1\n").err == ""
    assert json.loads(batchq("show", "2", "--json").out)["job"]["command"] == "sleep 1 2"
    assert "no {}" not in seen(batchq, "add", "--each", "--", "sleep", "{}", stdin="lines")


def test_an_option_after_the_command_is_noted_on_a_terminal(batchq: Shell) -> None:
    note = "batchq: --timeout 5 goes to sleep; options of batchq stand before the command"

    assert note in seen(batchq, "add", "--", "sleep", "1", "--timeout", "5")
    assert note in seen(batchq, "add", "sleep", "1", "--timeout", "5")
    assert "goes to" not in seen(batchq, "add", "--timeout", "5", "--", "sleep", "1")
    assert "goes to" not in seen(batchq, "add", "--", "docker", "run", "--name", "x")
    assert batchq("add", "--", "sleep", "1", "--timeout", "5").err == ""


def test_a_script_without_quotes_is_refused_with_the_line_that_works(batchq: Shell) -> None:
    assert batchq("add", "-c", "echo", "hi", code=2).err == (
        "batchq: -c takes one script; write it in quotes, as in -c 'echo hi'\n"
    )


ARRAY = '[\n  {"command": "echo one", "name": "a"},\n  {"command": ["echo", "two"], "after": ["a"]}\n]\n'


def test_a_json_array_is_a_job_file(batchq: Shell) -> None:
    (batchq.folder / "a.json").write_text(ARRAY)

    assert batchq("add", "a.json").out == "1\n2\n"
    assert batchq("add", "--format", "json", "-", stdin=ARRAY).out == "3\n4\n"
    assert batchq("run", "a.json").err == ""
    assert json.loads(batchq("show", "2", "--json").out)["job"]["command"] == "echo two"


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        ("[]", 0),
        ('{\n "command": "true"\n}', 1),
        ('{"command": "true"}\n{"command": "true"}\n', 2),
        ("", 0),
        (" \n", 0),
    ],
)
def test_a_json_file_may_also_be_one_object_or_one_a_line(batchq: Shell, text: str, jobs: int) -> None:
    (batchq.folder / "a.json").write_text(text)

    assert len(batchq("add", "a.json").out.split()) == jobs


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"command": "true"}, 7]', "a.json, job 2: must be a JSON object"),
        ('[{"command": "true"},]', "a.json: is not JSON"),
        ('[{"comand": "true", "name": "x"}]', "a.json, job 1 (x): "),
        ('[{"command": "true", "command": "false"}]', "a.json: has the key 'command' twice"),
        ('[{"command": "true", "key": "\\ud800"}]', "a.json, job 1: field 'key' "),
        ("[" * 100_000, "a.json: is nested too deeply"),
        ("7", "a.json, job 1: must be a JSON object"),
    ],
)
def test_a_wrong_json_file_is_refused_with_its_place(batchq: Shell, text: str, told: str) -> None:
    (batchq.folder / "a.json").write_text(text)

    assert told in batchq("add", "a.json", code=65).err
    assert batchq("list").out == ""


def test_an_array_as_json_lines_gets_the_format_that_works(batchq: Shell) -> None:
    told = batchq("add", "--format", "jsonl", "-", stdin=ARRAY, code=65).err

    assert told == "batchq: stdin, line 1: is a list; for a file that is one JSON array use --format json\n"


def test_a_text_file_is_a_list_of_commands(batchq: Shell, tmp_path: Path) -> None:
    (batchq.folder / "cmds.txt").write_text("# nightly\necho one\necho two\n")

    assert batchq("add", "cmds.txt").out == "1\n2\n"
