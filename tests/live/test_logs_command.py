"""``batchq logs``: what it prints of one job and of many, into a pipe and on a terminal, whole or in part."""

import json
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from conftest import Shell
from terminal import on_terminal

from batchq.store.file.opening import open_at

HOSTILE = b"\x1b]0;pwned\x07\x1b[2J\x1b[6n\x9b31m\xe2\x80\xae\x08\x1b[8mhidden \xff\n"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A store in which job 1 (load) has printed three lines, job 2 nothing, job 3 no newline, and job 4 was retried."""
    batchq = Shell(tmp_path_factory.mktemp("printed"))
    batchq.make_store()
    batchq("add", "-q", "--name", "load", "-c", "echo one; echo two; echo three")
    batchq("add", "-q", "--", "true")
    batchq("add", "-q", "-c", "printf 'no newline'")
    batchq(
        "add",
        "-q",
        "--max-attempts",
        "2",
        "--backoff",
        "1ms",
        "-c",
        "echo try $BATCHQ_ATTEMPT; test $BATCHQ_ATTEMPT = 2",
    )
    batchq("run")
    return batchq


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("1", "one\ntwo\nthree\n"),
        ("3", "no newline"),
        ("last", "try 2\n"),
        ("3 1", "==> job 1 (load), attempt 1 <==\none\ntwo\nthree\n==> job 3, attempt 1 <==\nno newline"),
        ("3-4", "==> job 3, attempt 1 <==\nno newline\n==> job 4, attempt 2 <==\ntry 2\n"),
        ("--name load", "==> job 1 (load), attempt 1 <==\none\ntwo\nthree\n"),
        ("3-4 --raw", "no newlinetry 2\n"),
        ("3-4 --stdout", "no newlinetry 2\n"),
        ("3-4 --stderr", ""),
        ("3-4 --stdout --stderr --raw", "no newlinetry 2\n"),
        ("--all --prefix", "[1 load] one\n[1 load] two\n[1 load] three\n[3] no newline\n[4] try 2\n"),
        ("3 --prefix", "[3] no newline\n"),
        ("3 --prefix --stdout", "[3] no newline\n"),
        ("1 -n 2", "two\nthree\n"),
        ("1 --tail=1", "three\n"),
        ("1 3 --lines 1 --raw", "three\nno newline"),
        ("3-4 -n 0 --raw", ""),
        ("4 --attempt 1", "try 1\n"),
        ("4 --all-attempts", "==> job 4, attempt 1 <==\ntry 1\n==> job 4, attempt 2 <==\ntry 2\n"),
        ("4 --all-attempts --raw", "try 1\ntry 2\n"),
        ("--all --attempt 2", "==> job 4, attempt 2 <==\ntry 2\n"),
        ("--all --grep ^t", "[1 load] two\n[1 load] three\n[4] try 2\n"),
        ("--all --grep (?i)^T.*E$ --raw", "three\n"),
        ("1 --grep o", "one\ntwo\n"),
        ("1 --grep o -n 1", "two\n"),
        ("--grep newline$", "[3] no newline\n"),
        ("--all --grep newline --raw", "no newline\n"),
        ("--grep-jobs printf --raw", "no newline"),
        ("--failed --all", ""),
    ],
)  # fmt: skip
def test_what_is_printed_into_a_pipe(printed: Shell, words: str, out: str) -> None:
    assert printed("logs", *words.split()).out == out


def test_grep_answers_with_its_exit_code_as_grep_does(printed: Shell) -> None:
    assert printed("logs", "--grep", "three").err == ""
    assert printed("logs", "--grep", "four", code=1).err == printed("logs", "2", "--grep", ".", code=1).err == ""
    assert "--grep: '(' is not a regular expression" in printed("logs", "1", "--grep", "(", code=2).err
    with on_terminal(printed, "logs", "--grep", "printf") as terminal:
        assert terminal.wait() == 1
        assert "--grep-jobs in their" in terminal.screen(), "a person may have meant the --grep of other commands"


def test_an_expression_that_takes_for_ever_is_ended(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "all a", "-c", "echo b; printf %050d 0 | tr 0 a")
    batchq("run")

    done = batchq("logs", "1", "--grep", "(a+)+$x|b", code=2)

    assert done.out == "b\n"
    assert "'(a+)+$x|b' takes too long on a line of job 1" in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "say which jobs: ids, --failed, --batch NAME or last; with -f alone, what runs"),
        ("1 --raw --prefix", "--raw and --prefix exclude each other"),
        ("1 -f --attempt 1", "--follow and --attempt exclude each other"),
        ("1 -f --all-attempts", "--follow and --all-attempts exclude each other"),
        ("1 --attempt 1 --all-attempts", "--attempt and --all-attempts exclude each other"),
        ("1 -n -1", "-n -1 is less than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(batchq: Shell, words: str, says: str) -> None:
    assert says in batchq("logs", *words.split(), code=2).err


def test_silence_is_reported(printed: Shell) -> None:
    assert printed("logs", "2").err == "batchq: logs: job 2 printed nothing to stdout or stderr\n"
    assert printed("logs", "1-2", "--stderr").err == "batchq: logs: none of these 2 jobs printed anything\n"
    assert printed("logs", "--failed").err == "batchq: logs: no jobs\n"
    assert printed("logs", "--all", "--attempt", "2").err == "batchq: logs: 3 of these jobs have no attempt 2\n"


def test_what_is_missing_is_reported_where_it_is(batchq: Shell) -> None:
    batchq("add", "-q", "-c", "seq 100000")
    batchq("add", "-q", "-c", "seq 100000")
    batchq("run")
    gap = "[batchq: 457,823 bytes of stdout are missing here: keep more with --keep-output or run --log-dir]"

    done = batchq("logs", "1")
    first, last = done.out.split(f"\n{gap}\n")
    assert first.startswith("1\n2\n") and last.endswith("\n100000\n")
    assert (
        done.err
        == "batchq: logs: 457,823 bytes are missing of the stdout of job 1: only its beginning and its end are kept\n"
    )
    assert f"\n[2] {gap}\n" in batchq("logs", "1-2", "--prefix").out
    assert "915,646 bytes are missing: of long output" in batchq("logs", "1-2").err
    assert batchq("logs", "1", "-n", "1").err == "", "nothing is missing there"
    assert "457,823 bytes could not be searched" in batchq("logs", "1", "--grep", "^60000$", code=1).err

    batchq("add", "-q", "-c", "seq 100000")
    batchq("run", "--log-dir", "kept")
    assert re.search(
        r"\n\[batchq: 457,823 bytes .* missing here: all of it is in /.*/kept/3-1-.*\]\n", batchq("logs", "3").out
    )


def test_both_streams_are_printed_in_the_order_in_which_they_came(batchq: Shell) -> None:
    script = (
        "import fcntl, os, termios, time\n"
        "for word in ('a 1', 'b 2', 'c 1', 'd 2'):\n"
        "    stream = int(word[2])\n"
        "    os.write(stream, f'{word}\\n'.encode())\n"
        "    while any(fcntl.ioctl(stream, termios.FIONREAD, bytes(4))): time.sleep(0.001)  # until it was read\n"
    )
    batchq("add", "-q", "--name", "both", "--", sys.executable, "-c", script)
    batchq("run")

    assert batchq("logs", "1").out == batchq("logs", "-f", "1").out == "a 1\nb 2\nc 1\nd 2\n"
    assert batchq("logs", "1", "--prefix", "-n", "3").out == "[1 both] b 2\n[1 both] c 1\n[1 both] d 2\n"
    assert batchq("logs", "1", "--stderr").out == "b 2\nd 2\n"
    assert batchq("logs", "1", "--grep", " 2").out == "b 2\nd 2\n"
    with on_terminal(batchq, "logs", "1") as terminal:
        assert terminal.wait() == 0
        assert terminal.screen() == "a 1\nb 2\nc 1\nd 2"


def test_a_name_can_do_no_harm_in_headings_and_prefixes(batchq: Shell) -> None:
    batchq("add", "-q", "-", "--format", "jsonl", stdin=json.dumps({"name": "\x1b[2J\n[9] ä", "command": "echo text"}))
    batchq("run")

    assert batchq("logs", "--all").out == "==> job 1 (\\x1b[2J\\n[9] ä), attempt 1 <==\ntext\n"
    assert batchq("logs", "1", "--prefix").out == "[1 \\x1b[2J\\n[9] ä] text\n"
    assert batchq("logs", "1", "--prefix", env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}).out.startswith(
        "[1 \\x1b[2J\\n[9] \\xe4] "
    )


# --- on a terminal -----------------------------------------------------------------------------------------------------


def unsafe(raw: bytes) -> list[bytes]:
    """What reached a terminal besides text, colours and the ends of lines."""
    return re.findall(rb"[^\x20-\x7e\r\n]", re.sub(rb"\x1b\[[0-9;]*m", b"", raw))


def test_the_check_would_notice_what_is_hostile() -> None:
    assert len(unsafe(HOSTILE)) > 8
    assert unsafe(b"\x1b[31mred\x1b[0m\r\n") == []


@pytest.fixture(scope="module")
def colourful(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Jobs that print colours, a progress bar, and what must never reach a terminal."""
    batchq = Shell(tmp_path_factory.mktemp("colourful"))
    batchq.make_store()
    (batchq.folder / "hostile").write_bytes(HOSTILE)
    batchq("add", "-q", "--name", "bar", "-c", r"printf '\033[31mred\033[0m\n 10%%\r 50%%\r100%%\n\033[32mgreen'")
    batchq("add", "-q", "--", "cat", "hostile")
    batchq("run")
    return batchq


