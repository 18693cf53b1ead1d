"""``run --tee``: the output of the job also goes to stdout and stderr of the run, byte for byte, as it comes."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Shell, Started, eventually
from terminal import CTRL_C, CTRL_Q, CTRL_S, Terminal, on_terminal

BYTES = bytes(range(256)) * 3  #: no text in any encoding
MUCH = "yes 0123456789abcde | head -c 3000000"  #: more than a pipe and the run's own buffers take


@contextmanager
def with_reader(
    batchq: Shell, *words: str, argv: list[str] | None = None, stderr: int = subprocess.PIPE
) -> Iterator[tuple[Started, int]]:
    """A run whose stdout is a pipe, and the end from which nobody reads unless the test does."""
    reader, writer = os.pipe()
    try:
        with Started(
            argv or batchq.argv("run", "--tee", *words), cwd=batchq.folder, env=batchq.env, stdin=subprocess.DEVNULL,
            stdout=writer, stderr=stderr, start_new_session=True,
        ) as run:  # fmt: skip
            os.close(writer)
            yield run, reader
    finally:
        os.close(reader)


def ended(run: Started) -> int:
    run.communicate(timeout=60)
    return run.returncode


def drained(reader: int) -> bytes:
    return b"".join(iter(lambda: os.read(reader, 65536), b""))


def test_both_streams_come_through_byte_for_byte_and_are_recorded(batchq: Shell) -> None:
    (batchq.folder / "bytes").write_bytes(BYTES)

    done = subprocess.run(
        batchq.argv("run", "--tee", "-c", "cat bytes; cat bytes bytes >&2"),
        cwd=batchq.folder, env=batchq.env, stdin=subprocess.DEVNULL, capture_output=True, check=True,
    )  # fmt: skip

    assert (done.stdout, done.stderr) == (BYTES, 2 * BYTES)
    assert batchq.rows("SELECT stream, total FROM outputs ORDER BY stream") == [
        ("stderr", 2 * len(BYTES)),
        ("stdout", len(BYTES)),
    ]


def test_off_a_terminal_nothing_comes_through_unless_asked_for(batchq: Shell) -> None:
    assert batchq("run", "-c", "echo out; echo err >&2").out == ""
    assert batchq("run", "--tee", "-c", "echo out").out == "out\n"
    assert batchq("run", "--no-tee", "-c", "echo out").out == ""


def test_it_comes_while_the_job_runs(batchq: Shell) -> None:
    with with_reader(batchq, "-c", "echo first; until test -e gate; do sleep 0.01; done; echo last") as (run, reader):
        assert os.read(reader, 100) == b"first\n"
        assert batchq.rows("SELECT state FROM jobs") == [("running",)]
        (batchq.folder / "gate").touch()
        assert drained(reader) == b"last\n"
        assert ended(run) == 0


def test_a_callable_and_each_attempt_come_through_too(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text("def greet(): print('hello from Python', flush=True)\n")

    assert batchq("run", "--tee", "--call", "mine:greet").out == "hello from Python\n"
    script = "echo $BATCHQ_ATTEMPT; test $BATCHQ_ATTEMPT = 3"
    assert batchq("run", "--tee", "--max-attempts", "3", "--backoff", "1ms", "-c", script).out == "1\n2\n3\n"


def test_the_digest_repeats_nothing_that_its_reader_has_got(batchq: Shell) -> None:
    script = "echo on stdout; echo on stderr >&2; exit 3"

    done = batchq("run", "--tee", "-c", script, code=1)
    assert done.err.startswith("on stderr\nbatchq: 1 job failed\n")
    assert "\n\njob 1, attempt 1 of 1: exit code 3, after" in done.err
    assert done.err.count("on stderr") == 2, "once as output, and once in the command"
    assert done.err.partition("exit 3\n")[2].startswith("\nRun it again:  batchq "), "nothing is after the command"
    assert "    stdout:\n      only\n" in batchq("run", "--tee", "-c", "echo only; exit 3", code=1).err, "not on stderr"
    assert "    stderr:\n      on stderr\n" in batchq("run", "-c", script, code=1).err
    (batchq.folder / "mine.py").write_text("def fail(): raise KeyError('x')\n")
    assert "KeyError: 'x'" in batchq("run", "--tee", "--call", "mine:fail", code=1).err


def test_a_reader_that_has_enough_ends_nothing_and_the_code_is_that_of_the_job(batchq: Shell) -> None:
    for code in (0, 3):
        script = f"{MUCH}; echo done > end{code}; exit {code}"
        with with_reader(batchq, "-q", "--pass-exit-code", "-c", script) as (run, reader):
            os.read(reader, 10)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, reader)  # closes the pipe
            os.close(nothing)
            assert ended(run) == code
        assert (batchq.folder / f"end{code}").exists()


def test_a_reader_that_does_not_read_makes_the_job_wait_and_gets_everything(batchq: Shell) -> None:
    with with_reader(batchq, "-c", f"echo x > begun; {MUCH}; echo x > end") as (run, reader):
        eventually(lambda: pipe_is_full(reader))
        assert not (batchq.folder / "end").exists(), "memory is bounded: the job waits as in a shell's pipe"
        assert len(drained(reader)) == 3_000_000
        assert ended(run) == 0
    assert batchq.rows("SELECT total FROM outputs") == [(3_000_000,)]


def test_a_run_that_drops_what_is_not_read_at_once_would_be_noticed(batchq: Shell) -> None:
    script = (
        "import sys\nfrom batchq.executors.outlet import Outlet\nfrom batchq.__main__ import main\nwrite = Outlet.write\n"
        "def lossy(self, data):\n    if not self.waiting: write(self, data)\nOutlet.write = lossy\n"
        f"sys.argv = ['batchq', 'run', '--tee', '-c', {MUCH!r}]\nmain()\n"
    )
    with with_reader(batchq, argv=[sys.executable, "-c", script]) as (run, reader):
        eventually(lambda: pipe_is_full(reader) and batchq.rows("SELECT 1 FROM runners WHERE state = 'ended'"))
        assert len(drained(reader)) < 3_000_000
        assert ended(run) == 0


def test_with_2_to_1_a_slow_reader_gets_both_streams_in_the_order_of_reading(batchq: Shell) -> None:
    script = "i=0; while [ $i -lt 30000 ]; do echo out $i; echo err $i >&2; i=$((i + 1)); done"
    with with_reader(batchq, "-c", script, stderr=subprocess.STDOUT) as (run, reader):
        eventually(lambda: pipe_is_full(reader, 30_000))  # its pages are half full after short lines
        lines = drained(reader).splitlines()
        assert ended(run) == 0
    for name in (b"out", b"err"):
        assert [line for line in lines if line.startswith(name)] == [b"%s %d" % (name, n) for n in range(30_000)]
    assert len(lines) == 60_000, "no line is in pieces"


def pipe_is_full(reader: int, most: int = 60_000) -> bool:
    return bool(struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"    "))[0] > most)


def test_a_reader_that_does_not_read_delays_neither_a_timeout_nor_its_record(batchq: Shell) -> None:
    with with_reader(batchq, "--timeout", "3s", "--pass-exit-code", "-c", f"{MUCH}; sleep 600") as (run, reader):
        eventually(lambda: pipe_is_full(reader))
        eventually(lambda: batchq.rows("SELECT state FROM jobs") == [("failed",)])
        assert batchq.rows("SELECT outcome FROM attempts") == [("timed_out",)]
        assert run.poll() is None, "it waits for its reader, as any program does"
        drained(reader)
        assert ended(run) == 124


@pytest.mark.parametrize("is_over", [False, True])
def test_a_reader_that_does_not_read_delays_no_signal(batchq: Shell, is_over: bool) -> None:
    script = "head -c 200000 /dev/zero" if is_over else MUCH
    with with_reader(batchq, "--grace", "0s", "-c", script) as (run, reader):
        if is_over:
            eventually(lambda: batchq.rows("SELECT 1 FROM runners WHERE state = 'ended'"))
        else:
            eventually(lambda: pipe_is_full(reader))
        run.send_signal(signal.SIGTERM)
        if not is_over:
            eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE state = 'queued'"))
            run.send_signal(signal.SIGTERM)
        assert ended(run) == 143
    assert batchq.rows("SELECT state FROM jobs") == [("succeeded" if is_over else "queued",)]


def test_a_full_device_is_reported_once_and_is_74(batchq: Shell) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            batchq.argv("run", "--tee", "-c", "echo a; sleep 0.1; echo b; touch end"),
            cwd=batchq.folder, env=batchq.env, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip

    assert done.returncode == 74
    assert done.stderr == b"batchq: cannot write the output of jobs: No space left on device\n"
    assert (batchq.folder / "end").exists()


def test_it_is_for_one_job_and_not_with_other_documents_on_stdout(batchq: Shell) -> None:
    assert "--tee is for a run of one job: put a command after --" in batchq("run", "--tee", code=2).err
    two = batchq("run", "--tee", "--each", "--", "echo", "{}", stdin="a\nb\n", code=2)
    assert two.err.startswith("batchq: --tee is for a run of one job, and this one would add 2; --output passes on")
    for other in (("--json",), ("--no-tee",), ("--events", "-")):
        assert "--tee and" in batchq("run", "--tee", *other, "--", "true", code=2).err
    assert batchq.rows("SELECT id FROM jobs") == []


def test_on_a_terminal_the_output_comes_through_and_nothing_else(batchq: Shell) -> None:
    with on_terminal(
        batchq, "run", "-c", "printf '\\033[31mred\\033[0m\\n'; test -t 1 || echo a pipe; read x; echo $?"
    ) as it:
        assert it.wait() == 0
        assert it.screen().split("\n")[:3] == ["red", "a pipe", "1"], "and it reads nothing from the terminal"
        assert it.colour(0, 0) == "red"
    with on_terminal(batchq, "run", "-q", "--", "echo", "hidden") as it:
        assert it.wait() == 0 and it.screen() == ""
    with on_terminal(batchq, "run", "--no-tee", "--", "echo", "hidden") as it:
        assert it.wait() == 0 and "hidden" not in it.screen()


def test_on_a_terminal_a_failure_is_reported_once_and_a_retry_when_it_happens(batchq: Shell) -> None:
    with on_terminal(batchq, "run", "--max-attempts", "2", "--backoff", "1ms", "-c", "echo try; exit 3") as it:
        assert it.wait() == 1
        lines = it.scrolled().split("\n")
    assert [lines[0], lines[2]] == ["try", "try"] and lines[1].startswith("job 1: exit 3: try; "), lines
    assert lines[3] == "batchq: 1 job failed"
    assert "Run it again" in "\n".join(lines[-2:]), "and nothing after it"


def test_on_a_terminal_a_key_that_has_succeeded_is_named(batchq: Shell) -> None:
    batchq("run", "--key", "k", "--", "true")

    with on_terminal(batchq, "run", "--key", "k", "--", "true") as it:
        assert it.wait() == 0
        assert it.screen() == "batchq: 0 jobs to run: job 1, which has this key, has succeeded before"


def test_a_terminal_that_is_stopped_or_wants_no_background_output_loses_nothing(batchq: Shell) -> None:
    script = f"stty tostop; exec {' '.join(map(str, batchq.argv('run', '--', 'seq', '100000')))}"
    with Terminal(["sh", "-c", script], cwd=batchq.folder, env=batchq.env, is_drawn=False) as it:
        it.type(CTRL_S)
        eventually(lambda: batchq.rows("SELECT state FROM jobs") == [("running",)])
        it.type(CTRL_Q)
        assert it.wait() == 0
        assert it.raw.split() == [b"%d" % number for number in range(1, 100_001)]


def test_ctrl_c_ends_the_command(batchq: Shell) -> None:
    with on_terminal(batchq, "run", "--grace", "0s", "-c", "echo begun; exec sleep 600") as it:
        it.wait_for("begun")
        it.type(CTRL_C)
        assert it.wait() == 130
    assert batchq.rows("SELECT state FROM jobs") == [("queued",)]
