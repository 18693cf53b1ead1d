"""`batchq add --each`: real files with hostile names reach real programs byte for byte, and no shell ever reads them."""

import os
import sys
from pathlib import Path

import pytest
from conftest import Shell

#: Writes its arguments into the file named by the job's id, each ended by NUL.
KEEP = """
import os, sys
with open(os.path.join(os.environ["OUT"], os.environ["BATCHQ_JOB_ID"]), "wb") as out:
    out.writelines(os.fsencode(word) + b"\\0" for word in sys.argv[1:])
"""

NAMES = [
    b"plain.png",
    b"two words.png",
    b" edge ",
    b'it\'s "so".png',
    b"`touch pwned`",
    b"$(touch pwned)",
    b"; touch pwned",
    b"&& touch pwned #",
    b"| tee pwned",
    b"-rf",
    b"--help",
    b"*",
    b"{}",
    b"{.}.{#}",
    b"${HOME}",
    b"back\\slash",
    b"caf\xe9.png",
    "ä€😀.png".encode(),
    b"\x1b[31mred",
    b"carriage\r",
    b"#note",
    b"=",
]
WITH_NEWLINES = [*NAMES, b"two\nlines", b"\n; touch pwned\n"]


@pytest.fixture
def scene(batchq: Shell) -> Shell:
    """A store beside two empty folders: ``in`` for the files, ``out`` for what their names looked like to a program."""
    for name in ("in", "out"):
        (batchq.folder / name).mkdir()
    batchq.env["OUT"] = str(batchq.folder / "out")
    (batchq.folder / "keep.py").write_text(KEEP)
    return batchq


def files(shell: Shell, names: list[bytes]) -> list[bytes]:
    for name in names:
        (shell.folder / "in" / os.fsdecode(name)).touch()
    return sorted(os.listdir(os.fsencode(shell.folder / "in")))


def received(shell: Shell, jobs: int) -> list[list[bytes]]:
    """What the program of each job was given; and nothing but that was done."""
    shell("run", "-j", "2")
    assert shell.rows("SELECT DISTINCT state FROM jobs") == [("succeeded",)]
    assert list(shell.folder.rglob("*pwned*")) == [
        path for path in shell.folder.rglob("*pwned*") if path.parent.name == "in"
    ]
    return [(shell.folder / "out" / str(job)).read_bytes().split(b"\0")[:-1] for job in range(1, jobs + 1)]


def test_hostile_file_names_reach_a_program_byte_for_byte(scene: Shell) -> None:
    names = files(scene, WITH_NEWLINES)
    words = [sys.executable, "keep.py", "{}", "<{}>", "{x}"]

    scene("add", "-q", "--each", "-0", "--", *words, stdin=b"\0".join(names) + b"\0")

    assert received(scene, len(names)) == [[name, b"<" + name + b">", b"{x}"] for name in names]


def test_hostile_file_names_reach_a_script_as_parameters_alone(scene: Shell) -> None:
    names = files(scene, WITH_NEWLINES)
    script = f'{sys.executable} keep.py "$1" "$@"'

    scene("add", "-q", "--each", "-0", "-c", script, "--", "{/}", stdin=b"\0".join(names))

    assert received(scene, len(names)) == [[name, name, name] for name in names]


def test_a_name_a_line_needs_no_nul_where_no_name_has_a_newline(scene: Shell) -> None:
    names = files(scene, NAMES)
    (scene.folder / "list").write_bytes(b"\n".join(names) + b"\n\n")

    scene("add", "-q", "--each", "--from", "list", "--", sys.executable, "keep.py")

    assert received(scene, len(names)) == [[name.removesuffix(b"\r")] for name in names]


def test_a_value_pasted_into_a_script_runs_and_is_told_once(batchq: Shell) -> None:
    done = batchq("add", "--each", "--", "sh", "-c", "echo got {}", stdin="a\nb\n")

    assert done.err.count("warning:") == done.err.count("\n") == 1
    assert "sh -c '… \"$1\" …' sh {}" in done.err
    batchq("run")
    assert batchq("logs", "1-2", "--raw").out == "got a\ngot b\n"


def test_a_list_that_windows_wrote_is_the_same_for_add_and_each(batchq: Shell) -> None:
    text = "\ufeff./a.txt\r\n./b.txt\r"
    batchq("add", "-", stdin=text)
    batchq("add", "--each", "--", "cat", stdin=text)

    assert [work for (work,) in batchq.rows("SELECT work FROM jobs ORDER BY id")] == [
        '["./a.txt"]', '["./b.txt"]', '["cat","./a.txt"]', '["cat","./b.txt"]'
    ]  # fmt: skip


def test_cells_of_csv_reach_variables_and_stdin_byte_for_byte(scene: Shell) -> None:
    rows = b"".join(b'"' + name.replace(b'"', b'""') + b'",x\n' for name in NAMES)
    script = f'{sys.executable} keep.py "$FILE" "$(cat; echo .)"'

    words = ("--each", "--csv", "--env", "FILE={name}", "--stdin", "{name}", "-c", script)
    scene("add", "-q", *words, stdin=b"name,other\n" + rows)

    assert received(scene, len(NAMES)) == [[name, name + b"."] for name in NAMES]


