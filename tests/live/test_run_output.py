"""``run --output`` and ``--keep-order``: what jobs print, line by line, with their ids and names."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import Shell, eventually
from terminal import CTRL_Q, CTRL_S, on_terminal

PARTS = "for i in 1 2 3 4 5 6 7 8 9; do printf 'a'; printf 'b' >&2; sleep 0.005; printf 'c\\n'; printf 'd\\n' >&2; done"


def mixed(out: str, err: str) -> list[str]:
    """The lines in which something of another line, stream or job is."""
    bad = [line for line in out.splitlines() if not re.fullmatch(r"\[\d+\] ac", line)]
    return bad + [line for line in err.splitlines() if not re.fullmatch(r"\[\d+\] bd", line)]


def test_lines_have_their_job_and_their_stream_and_never_mix(batchq: Shell) -> None:
    for _ in range(4):
        batchq("add", "-c", PARTS)
    done = batchq("run", "--output", "-j", "4")

    assert mixed(done.out, done.err) == []
    for job in range(1, 5):
        assert done.out.count(f"[{job}] ") == done.err.count(f"[{job}] ") == 9


def test_lines_that_mix_would_be_noticed() -> None:
    assert mixed("[1] ac\n[2] a[1] c\n", "[1] ac\n") == ["[2] a[1] c", "[1] ac"]


def test_a_line_without_a_newline_is_completed_and_a_very_long_one_is_parted(batchq: Shell) -> None:
    batchq("add", "--name", "x\ny", "--", "printf", "one\\n\\ntwo")
    batchq("add", "-c", "head -c 300000 /dev/zero | tr '\\0' z")
    (batchq.folder / "work.py").write_text("def f():\n    print('from Python', end='')\n")
    batchq("add", "--call", "work:f")
    lines = batchq("run", "--output", "-q", "-j", "1").out.splitlines()

    assert lines[:3] == ["[1 x\\ny] one", "[1 x\\ny] ", "[1 x\\ny] two"]
    assert lines[-1] == "[3] from Python"
    assert "".join(line.removeprefix("[2] ") for line in lines[3:-1]) == "z" * 300_000
    assert max(map(len, lines)) < 200_000


def test_it_is_printed_while_the_jobs_run(batchq: Shell) -> None:
    batchq("add", "-c", "echo begun; until [ -e go ]; do sleep 0.01; done; echo ended")
    with batchq.start("run", "--output") as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"[1] begun\n"
        (batchq.folder / "go").touch()
        assert run.communicate(timeout=60) == (b"[1] ended\n", b"")
        assert run.returncode == 0


def test_with_keep_order_each_job_is_whole_and_the_first_is_first(batchq: Shell) -> None:
    batchq("add", "--name", "first", "-c", "echo a; until [ -e go ]; do sleep 0.01; done; echo b")
    batchq("add", "--each", "-c", 'seq 1 200000 | sed "s/^/$1 /"; [ $1 != 3 ] || touch go', stdin="1\n2\n3\n")
    batchq("add", "--", "no-such-program")
    batchq("add", "--", "echo", "last")
    done = batchq("run", "-k", "-q", "-j", "2", code=1)

    lines = done.out.splitlines()
    assert lines[:2] == ["[1 first] a", "[1 first] b"] and lines[-1] == "[6] last"
    for job in (2, 3, 4):
        begin = 2 + (job - 2) * 200_000
        assert lines[begin : begin + 200_000] == [f"[{job}] {job - 1} {number}" for number in range(1, 200_001)]
    assert len(lines) == 600_003


def test_keep_order_prints_the_first_job_as_it_comes(batchq: Shell) -> None:
    batchq("add", "-c", "echo begun; until [ -e go ]; do sleep 0.01; done")
    batchq("add", "-c", "echo second")
    with batchq.start("run", "--keep-order", "-j", "2") as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"[1] begun\n"
        eventually(lambda: batchq.rows("SELECT state FROM jobs WHERE id = 2") == [("succeeded",)])
        (batchq.folder / "go").touch()
        assert run.communicate(timeout=60) == (b"[2] second\n", b"")


def test_keep_order_prints_what_there_is_when_the_run_is_stopped(batchq: Shell) -> None:
    batchq("add", "-c", "echo begun; touch up1; exec sleep 600")
    batchq("add", "-c", "echo second; touch up2; exec sleep 600")
    batchq("add", "--each", "--", "true", stdin="1\n2\n3\n4\n")
    with batchq.start("run", "-k", "-j", "2", "--grace", "0") as run:
        eventually(lambda: all((batchq.folder / name).exists() for name in ("up1", "up2")))
        run.send_signal(signal.SIGTERM)
        assert run.communicate(timeout=60)[0] == b"[1] begun\n[2] second\n"
        assert run.returncode == 143


@pytest.mark.parametrize("option", ["--output", "-k"])
@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ('"$@" | head -n 1', 1, ""),
        ('"$@" >/dev/full', 74, "cannot write the output of jobs: No space left on device"),
        ('"$@" >&-', 1, ""),
    ],
    ids=["head", "full", "closed"],
)
def test_output_that_cannot_be_written_changes_nothing_for_the_jobs(
    batchq: Shell, option: str, script: str, code: int, said: str
) -> None:
    batchq("add", "--each", "-c", "seq 100000; exit $1", stdin="0\n1\n0\n")
    words = [os.fsdecode(word) for word in batchq.argv("run", option, "-j", "2")]
    done = subprocess.run(
        ["bash", "-c", f"{script}; exit ${{PIPESTATUS[0]}}", "bash", *words],
        cwd=batchq.folder, env=batchq.env, capture_output=True, timeout=120, check=False, text=True,
    )  # fmt: skip

    assert done.returncode == code
    assert batchq.rows("SELECT state FROM jobs ORDER BY id") == [("succeeded",), ("failed",), ("succeeded",)]
    assert [line for line in done.stderr.splitlines() if "cannot write" in line] == (
        [f"batchq: {said}"] if said else []
    )
    assert "Traceback" not in done.stderr
    assert done.stdout in ("[1] 1\n", "[2] 1\n") if "head" in script else not done.stdout


@contextmanager
def unread(batchq: Shell, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A run whose stdout is a pipe that nobody reads."""
    with batchq.start("run", *words) as run:
        yield run
        run.communicate(timeout=60)


