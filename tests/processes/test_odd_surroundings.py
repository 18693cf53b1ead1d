"""A run under limits, as the first process of a container, or where all is killed at once: its records are as ever."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Shell, eventually, finish

UNSHARE = pytest.mark.skipif(
    shutil.which("unshare") is None
    or bool(subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False).returncode),
    reason="needs the right to make pid namespaces",
)


def through(shell: Shell, before: str, *words: str) -> "subprocess.CompletedProcess[bytes]":
    """One command of batchq behind ``before``, some words of a shell."""
    return subprocess.run(
        ["sh", "-c", f'{before} "$@"', "sh", *map(os.fsdecode, shell.argv(*words))],
        cwd=shell.folder, env=shell.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("before", [
    "ulimit -n 40;", "ulimit -f 2000;", "ulimit -s 512;", "ulimit -s unlimited;", "ulimit -v 1000000;", "ulimit -c 0;",
    "ulimit -l 0;", "umask 777;", "umask 000;", "LC_ALL=C", "LC_ALL=tr_TR.UTF-8", "LANG=no_such",
    "PYTHONUTF8=0 LC_ALL=POSIX", "PYTHONOPTIMIZE=2", "PYTHONWARNINGS=error", "PYTHONHASHSEED=0", "PYTHONUNBUFFERED=1",
    "PYTHONDEVMODE=1", "PYTHONIOENCODING=latin-1", "PYTHONSAFEPATH=1", "TZ=Nowhere/Town", "COLUMNS=0 LINES=-1", "TERM=",
    "HOME=/nowhere", "TMPDIR=/nowhere", "XDG_RUNTIME_DIR=/nowhere", "SHELL=/bin/false", "IFS=aeiou", "ENV=/nowhere",
    "BASH_ENV=/nowhere", "CDPATH=/", "POSIXLY_CORRECT=1",
])  # fmt: skip
def test_odd_limits_and_variables_change_no_end(batchq: Shell, before: str) -> None:
    batchq("add", "-", stdin="exit 3\necho said\n")
    batchq("add", "--call", "os:getpid")

    done = through(batchq, before, "run", "-j", "2")

    assert done.returncode == 1, done
    assert b"exit code 3" in done.stderr
    assert b"Traceback" not in done.stderr
    assert batchq.rows("SELECT state FROM jobs ORDER BY id") == [("failed",), ("succeeded",), ("succeeded",)]
    assert batchq("logs", "2").out == "said\n"


@UNSHARE
def test_a_run_may_be_the_first_process_of_a_container(batchq: Shell) -> None:
    batchq("add", "-", stdin="exit 3\n(sleep 0.1 &)\nsetsid sleep 600 &\necho said\n")

    done = through(batchq, "exec unshare --pid --fork --mount-proc", "run", "-j", "2")

    assert done.returncode == 1, done
    assert batchq.rows("SELECT state FROM jobs ORDER BY id") == [("failed",)] + [("succeeded",)] * 3


@UNSHARE
def test_when_all_of_a_container_is_killed_at_once_the_next_run_or_a_person_goes_on(batchq: Shell) -> None:
    batchq("add", "--backoff", "0s", "-c", "echo >> begun; test $BATCHQ_ATTEMPT -gt 1 || kill -9 -1")
    words = "unshare --pid --fork --mount-proc sh -c '\"$@\"; true' sh"  # the shell is the one that a kill spares

    through(batchq, f"exec {words}", "run")
    again = batchq("run", code=None)
    if again.code == 3:
        assert "'batchq doctor --rescue 1'" in again.err
        batchq("doctor", "--rescue", "1", code=None)
        batchq("run")

    assert (batchq.folder / "begun").read_text() == "\n\n"
    assert batchq.rows("SELECT state FROM jobs") == [("succeeded",)]


def test_many_processes_of_a_job_cost_no_other_job_its_end(batchq: Shell) -> None:
    many = "i=0; while [ $i -lt 150 ]; do setsid sleep 600 & i=$((i + 1)); done; exit 3"
    batchq("add", "-c", many)
    batchq("add", "-", stdin="true\n" * 5)

    batchq("run", "-j", "2", code=1)

    assert batchq.rows("SELECT state FROM jobs ORDER BY id") == [("failed",)] + [("succeeded",)] * 5


def test_a_run_of_another_store_inside_of_a_job_dies_with_the_outer_one(batchq: Shell) -> None:
    (inner := batchq.folder / "inner").mkdir()
    batchq("init", "inner/batchq.db")
    batchq("add", "--db", "inner/batchq.db", "-c", "echo >> begun; test $BATCHQ_ATTEMPT -gt 1 || sleep 600")
    batchq("add", "--backoff", "0s", *("--", *map(os.fsdecode, batchq.argv("run", "--db", str(inner / "batchq.db")))))
    outer = batchq.start("run")
    eventually(lambda: (batchq.folder / "begun").exists() and (batchq.folder / "begun").read_text())
    for pid in (*children(outer.pid), outer.pid):
        os.kill(pid, signal.SIGKILL)
    finish(outer)

    batchq("run", code=None)
    batchq("run", "--db", "inner/batchq.db", code=None)

    assert (batchq.folder / "begun").read_text() == "\n\n"
    assert batchq.rows("SELECT state FROM jobs") == [("succeeded",)]


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