@pytest.mark.parametrize(
    "words", ["1-2", "1-2 --prefix", "1-2 --raw", "-f 1-2", "--all --grep .", "1-2 -n 5", "1-2 --stdout"]
)
def test_a_terminal_gets_colours_and_the_last_state_and_nothing_else_unprintable(colourful: Shell, words: str) -> None:
    with on_terminal(colourful, "logs", *words.split()) as terminal:
        assert terminal.wait() == 0
        screen = terminal.screen()
        assert {"red", "100%", "green"} <= {line.rpartition("] ")[2] for line in screen.split("\n")}
        assert "10%" not in screen.replace("100%", "")
        assert r"\x1b]0;pwned\x07\x1b[2J\x1b[6n\x9b31m\u202e\x08\x1b[8mhidden \xff" in screen.replace("\n", "")
        at = screen.split("\n")[[("red" in line) for line in screen.split("\n")].index(True)].index("red")
        row = [("red" in line) for line in screen.split("\n")].index(True)
        assert terminal.colour(row, at) == "red"
        assert terminal.colour(row + 1, at) == "default", "a colour ends with its line"
        assert unsafe(terminal.raw) == []


def test_a_terminal_has_headings_and_each_job_begins_on_a_line_of_its_own(colourful: Shell) -> None:
    with on_terminal(colourful, "logs", "1-2") as terminal:
        assert terminal.wait() == 0
        lines = terminal.screen().split("\n")
    assert lines[0] == "==> job 1 (bar), attempt 1 <=="
    assert lines[3:5] == ["green", "==> job 2, attempt 1 <=="]


