"""A job whose run is gone is not said to run, by no command; and it can be cancelled."""

import os
import signal

import pytest
from conftest import Shell, eventually
from gate import Gate
from scene import is_gone

from batchq.processes import proc

LOST = ["list", "explain 1", "report", "show 1", "queue"]


@pytest.fixture
def lost(batchq: Shell) -> Shell:
    """A store with a job whose run was killed; the job itself is still alive."""
    batchq("add", "--name", "import", "-c", "echo $$ > begun; exec sleep 600")
    run = batchq.start("run", "-q")
    eventually(lambda: (batchq.folder / "begun").exists() and (batchq.folder / "begun").read_text())
    runner = proc.children(run.pid)
    os.kill(run.pid, signal.SIGSTOP)  # else the guardian may end the job before its own end has come
    for pid in (*runner, run.pid):
        os.kill(pid, signal.SIGKILL)
    run.communicate()
    eventually(lambda: all(map(is_gone, runner)))  # until then it may still have the lock that says that it lives
    return batchq


def job_of(shell: Shell) -> int:
    return int((shell.folder / "begun").read_text())


@pytest.mark.parametrize("words", [*LOST, "doctor", "retry 1", "hold 1"])
def test_no_command_says_that_it_runs(lost: Shell, words: str) -> None:
    try:
        done = lost(*words.split(), code=1 if words == "doctor" else 0)
        told = (done.out + done.err).lower()
        assert "running" not in told
        assert "lost" in told or "died" in told
    finally:
        lost("cancel", "1")


def test_wait_says_that_the_run_died_and_what_helps(lost: Shell) -> None:
    assert lost("wait", "1", "--timeout", "0s", code=3).err == lost.full(
        "batchq: wait: job 1 (import): the run that had claimed it died; the next 'batchq run' takes it back\n"
        "batchq: wait: timed out: 1 lost\n"
    )
    lost("cancel", "1")


def test_what_is_to_run_after_it_waits_for_a_lost_job(lost: Shell) -> None:
    lost("add", "-q", "--after", "1", "--", "true")

    assert "job 1 (import) to succeed; that job is now lost" in lost("explain", "2").out
    assert "job 1 (import): the run that had claimed it died" in lost("wait", "2", "--timeout", "0s", code=3).err
    lost("cancel", "1")


def test_json_says_it_too(lost: Shell) -> None:
    import json

    (job,) = json.loads(lost("list", "--json").out)["jobs"]
    assert (job["state"], job["lost"]) == ("running", True)
    assert json.loads(lost("report", "--json").out)["lost"] == 1
    lost("cancel", "1")


def test_a_job_that_runs_is_not_lost(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-c", f"touch begun; {gate.wait}")
    run = batchq.start("run", "-q")
    eventually((batchq.folder / "begun").exists)
    for words in LOST:
        told = batchq(*words.split()).out
        assert "running" in told.lower()
        assert "died" not in told
    gate.open()
    run.communicate()


def test_to_cancel_it_ends_what_is_left_of_it(lost: Shell) -> None:
    assert "1 job cancelled" in lost("cancel", "1").err

    assert proc.is_zombie(job_of(lost))
    assert lost.rows("SELECT state FROM jobs") == [("cancelled",)]
    assert lost.rows("SELECT state FROM runners") == [("dead",)]


def test_python_cancels_it_too(lost: Shell) -> None:
    import batchq

    with batchq.open(str(lost.db())) as store:
        assert store.cancel(1).jobs == 1
    assert proc.is_zombie(job_of(lost))
    assert lost.rows("SELECT state FROM jobs") == [("cancelled",)]