def test_a_matrix_value_is_not_read_by_a_shell(scene: Shell) -> None:
    (scene.folder / "jobs.toml").write_text(
        f"[[job]]\ncommand = '''{sys.executable} keep.py \"$1\" \"$2\"'''\n"
        "matrix = { a = ['$(touch pwned)', '; touch pwned'], b = [1] }\n"
        f"[[job]]\ncommand = ['{sys.executable}', 'keep.py', '{{a}}']\nmatrix = {{ a = ['`touch pwned`'] }}\n"
    )
    scene("add", "-q", "jobs.toml")

    assert received(scene, 3) == [[b"$(touch pwned)", b"1"], [b"; touch pwned", b"1"], [b"`touch pwned`"]]


def test_each_line_has_its_own_folder_name_and_output(batchq: Shell) -> None:
    for name in ("a", "b"):
        (batchq.folder / name).mkdir()
    lines = "a/x.txt\nb/y.txt\n"
    batchq("add", "--each", "--cwd", "{//}", "--name", "{/.}", "-c", 'basename "$1" > out', stdin=lines)
    batchq("run")

    assert [(batchq.folder / name).read_text() for name in ("a/out", "b/out")] == ["x.txt\n", "y.txt\n"]
    assert batchq.rows("SELECT name FROM jobs ORDER BY id") == [("x",), ("y",)]


def test_no_input_is_nothing_to_do(batchq: Shell) -> None:
    done = batchq("add", "--each", "--", "echo", stdin="")

    assert (done.out, done.err) == ("", "")


WRONG = [
    (("--each",), 2, "--each needs a template"),
    (("--each", "jobs.txt", "--", "x"), 2, "exclude each other"),
    (("--each", "jobs.txt"), 2, "exclude each other"),
    (("--each", "--csv", "--tsv", "--", "x"), 2, "--csv and --tsv exclude each other"),
    (("--each", "--csv", "-0", "--", "x"), 2, "--csv and -0 exclude each other"),
    (("--from", "list", "--", "x"), 2, "--from belongs to --each"),
    (("--csv", "--", "x"), 2, "--csv belongs to --each"),
    (("--tsv", "-c", "x"), 2, "--tsv belongs to --each"),
    (("-0", "--", "x"), 2, "-0 belongs to FILE, '-' or --each"),
    (("--each", "--format", "csv", "--", "x"), 2, "--format belongs to FILE"),
    (("--each", "--from", "missing", "--", "x"), 66, "missing"),
    (("--each", "--"), 65, "names no program"),
    (("--each", "-c", " "), 65, "the command is an empty command"),
    (("--each", "-c", "gzip {}"), 2, 'a shell gets the value as "$1"'),
    (("--each", "--csv", "--", "x", "{a}"), 65, "stdin, line 3: has 3 columns, but the first row names 2"),
    (("--each", "--queue", "{1}{1}", "--key", "x", "--", "x"), 65, "stdin: has several lines, but the key 'x'"),
    (("--each", "--call", "a:b", "--", "x"), 2, "exclude each other"),
    (("--each", "--call", "a:b", "--args", '{"a": "b"}'), 2, "needs a placeholder in --args"),
    (("--each", "--call", "a:b", "--args", '{"a": {}}', "--priority", "1"), 2, "needs a placeholder in --args"),
    (("--each", "--unique", "sometimes", "--", "x"), 2, "option --unique must be 'ever', 'active' or a duration"),
    (("--slots", "0", "--", "x"), 2, "option --slots must be between 1"),
    (("--if-exists", "x", "--", "x"), 2, "option --if-exists must be one of skip, reject, replace, rerun-failed"),
    (("--retry-on", "4000", "--", "x"), 2, "option --retry-on has the exit code 4000"),
    (("--no-retry-on", "signal:X", "--", "x"), 2, "option --no-retry-on has the unknown signal 'X'"),
    (("--retry-timeout-factor", "0.5", "--", "x"), 2, "option --retry-timeout-factor must be a number from 1"),
    (("--input", "", "--key", "auto", "--", "x"), 65, "inputs"),
    (("--after", "batch:", "--", "x"), 2, "option --after names a batch, but not which"),
    (("--after-any", "nobody", "--", "x"), 65, "nobody"),
]


def test_what_is_wrong_is_one_sentence_and_stores_nothing(batchq: Shell) -> None:
    for words, code, says in WRONG:
        done = batchq("add", *words, stdin="a,b\nc,d\n1,2,3\n", code=code)

        assert says in done.err, words
        assert (done.out, done.err.count("\n")) == ("", 1), words
    assert batchq.rows("SELECT * FROM jobs") == []


def test_all_fields_as_options_are_stored(batchq: Shell) -> None:
    Path(batchq.folder / "in.csv").touch()
    batchq("add", "--name", "first", "--", "true")
    batchq(
        "add", "--retry-on", "75", "--retry-on", "timeout", "--no-retry-on", "signal:KILL", "--after", "first",
        "--after-any", "1", "--input", "in.csv", "--unique", "1d", "--if-exists", "reject", "--slots", "2",
        "--retry-timeout-factor", "1.5", "--key", "auto", "--tag", "a", "--tag", "b", "--", "true",
    )  # fmt: skip

    assert batchq.rows(
        "SELECT retry_on, no_retry_on, slots, retry_timeout_factor, tags, state FROM jobs WHERE id = 2"
    ) == [('[75, "timeout"]', '["signal:9"]', 2, 1.5, '["a","b"]', "blocked")]
    assert batchq.rows("SELECT inputs FROM jobs WHERE id = 2") == [(f'["{batchq.folder}/in.csv"]',)]