def test_no_color_removes_colours(colourful: Shell) -> None:
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        with on_terminal(colourful, "logs", "1", env=env) as terminal:
            assert terminal.wait() == 0
            assert terminal.screen() == "red\n100%\ngreen"
            assert b"\x1b" not in terminal.raw


def test_a_pipe_gets_every_byte(colourful: Shell) -> None:
    done = subprocess.run(
        colourful.argv("logs", "1-2", "--stdout"),
        cwd=colourful.folder,
        env=colourful.env,
        capture_output=True,
        check=True,
    )

    assert done.stdout == b"\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\n\x1b[32mgreen" + HOSTILE


# --- many --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["1-20", "1-20 --prefix", "--all --grep ."])
def test_a_reader_that_has_enough_ends_it_in_silence(batchq: Shell, words: str) -> None:
    batchq("add", "-q", "--each", "-c", 'echo "$1"; seq 20000', stdin="".join(f"{number}\n" for number in range(20)))
    batchq("run", "-j2")

    line = shlex.join(str(word) for word in batchq.argv("logs", *words.split()))
    done = subprocess.run(
        ["sh", "-c", f"{{ {line}; echo $? >&2; }} | head -1"],
        cwd=batchq.folder, env=batchq.env, capture_output=True, check=True, text=True,
    )  # fmt: skip

    assert done.stderr == "0\n"
    assert done.stdout in ("==> job 1, attempt 1 <==\n", "[1] 0\n")


def test_a_reader_that_takes_its_time_keeps_no_transaction_open(batchq: Shell) -> None:
    batchq("add", "-q", "--each", "-c", 'echo "$1"; seq 20000', stdin="".join(f"{number}\n" for number in range(20)))
    batchq("run", "-j2")
    reading = subprocess.Popen(batchq.argv("logs", "--all"), cwd=batchq.folder, env=batchq.env, stdout=subprocess.PIPE)
    assert reading.stdout is not None
    begun = reading.stdout.readline()

    with open_at(str(batchq.db())) as store, store.writing() as db:
        db.execute("UPDATE jobs SET priority = 1 WHERE id = 20")
    with closing(sqlite3.connect(batchq.db())) as db:
        assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0), "nobody else may read"
    rest, _ = reading.communicate(timeout=60)

    assert (begun, reading.returncode) == (b"==> job 1, attempt 1 <==\n", 0)
    assert rest.count(b"<==") == 19
