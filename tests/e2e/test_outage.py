"""The store does not answer, for longer than any patience: what runs runs on, and nothing is said to have crashed."""

import os
import signal

import pytest
from conftest import Shell, eventually, finish
from gate import Gate
from impatient import Impatient
from others import FOREIGN_WRITER, MUTEX_HOLDER, another, end

from batchq.store.file.opening import open_at


@pytest.fixture
def impatient(batchq: Shell) -> Impatient:
    return Impatient(batchq.folder)


LOCKS = {"another program": FOREIGN_WRITER, "another batchq": MUTEX_HOLDER}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_that_outlasts_all_patience_ends_no_job_that_runs(
    batchq: Shell, impatient: Impatient, gate: Gate, lock: str
) -> None:
    batchq("add", "-c", f"touch begun; {gate.wait}; echo done")
    batchq("add", "-c", "while [ ! -e go ]; do echo waits; sleep 0.01; done")
    run = impatient.start("run", "-q", "-j", "2")
    eventually((batchq.folder / "begun").exists)
    with another(LOCKS[lock], batchq.db()) as other:
        eventually(lambda: impatient.tries() >= 3)
        assert run.poll() is None
        (batchq.folder / "go").touch()
        gate.open()
        end(other)
    done = finish(run)

    assert done.code == 0, done
    assert batchq.rows("SELECT state, attempt FROM jobs") == [("succeeded", 1)] * 2
    assert batchq.rows("SELECT outcome FROM attempts") == [("succeeded",)] * 2


@pytest.mark.parametrize("lock", LOCKS)
def test_a_run_without_work_gives_up_and_says_that_the_store_is_busy(
    batchq: Shell, impatient: Impatient, lock: str
) -> None:
    run = impatient.start("run", "--watch")
    eventually(lambda: batchq.rows("SELECT 1 FROM runners"))
    with another(LOCKS[lock], batchq.db()):
        done = finish(run)

    assert done.code == 75, done
    assert "is busy" in done.err


def test_a_store_that_was_moved_away_ends_a_run_that_watches_with_74(batchq: Shell, impatient: Impatient) -> None:
    run = impatient.start("run", "--watch")
    eventually(lambda: batchq.rows("SELECT 1 FROM runners"))
    gone = batchq.folder / "gone"
    gone.mkdir()
    for path in batchq.folder.glob("batchq.db*"):
        path.rename(gone / path.name)
    done = finish(run)

    assert done.code == 74, done
    assert "moved, deleted or replaced" in done.err


@pytest.mark.parametrize("hurry", [signal.SIGHUP, signal.SIGQUIT])
def test_a_run_that_could_not_record_a_result_does_not_say_that_it_has_ended(
    batchq: Shell, hurry: signal.Signals
) -> None:
    """Its job would be running for ever: no later run takes back what a runner that has ended left."""
    batchq("add", "-c", "touch begun; sleep 600")
    run = batchq.start("run", "-q")
    eventually((batchq.folder / "begun").exists)
    with another(MUTEX_HOLDER, batchq.db()) as other:
        run.send_signal(signal.SIGTERM)
        os.kill(run.pid, hurry)
        assert finish(run).code > 128
        end(other)

    assert batchq.rows("SELECT state FROM runners") == [("running",)]
    batchq("run", "-q", "--queue", "another")
    assert batchq.rows("SELECT count(*) FROM jobs WHERE state = 'running'") == [(0,)]
    batchq("cancel", "1")


def test_a_run_that_is_told_to_stop_while_the_store_is_locked_says_so_as_soon_as_it_can(
    batchq: Shell, impatient: Impatient, gate: Gate
) -> None:
    """Who adds a job and skips its run because of this one would count on it in vain."""
    batchq("add", "-c", f"touch begun; {gate.wait}")
    run = impatient.start("run", "-q", "-j", "1")
    eventually((batchq.folder / "begun").exists)
    with another(FOREIGN_WRITER, batchq.db()) as other:
        run.send_signal(signal.SIGTERM)
        eventually(lambda: impatient.tries() >= 2)
        end(other)
    with open_at(str(batchq.db())) as store:
        eventually(lambda: store.fetch("SELECT state FROM runners") == [("stopping",)])
    batchq("add", "-c", "touch mine")
    assert batchq("run", "-q", "--if-running", "skip").code == 0
    assert (batchq.folder / "mine").exists(), "nobody else would have run it"
    gate.open()
    finish(run)
