"""``--tee``, ``--output``, ``--keep-order`` and ``--log-dir`` for jobs elsewhere: as here, or it says what is missing."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Started, eventually
from daskcluster import Cluster
from places import SITE, carrier_to
from scene import Scene, end, stop
from soaking import SOAK
from test_folders_elsewhere import ANOTHER_MACHINE

from batchq.processes import machine

pytest_plugins = ("scene", "places", "daskcluster", "openports")

SITES = "ssh:h1"
ENGINES = ("pools:forkserver", "dask")
#: For what is alike at all engines: the end of an attempt brings what the site next to the worker has kept of its output.
ALIKE = pytest.mark.parametrize("executor", [SITES, *(ENGINES if SOAK else ENGINES[:1])], indirect=True)
GAP = re.compile(r"\[batchq: ([\d,]+) bytes of stdout are missing here: keep more with --keep-output\]\n")
MUCH = "yes 0123456789abcde | head -c 3000000"  #: more than a pipe and the buffers of run and site take
WORK = "import sys\ndef greet():\n    print('hello from Python')\n    print('and stderr', file=sys.stderr)\n"


@pytest.fixture(params=[SITES, *ENGINES])
def executor(request: pytest.FixtureRequest, afar: Scene) -> str:
    """What ``--executor`` names; its places are this machine."""
    (afar.folder / "pools.py").write_text((Path(__file__).parent / "pools.py").read_text())
    (afar.folder / "work.py").write_text(WORK)
    return f"dask:{request.getfixturevalue('dask').address}" if request.param == "dask" else str(request.param)


@contextmanager
def started(scene: Scene, *options: str) -> Iterator[Started]:
    """A run whose stdout is read by the test."""
    words = scene.shell.argv("run", *options)
    with Started(
        words, cwd=scene.folder, env=scene.shell.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    ) as run:  # fmt: skip
        yield run


def rest_of(run: Started) -> tuple[str, str]:
    out, err = run.communicate(timeout=60)
    return out.decode(), err.decode()


class LogRow(NamedTuple):
    job: int
    stream: str
    path: str
    trouble: str | None

    def read(self) -> bytes:
        return Path(self.path).read_bytes()


def logs(scene: Scene) -> list[LogRow]:
    rows: list[Any] = scene.rows("SELECT job, stream, path, trouble FROM logs ORDER BY job, number, stream")
    return [LogRow(job, stream, os.fsdecode(path), trouble) for job, stream, path, trouble in rows]


def test_lines_have_their_job_and_stream_and_with_keep_order_the_order_of_here(afar: Scene, executor: str) -> None:
    jobs: list[dict[str, object]] = [
        {"command": "echo out; echo err >&2; printf 'no newline'", "name": "first"},
        {"command": "true"},
        {"call": "work:greet"},
        {"command": "echo both; echo streams >&2; exit 3", "output": "merged"},
        {"command": ["no-such-program"]},
    ]
    afar.add(*jobs)
    here = afar.run("-k", "-q", "-j", "2", code=1)
    afar.add(*jobs)
    there = afar.run("-k", "-q", "-j", "2", "--executor", executor, code=1)

    assert here.out.splitlines()[:2] == ["[1 first] out", "[1 first] no newline"]
    assert renumbered(there.out) == here.out
    assert renumbered(there.err) == here.err
    assert {host for (host,) in afar.rows("SELECT host FROM attempts WHERE job > 5 AND exit_code >= 0")} != {None}


def renumbered(text: str) -> str:
    """What is printed of the jobs 6 to 10, as if they were 1 to 5."""
    return re.sub(r"^\[(\d+)", lambda found: f"[{int(found[1]) - 5}", text, flags=re.MULTILINE)


def test_it_comes_while_the_job_runs_and_each_byte_once(afar: Scene, executor: str) -> None:
    gate = shlex.quote(str(afar.gate))
    afar.add({"command": f"echo begun; : < {gate}; echo; printf ended"})
    with started(afar, "--output", "-j", "1", "--executor", executor) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"[1] begun\n"
        afar.open_gate()

        assert rest_of(run) == ("[1] \n[1] ended\n", "")
        assert run.returncode == 0


@ALIKE
def test_tee_passes_bytes_and_the_exit_code_of_the_job(afar: Scene, executor: str) -> None:
    data = bytes(range(256)) * 3
    (afar.folder / "bytes").write_bytes(data)
    words = ["run", "--tee", "-q", "--pass-exit-code", "--executor", executor, "-c", "cat bytes; echo e >&2; exit 5"]
    done = subprocess.run(
        afar.shell.argv(*words), cwd=afar.folder, env=afar.shell.env, stdin=subprocess.DEVNULL, capture_output=True
    )

    assert (done.returncode, done.stdout, done.stderr) == (5, data, b"e\n")


@ALIKE
def test_of_much_output_nothing_is_missing_without_a_line_that_says_so(afar: Scene, executor: str) -> None:
    done = afar.run("--tee", "-q", "--executor", executor, "-c", MUCH)
    missing = sum(int(number.replace(",", "")) for number in GAP.findall(done.out))
    passed_on = GAP.sub("", done.out)

    assert passed_on.startswith("0123456789abcde\n") and passed_on.endswith("0123456789abcde\n")
    if executor == SITES:
        assert (len(passed_on), missing) == (3_000_000, 0)
    else:
        assert len(passed_on) + missing - 3_000_000 in range(2), "a newline before the line"
        assert missing > 2_000_000


@pytest.mark.parametrize(
    ("executor", "option"),
    [
        *((name, "--output") for name in (SITES, *ENGINES)),
        *((name, "-k") for name in (SITES, *(ENGINES if SOAK else ()))),
    ],
    indirect=["executor"],
)
def test_a_reader_that_has_enough_changes_nothing_for_the_jobs(afar: Scene, executor: str, option: str) -> None:
    afar.add(*({"command": f"seq 20000; exit {code}"} for code in (0, 1, 0)))
    words = [os.fsdecode(word) for word in afar.shell.argv("run", option, "-j", "2", "--executor", executor)]
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -n 1; exit ${PIPESTATUS[0]}', "bash", *words],
        cwd=afar.folder, env=afar.shell.env, capture_output=True, timeout=120, check=False, text=True,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stdout in ("[1] 1\n", "[2] 1\n")
    assert afar.jobs() == [("succeeded",), ("failed",), ("succeeded",)]
    assert "cannot write" not in done.stderr and "Traceback" not in done.stderr


def test_a_reader_that_does_not_read_makes_a_job_at_a_site_wait_and_gets_everything(afar: Scene) -> None:
    command = "head -c 40000000 /dev/zero & echo $! > writer; wait $!; echo x > end"
    with started(afar, "--tee", "--executor", SITES, "-c", command) as run:
        eventually(lambda: (afar.folder / "writer").exists() and (afar.folder / "writer").read_text() != "")
        writer = int((afar.folder / "writer").read_text())
        eventually(lambda: (afar.folder / "end").exists() or is_blocked(writer), 60)
        assert not (afar.folder / "end").exists(), "memory is bounded: the job waits as in a shell's pipe"
        out, err = rest_of(run)

    assert (len(out), err, run.returncode) == (40_000_000, "", 0)


def test_a_run_that_does_not_read_makes_a_job_at_a_site_wait_and_gets_everything(afar: Scene) -> None:
    command = ": < gate; head -c 40000000 /dev/zero & echo $! > writer; wait $!; : > end"
    command = f"touch up; {command}"
    with started(afar, "--tee", "--executor", SITES, "-c", command) as run:
        eventually((afar.folder / "up").exists)
        stop(runner := afar.runner())
        try:
            afar.open_gate()
            eventually(lambda: (afar.folder / "writer").exists() and (afar.folder / "writer").read_text() != "")
            writer = int((afar.folder / "writer").read_text())
            eventually(lambda: (afar.folder / "end").exists() or is_blocked(writer), 60)
            assert not (afar.folder / "end").exists(), "the memory of the site is bounded"
        finally:
            os.kill(runner, signal.SIGCONT)
        out, err = rest_of(run)

    assert (len(out), err, run.returncode) == (40_000_000, "", 0)


def is_blocked(pid: int) -> bool:
    """Whether a process has begun to write and writes nothing while it is looked at again and again."""
    io = Path(f"/proc/{pid}/io")
    try:
        first = io.read_text()
        for _ in range(50):
            time.sleep(0.02)
            if io.read_text() != first:
                return False
    except OSError:
        return False
    return "wchar: 0\n" not in first


@pytest.mark.parametrize("executor", ENGINES, indirect=True)
def test_while_a_reader_does_not_read_an_engine_gets_no_more_jobs(afar: Scene, executor: str) -> None:
    afar.add(*[{"command": "head -c 100000 /dev/zero | tr '\\0' x"}] * 120)
    with started(afar, "--output", "-j", "2", "--executor", executor) as run:
        eventually(lambda: set(afar.jobs()) == {("succeeded",), ("queued",)} and len(afar.attempts()) >= 3, 60)
        out, err = rest_of(run)

    assert (run.returncode, err) == (0, "")
    assert out.count("x") == 120 * 100_000


def test_a_log_folder_has_one_whole_file_for_each_attempt(afar: Scene, executor: str) -> None:
    afar.add(
        {"command": "echo out; echo err >&2; echo end"},
        {"command": "true"},
        {"call": "work:greet"},
        {"command": "echo $BATCHQ_ATTEMPT; exit 1", "max_attempts": 2, "backoff": "0s"},
        {"command": ["no-such-program"]},
    )
    afar.run("-q", "-j", "2", "--log-dir", "logs", "--executor", executor, code=1)
    files = logs(afar)

    assert [(job, stream, trouble) for job, stream, _, trouble in files] == [
        (job, "both", None) for job in (1, 2, 3, 4, 4)
    ]
    contents = [one.read() for one in files]
    assert contents[0].splitlines(keepends=True) in (
        [b"out\n", b"err\n", b"end\n"], [b"out\n", b"end\n", b"err\n"],
    )  # fmt: skip
    assert contents[1:] == [b"", b"hello from Python\nand stderr\n", b"1\n", b"2\n"]
    assert {Path(one.path).parent for one in files} == {afar.folder.resolve() / "logs"}
    assert len(list((afar.folder / "logs").iterdir())) == 5
    assert "log" in afar.shell("show", "1").out


@ALIKE
def test_a_log_is_complete_or_says_what_is_missing(afar: Scene, executor: str) -> None:
    afar.add({"command": MUCH}, {"command": "seq 10"})
    done = afar.run("-q", "-j", "1", "--log-dir", "logs", "--executor", executor, code=0 if executor == SITES else 74)
    log, other = logs(afar)
    found = log.read().decode()

    assert other.trouble is None
    if executor == SITES:
        assert (len(found), log.trouble, done.err) == (3_000_000, None, "")
        return
    missing = sum(int(number.replace(",", "")) for number in GAP.findall(found))
    assert len(GAP.sub("", found)) + missing - 3_000_000 in range(2), "a newline before the line"
    assert log.trouble == f"{missing:,} bytes of the output were not kept where the job ran"
    assert f"job 1: its log {log.path} is incomplete: {log.trouble}" in done.err


def test_after_the_loss_of_a_host_output_and_log_say_that_something_is_missing(afar: Scene) -> None:
    afar.add({"command": f"echo begun; test $BATCHQ_ATTEMPT = 2 || exec {shlex.quote(str(afar.rest))}"})
    with started(afar, "--output", "-q", "--log-dir", "logs", "--executor", SITES) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"[1] begun\n"
        end(carrier_to(afar, "h1"))
        out, err = rest_of(run)
    first, second = logs(afar)

    assert (run.returncode, out) == (74, "[1] begun\n")
    assert afar.attempts() == [("crashed",), ("succeeded",)]
    assert re.search(r"^\[1\] \[batchq: what came after this is missing: .* was lost\]$", err, re.MULTILINE)
    assert re.fullmatch(r"begun\n\[batchq: what came after this is missing: .* was lost\]\n", first.read().decode())
    assert str(first.trouble).startswith("what came after this is missing")
    assert (second.read(), second.trouble) == (b"begun\n", None)


@pytest.mark.parametrize("how", ["killed", "retired"])
def test_after_the_loss_of_a_worker_they_say_so_too(afar: Scene, dask: Cluster, how: str) -> None:
    afar.add({"command": f"echo begun; test $BATCHQ_ATTEMPT = 2 || exec {shlex.quote(str(afar.rest))}"})
    with started(afar, "--output", "-q", "--log-dir", "logs", "--executor", f"dask:{dask.address}") as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"[1] begun\n"
        worker = dask.above(afar.resting())
        dask.kill(worker) if how == "killed" else dask.retire(worker)
        out, err = rest_of(run)
    first, second = logs(afar)

    assert (run.returncode, out) == (74, "[1] begun\n")
    assert afar.attempts() == [("crashed" if how == "killed" else "interrupted",), ("succeeded",)]
    assert re.search(r"^\[1\] \[batchq: what came after this is missing: .* was lost\]$", err, re.MULTILINE)
    assert re.fullmatch(rb"begun\n\[batchq: what came after this is missing: .* was lost\]\n", first.read())
    assert (second.read(), second.trouble) == (b"begun\n", None)


def test_the_files_of_a_job_that_may_leave_something_running_are_known(afar: Scene, executor: str) -> None:
    afar.add({"command": "echo out; echo err >&2", "leftovers": "keep"})
    afar.run("-q", "--executor", executor)

    assert [(one.stream, one.trouble) for one in logs(afar)] == [("stderr", None), ("stdout", None)]
    assert [one.read() for one in logs(afar)] == [b"err\n", b"out\n"]
    assert {Path(one.path).parent for one in logs(afar)} == {Path(f"{afar.shell.db().resolve()}-logs")}


def test_on_another_machine_these_files_are_named_with_their_host(afar: Scene) -> None:
    (afar.folder / "there").mkdir()
    (afar.folder / "there" / "sitecustomize.py").write_text(ANOTHER_MACHINE)
    folder = shlex.quote(str(afar.folder / "there"))
    (afar.folder / "carrier").write_text(f"#!/bin/sh\nPYTHONPATH={folder} exec {SITE}\n")
    afar.add({"command": "echo out; echo err >&2", "leftovers": "keep", "output": "merged"})
    afar.run("-q", "--executor", SITES)
    (log,) = logs(afar)
    host, _, there = log.path.partition(":")

    assert (log.stream, host) == ("stdout", machine.host())
    assert Path(there).read_bytes() == b"out\nerr\n"
    assert Path(there).parent == afar.folder / ".local/share/batchq/logs"
    assert not [one for one in afar.folder.iterdir() if ":" in one.name]
    afar.shell("prune", "-q", "--older-than", "0s")
    assert Path(there).exists(), "it is on another machine"


def test_a_limit_of_processes_holds_where_the_jobs_run(afar: Scene, executor: str) -> None:
    afar.add({"command": ["bash", "-c", "ulimit -u"]})
    afar.run("-q", "--limit-processes", "4321", "--executor", executor)

    assert afar.output() == b"4321\n"