@pytest.mark.parametrize("option", ["--output", "-k"])
def test_a_reader_that_does_not_read_keeps_no_timeout_signal_or_record_waiting(batchq: Shell, option: str) -> None:
    batchq("add", "--timeout", "700ms", "-c", "seq 1000000; exec sleep 600")
    batchq("add", "--each", "--", "true", stdin="\n".join(map(str, range(50))))
    batchq("add", "-c", "touch up; exec sleep 600")
    with unread(batchq, option, "-j", "2", "--grace", "0") as run:
        eventually(lambda: batchq.rows("SELECT outcome FROM attempts WHERE job = 1") == [("timed_out",)])
        eventually(lambda: batchq.rows("SELECT count(*) FROM jobs WHERE state = 'succeeded'") == [(50,)])
        eventually((batchq.folder / "up").exists)
        run.send_signal(signal.SIGTERM)
        eventually(lambda: run.poll() is not None)
        assert run.returncode == 143


def peak(batchq: Shell, *words: str) -> int:
    """The peak memory of a run in KiB, whose reader is slow."""
    argv = [os.fsdecode(word) for word in batchq.argv("run", *words)]
    measure = "import os, resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); " \
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", '"$@" | { sleep 1; wc -c; }', "bash", sys.executable, "-c", measure, *argv],
        cwd=batchq.folder, env=batchq.env, capture_output=True, timeout=120, check=True, text=True,
    )  # fmt: skip
    assert int(done.stdout) > 60_000_000
    return int(done.stderr)


@pytest.mark.parametrize("option", ["--output", "-k"])
def test_memory_stays_bounded_when_jobs_print_much(batchq: Shell, option: str) -> None:
    batchq("add", "-c", "until [ -e go ]; do sleep 0.01; done; echo first")
    batchq("add", "-c", "yes 'a line of thirty characters...' | head -c 60000000; touch go")

    assert peak(batchq, option, "-q", "-j", "2") < 80_000


def test_on_a_terminal_colours_stay_all_else_is_safe_and_the_state_is_under_it(batchq: Shell) -> None:
    batchq(
        "add",
        "--name",
        "load",
        "-c",
        r"printf 'a \033[31mred\033[0m b\n'; printf '\033[2Jx\a\n50%%\r99%%\n' >&2; sleep 600",
    )
    with on_terminal(batchq, "run", "--output") as terminal:
        screen = terminal.wait_for("[1 load] a red b", "[1 load] \\x1b[2Jx\\x07", "[1 load] 99%", "0 of 1, 1 running")
        lines = screen.split("\n")
        assert lines.index("[1 load] 99%") < next(n for n, line in enumerate(lines) if "0 of 1" in line)
        row = lines.index("[1 load] a red b")
        assert terminal.colour(row, 11) == "red" and terminal.colour(row, 15) == "default"
        terminal.signal(signal.SIGQUIT)
        assert terminal.wait() == 131


def test_without_colours_a_terminal_gets_none(batchq: Shell) -> None:
    batchq("add", "-c", r"printf 'a \033[31mred\033[0m b\n'")
    with on_terminal(batchq, "run", "-q", "--output", env={"NO_COLOR": "1"}) as terminal:
        assert (terminal.wait(), terminal.screen()) == (0, "[1] a red b")
        assert b"\x1b[31m" not in terminal.raw


def test_much_output_to_a_stopped_terminal_is_all_there_when_it_continues(batchq: Shell) -> None:
    batchq("add", "-c", "seq 5000; touch up; seq 5001 9000")
    batchq("add", "--", "true")
    with on_terminal(batchq, "run", "--output", "-j", "1") as terminal:
        terminal.wait_for("[1] ")
        terminal.type(CTRL_S)
        eventually((batchq.folder / "up").exists)
        eventually(lambda: batchq.rows("SELECT count(*) FROM jobs WHERE state = 'succeeded'") == [(2,)])
        terminal.type(CTRL_Q)
        assert terminal.wait() == 0
        lines = [line for line in terminal.scrolled().split("\n") if line.startswith("[1] ")]
        assert lines[-3:] == ["[1] 8998", "[1] 8999", "[1] 9000"] and "lines were not shown" not in terminal.scrolled()


@pytest.mark.parametrize("words", [("--output", "--json"), ("-k", "--events", "-"), ("-k", "--tee", "-c", "true")])
def test_what_prints_to_the_same_place_is_refused(batchq: Shell, words: tuple[str, ...]) -> None:
    assert "exclude each other" in batchq("run", *words, code=2, stdin="").err


def test_run_output_is_no_field_of_the_jobs_to_add(batchq: Shell) -> None:
    assert batchq("run", "--output", "--", "echo", "hello").out == "[1] hello\n"
