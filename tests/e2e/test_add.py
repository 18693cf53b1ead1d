"""`batchq add` as a user types it."""

import json
import os
from pathlib import Path

import pytest
from conftest import Shell


def works(shell: Shell) -> list[tuple[object, ...]]:
    return shell.rows("SELECT kind, work FROM jobs ORDER BY id")


def test_argv_after_two_dashes_is_stored_as_given(batchq: Shell) -> None:
    done = batchq("add", "--", "printf", "%s\n", "a b", "--db", "$HOME", "--", "x")

    assert done.out == "1\n"
    assert json.loads(str(works(batchq)[0][1])) == ["printf", "%s\n", "a b", "--db", "$HOME", "--", "x"]


def test_a_file_name_after_two_dashes_is_a_program_and_not_read(batchq: Shell) -> None:
    batchq("add", "--", "foo.toml")

    assert works(batchq) == [("argv", '["foo.toml"]')]


def test_bytes_that_are_no_utf8_survive(batchq: Shell) -> None:
    batchq("add", b"--", b"touch", b"caf\xe9")
    batchq("run")

    assert b"caf\xe9" in os.listdir(os.fsencode(batchq.folder))


def test_a_shell_string_with_words_gives_them_as_positional_parameters(batchq: Shell) -> None:
    batchq("add", "-c", 'printf "%s|" "$@" > out', "--", "a b", "$(id)", "-n")
    batchq("run")

    assert (batchq.folder / "out").read_text() == "a b|$(id)|-n|"


def test_lines_of_stdin_are_shell_commands_and_ids_come_out_in_order(batchq: Shell) -> None:
    done = batchq("add", "-", stdin="echo a\n\n# not a job\necho b | cat\n")

    assert done.out == "1\n2\n"
    assert done.err == ""
    assert [json.loads(str(work)) for _, work in works(batchq)] == [["echo a"], ["echo b | cat"]]


def test_nul_ended_items_may_hold_newlines(batchq: Shell) -> None:
    batchq("add", "-0", "-", stdin="echo a\necho b\0echo c\0")

    assert [json.loads(str(work)) for _, work in works(batchq)] == [["echo a\necho b"], ["echo c"]]


def test_a_toml_file_with_defaults(batchq: Shell) -> None:
    (batchq.folder / "jobs.toml").write_text(
        '[defaults]\nqueue = "etl"\nmax_attempts = 3\n'
        '[[job]]\nname = "one"\ncommand = ["true"]\n'
        '[[job]]\ncommand = "true | true"\nqueue = "other"\n'
        '[[job]]\ncall = "os:getcwd"\n'
        "[[job]]\npayload = { customer = 17 }\n"
    )
    batchq("add", "jobs.toml")

    assert batchq.rows("SELECT kind, name, queue, max_attempts FROM jobs ORDER BY id") == [
        ("argv", "one", "etl", 3),
        ("shell", None, "other", 3),
        ("call", None, "etl", 3),
        ("payload", None, "etl", 3),
    ]


def test_json_lines_from_stdin(batchq: Shell) -> None:
    batchq("add", "--format", "jsonl", "-", stdin='{"command": ["true"], "priority": 5}\n{"payload": [1]}\n')

    assert batchq.rows("SELECT kind, priority FROM jobs ORDER BY id") == [("argv", 5), ("payload", 0)]


def test_csv_by_suffix_or_from_stdin(batchq: Shell) -> None:
    (batchq.folder / "jobs.csv").write_text('name,command,queue,tags\nload,"ls | wc -l",etl,a;b\n,true,,\n')
    batchq("add", "jobs.csv")
    batchq("add", "--format", "csv", "-", stdin="payload\n17\n")

    assert batchq.rows("SELECT name, kind, work, queue, tags FROM jobs ORDER BY id") == [
        ("load", "shell", '["ls | wc -l"]', "etl", '["a","b"]'),
        (None, "shell", '["true"]', "default", None),
        (None, "payload", "17", "default", None),
    ]


def test_a_bad_cell_is_told_with_file_line_and_field(batchq: Shell) -> None:
    (batchq.folder / "jobs.csv").write_text("name,command,slots\na,true,1\nload,true,many\n")
    done = batchq("add", "jobs.csv", code=65)

    assert done.err == "batchq: jobs.csv, line 3 (load): field 'slots' must be a whole number, not a string\n"
    assert works(batchq) == []


def test_a_key_is_stored_once_and_its_id_is_told_again(batchq: Shell) -> None:
    first = batchq("add", "--key", "nightly", "--", "true")
    again = batchq("add", "--key", "nightly", "--", "true")

    assert first.out == again.out == "1\n"
    assert len(works(batchq)) == 1


