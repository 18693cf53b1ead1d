"""``batchq logs -f``: what it follows, what it prints of it, and when it ends."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from conftest import Shell, Started, eventually, finish, send
from terminal import CTRL_C, on_terminal

GATE = "until test -e {}; do sleep 0.01; done"


class Follower:
    """``batchq logs -f WORDS…``, which writes to a file that can be read meanwhile."""

    def __init__(self, batchq: Shell, *words: str) -> None:
        self._out, self._err = batchq.folder / "out", batchq.folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                batchq.argv("logs", "-f", *words), cwd=batchq.folder, env=batchq.env, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err,
            )  # fmt: skip

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def ended(self) -> int:
        return self.process.wait(timeout=60)


@contextlib.contextmanager
def following(batchq: Shell, *words: str) -> Iterator[Follower]:
    follower = Follower(batchq, *words)
    try:
        yield follower
    finally:
        follower.process.kill()
        follower.process.wait()


def open_gate(batchq: Shell, name: str) -> None:
    (batchq.folder / name).touch()


@contextlib.contextmanager
def at_work(batchq: Shell, *options: str) -> Iterator[Started]:
    """A run; it must end with the block."""
    with batchq.start("run", "-q", *options) as run:
        yield run
        finish(run)


def test_a_finished_job_is_printed_as_ever_and_the_command_ends(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "a", "-c", "echo one; printf two")
    batchq("run")

    assert batchq("logs", "-f", "1").out == "one\ntwo"
    assert batchq("logs", "-f", "1", "--prefix").out == "[1 a] one\n[1 a] two\n"
    assert batchq("logs", "-f", "1", "-n", "1").out == "two"
    assert batchq("logs", "-f", "--failed").out == ""


def test_a_batch_is_followed_to_its_end_and_jobs_that_are_added_join(batchq: Shell) -> None:
    batchq("add", "-q", "--batch", "night", "--name", "early", "--", "echo", "done before")
    batchq("run")
    batchq(
        "add",
        "-q",
        "--batch",
        "night",
        "--name",
        "slow",
        "-c",
        f"echo begun; {GATE.format('go')}; echo ended; printf rest",
    )
    batchq("add", "-q", "--name", "other", "--", "echo", "not of the batch")
    with at_work(batchq, "--watch", "-j2") as run:
        with following(batchq, "--batch", "night") as follower:
            eventually(lambda: follower.out == "[1 early] done before\n[2 slow] begun\n")
            batchq("add", "-q", "--batch", "night", "-c", "echo joined; echo error >&2")
            eventually(lambda: "[4] error\n" in follower.out)
            open_gate(batchq, "go")
            assert follower.ended() == 0
        assert "[2 slow] ended\n[2 slow] rest\n" in follower.out
        assert "not of the batch" not in follower.out
        send(run, signal.SIGTERM)


def test_last_is_one_job_or_many(batchq: Shell) -> None:
    batchq("add", "-q", "-c", f"echo one; {GATE.format('go')}; echo two")
    with at_work(batchq):
        with following(batchq, "last") as follower:
            eventually(lambda: follower.out == "one\n")
            open_gate(batchq, "go")
            assert follower.ended() == 0
        assert follower.out == "one\ntwo\n"

    batchq("add", "-q", "-", stdin="echo a\necho b\n")
    with at_work(batchq), following(batchq, "last") as follower:
        assert follower.ended() == 0
    assert sorted(follower.out.splitlines()) == ["[2] a", "[3] b"]


def test_without_a_selection_it_follows_what_runs_and_what_starts_until_the_run_has_ended(batchq: Shell) -> None:
    batchq("add", "-q", "--", "echo", "old")
    batchq("run")
    batchq("add", "-q", "-c", f"echo now; {GATE.format('go')}")
    for number in range(20):
        batchq("add", "-q", "--", "echo", f"quick {number}")
    with following(batchq) as follower:
        eventually(lambda: batchq.full("logs: no run is at work; start one with 'batchq run'") in follower.err)
        with at_work(batchq, "-j1"):
            eventually(lambda: "[2] now\n" in follower.out)
            open_gate(batchq, "go")
            assert follower.ended() == 0

    first, *others = follower.out.splitlines()
    assert first == "[2] now"
    assert sorted(others) == sorted(f"[{number + 3}] quick {number}" for number in range(20))
    assert follower.err.count("\n") == 1


def test_the_jobs_of_a_run_are_followed_to_its_end(batchq: Shell) -> None:
    batchq("add", "-q", "--", "echo", "of an earlier run")
    batchq("run")
    batchq("add", "-q", "--", "echo", "quick")
    batchq("add", "-q", "-c", f"echo now; {GATE.format('go')}")
    batchq("add", "-q", "-c", "echo later")
    with at_work(batchq, "-j1"):
        eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE id = 3 AND state = 'running'"))
        with following(batchq, "--run", "last") as follower:
            eventually(lambda: "[3] now\n" in follower.out)
            open_gate(batchq, "go")
            assert follower.ended() == 0

    assert follower.out == "[2] quick\n[3] now\n[4] later\n"


def test_what_keeps_jobs_from_running_is_reported_in_the_words_of_wait(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "up", "--", "echo", "ran")
    with following(batchq, "1") as follower:
        told = batchq.full("batchq: logs: job 1 (up): no run at work takes it; start one with 'batchq run'\n")
        eventually(lambda: follower.err == told)
        batchq("run")
        assert follower.ended() == 0
    assert follower.out == "ran\n"


def test_each_attempt_of_a_retried_job_is_followed(batchq: Shell) -> None:
    script = f"echo try $BATCHQ_ATTEMPT; printf rest; {GATE.format('go')}; test $BATCHQ_ATTEMPT = 3"
    batchq("add", "-q", "--max-attempts", "3", "--backoff", "1ms", "-c", script)
    with at_work(batchq), following(batchq, "1", "--prefix") as follower:
        eventually(lambda: follower.out == "[1] try 1\n")
        open_gate(batchq, "go")
        assert follower.ended() == 0

    assert follower.out == "".join(f"[1] try {number}\n[1] rest\n" for number in (1, 2, 3))


def test_the_last_lines_come_first_and_lines_that_match_alone(batchq: Shell) -> None:
    batchq("add", "-q", "-c", f"seq 100; {GATE.format('go')}; echo 101; echo x")
    with at_work(batchq):
        eventually(lambda: batchq.rows("SELECT 1 FROM outputs WHERE total > 0"))
        with following(batchq, "1", "-n", "2") as follower:
            eventually(lambda: follower.out == "99\n100\n")
            open_gate(batchq, "go")
            assert follower.ended() == 0
        assert follower.out == "99\n100\n101\nx\n"

    assert batchq("logs", "-f", "1", "--grep", "^1.?1$").out == "11\n101\n"
    batchq("logs", "-f", "1", "--grep", "y", code=1)


def test_ctrl_c_ends_it_as_it_ends_tail(batchq: Shell) -> None:
    batchq("add", "-q", "--", "true")
    with on_terminal(batchq, "logs", "-f", "1") as terminal:
        terminal.wait_for("no run at work takes it")
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.screen()


def test_it_ends_when_its_reader_is_gone(batchq: Shell) -> None:
    batchq("add", "-q", "-c", f"echo one; {GATE.format('go')}")
    with at_work(batchq):
        eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE state = 'running'"))
        follower = subprocess.Popen(
            batchq.argv("logs", "-f", "1"), cwd=batchq.folder, env=batchq.env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"one\n"
        follower.stdout.close()
        assert follower.wait(timeout=60) == 0, "though the job prints nothing more"
        assert follower.stderr is not None
        assert follower.stderr.read() == b""
        follower.stderr.close()
        open_gate(batchq, "go")


@pytest.mark.parametrize("columns", [20, 80])
def test_a_progress_bar_is_drawn_on_one_line(batchq: Shell, columns: int) -> None:
    bar = (
        "printf '\\r10%% %s' wide-wide-wide-wide; : > first; "
        + GATE.format("go")
        + "; printf '\\r20%%'; echo; echo end"
    )
    batchq("add", "-q", "-c", bar)
    with at_work(batchq):
        eventually((batchq.folder / "first").exists)
        with on_terminal(batchq, "logs", "-f", "1", columns=columns) as terminal:
            terminal.wait_until(lambda screen: screen == "10% wide-wide-wide-wide"[: columns - 1], "the bar")
            open_gate(batchq, "go")
            assert terminal.wait() == 0
            assert terminal.screen() == "20%\nend"


def test_a_choice_of_no_job_ends_at_once(batchq: Shell) -> None:
    batchq("add", "-q", "--hold", "--", "true")
    batchq("add", "-q", "-", stdin="")

    assert "nothing was added by the newest add" in batchq("logs", "-f", "last").err
    assert batchq("logs", "-f", "--failed").out == batchq("logs", "last").out == ""


#: ``batchq`` that looks at all jobs of a selection only now and then, as it does if there are a million
RARELY = """
import sys
from batchq.cli.logs import following
from batchq.__main__ import main
following.SHARE = 3000
main()
"""


def test_between_two_looks_at_a_large_selection_jobs_are_printed_as_they_run_and_once(batchq: Shell) -> None:
    batchq("add", "-q", "--batch", "night", "-c", f"echo first; {GATE.format('go')}; echo more; {GATE.format('on')}")
    batchq("add", "-q", "--batch", "night", "--each", "-c", 'echo "$1"', stdin="".join(f"{n}\n" for n in range(2, 41)))
    with at_work(batchq, "-j2"):
        eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE state = 'running'"))
        with (batchq.folder / "out").open("wb") as out:
            follower = subprocess.Popen(
                [sys.executable, "-c", RARELY, "logs", "-f", "--batch", "night"], cwd=batchq.folder, env=batchq.env,
                stdout=out,
            )  # fmt: skip
        try:
            eventually(lambda: b"[1] first\n" in (batchq.folder / "out").read_bytes())
            open_gate(batchq, "go")
            eventually(lambda: b"[1] more\n" in (batchq.folder / "out").read_bytes())
            open_gate(batchq, "on")
            assert follower.wait(timeout=60) == 0
        finally:
            follower.kill()
            follower.wait()
    lines = (batchq.folder / "out").read_text().splitlines()
    assert sorted(lines) == sorted(["[1] first", "[1] more", *(f"[{number}] {number}" for number in range(2, 41))])