def test_quiet_prints_nothing(batchq: Shell) -> None:
    done = batchq("add", "-q", "--", "true")

    assert (done.out, done.err) == ("", "")


def test_the_working_directory_and_path_of_the_add_call_are_stored(batchq: Shell) -> None:
    (batchq.folder / "sub").mkdir()
    batchq("add", "-c", "pwd > where; echo $PATH > path", "--cwd", "sub")
    batchq("run", env={"PATH": "/nowhere"})

    assert (batchq.folder / "sub/where").read_text().strip() == str((batchq.folder / "sub").resolve())
    assert (batchq.folder / "sub/path").read_text().strip() == batchq.env["PATH"]


def test_named_variables_are_stored_and_others_are_not(batchq: Shell) -> None:
    env = {"COLOUR": "red", "SECRET": "s"}
    batchq("add", "--env", "COLOUR", "--env", "SIZE=9", "-c", 'echo "$COLOUR $SIZE $SECRET" > out', env=env)
    batchq("run")

    assert (batchq.folder / "out").read_text() == "red 9 \n"


def test_add_creates_a_store_and_says_so_on_stderr(folder: Path) -> None:
    shell = Shell(folder)
    done = shell("add", "--db", "new.db", "--", "true")

    assert done.out == "1\n"
    assert done.err == f"batchq: made the store {folder / 'new.db'}\n"
    assert (folder / "new.db").stat().st_mode & 0o777 == 0o600


def test_without_any_store_named_or_near_the_users_own_is_used(folder: Path) -> None:
    shell = Shell(folder)
    shell("add", "--", "true", env={"XDG_DATA_HOME": ""})

    assert (folder / ".local/share/batchq/batchq.db").exists()


def test_the_nearest_store_upwards_is_used(batchq: Shell) -> None:
    deep = batchq.folder / "a/b"
    deep.mkdir(parents=True)
    inner = Shell(batchq.folder)
    inner.folder = deep
    inner("add", "--", "true")

    assert len(works(batchq)) == 1


@pytest.mark.parametrize(
    "words", [("--db", "other.db", "add", "--", "true"), ("add", "--db", "other.db", "--", "true")]
)
def test_db_is_taken_before_and_after_the_verb(batchq: Shell, words: tuple[str, ...]) -> None:
    batchq(*words)

    assert (batchq.folder / "other.db").exists()
    assert works(batchq) == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "nothing to add"),
        (("-c", "true", "jobs.toml"), 2, "exclude each other"),
        (("--call", "a:b", "--", "true"), 2, "exclude each other"),
        (("--args", "{}", "--", "true"), 2, "--args belongs to --call"),
        (("--priority", "high", "--", "true"), 2, "priority"),
        (("--timeout", "soon", "--", "true"), 2, "--timeout is wrong: 'soon' is not a duration"),
        (("--no-such-option", "--", "true"), 2, "--no-such-option"),
        (("--env", "NOT_THERE", "--", "true"), 2, "NOT_THERE"),
        (("missing.toml",), 66, "missing.toml"),
        (("jobs.ini",), 2, "--format"),
        (("-0", "--format", "jsonl", "-"), 2, "-0 belongs to lines, not to the format jsonl"),
        (("--call", "a:b", "--leftovers", "keep"), 65, "leftovers"),
        (("--call", "no-colon"), 65, "package.module:function"),
        (("--call", "a:b", "--args", "{"), 65, "--args"),
        (("--call", "a:b", "--args", "[1]"), 65, "keyword arguments"),
        (("--",), 65, "names no program"),
        (("-c", " "), 65, "empty command"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_stores_nothing(
    batchq: Shell, words: tuple[str, ...], code: int, says: str
) -> None:
    done = batchq("add", *words, code=code)

    assert says in done.err
    assert done.out == ""
    assert works(batchq) == []


def test_one_bad_job_of_a_file_stores_none_of_it(batchq: Shell) -> None:
    (batchq.folder / "jobs.toml").write_text(
        '[[job]]\ncommand = "true"\n[[job]]\nname = "load"\ncommand = "true"\ntimout = "5s"\n'
    )
    done = batchq("add", "jobs.toml", code=65)

    assert done.err.count("\n") == 1
    assert all(part in done.err for part in ("jobs.toml", "job 2 (load)", "timout", "timeout"))
    assert works(batchq) == []


def test_an_argument_over_128_kib_is_refused_at_add_and_one_below_runs(batchq: Shell) -> None:
    line = "true " + "x" * (128 * 1024)
    batchq("add", "-", stdin=line, code=65)
    batchq("add", "-", stdin=line[: 128 * 1024 - 1])

    batchq("run")
    assert batchq.rows("SELECT state FROM jobs") == [("succeeded",)]
