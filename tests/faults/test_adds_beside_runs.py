"""S35: who adds beside a run at work: nothing is left behind, and ``wait last`` answers for the add that it began with."""

import subprocess
import time
from pathlib import Path

import pytest
import sizes
import stranger
from chaos_evidence import read
from conftest import Shell, eventually, finish
from figures import record
from fleet import Fleet

pytest_plugins = ("figures",)


def test_an_add_that_skips_its_run_is_served_by_a_run_that_stops_while_the_store_is_busy(batchq: Shell) -> None:
    chance = sizes.chance("S35")
    left = 0
    for number in range(sizes.BUSY_STOPS):
        (batchq.folder / "go").unlink(missing_ok=True)
        batchq("add", "-q", "-c", "until [ -e go ]; do sleep 0.01; done")
        with Fleet(batchq, "-q", "-j", "1", "--grace", "1h") as fleet:  # its job waits for the two commands below
            member = fleet.start()
            eventually(lambda: read(batchq.db(), "SELECT id FROM jobs WHERE state = 'running'"))
            with stranger.writing(batchq.db()):
                member.process.terminate()
                time.sleep(chance.uniform(0.1, 0.7))  # for how long is up to chance
            batchq("add", "-q", "-c", ": mine")
            batchq("run", "-q", "--if-running", "skip")
            (batchq.folder / "go").touch()
            fleet.wait_for_all()
        left += len(read(batchq.db(), f"SELECT id FROM jobs WHERE state <> 'succeeded' AND id > {2 * number}"))
        batchq("run", "-q")
    record("S35 add && run --if-running skip, busy store", sizes.BUSY_STOPS, "runs that stop", left)
    assert left == 0


@pytest.mark.parametrize("beside", [1, 20])
def test_wait_last_answers_for_the_add_before_it(batchq: Shell, beside: int) -> None:
    wrong = 0
    with Fleet(batchq, "-q", "--watch", "-j", "2") as fleet:
        fleet.start()
        for _ in range(sizes.WAITS):
            (batchq.folder / "go").unlink(missing_ok=True)
            (job,) = batchq("add", "-c", "until [ -e go ]; do sleep 0.01; done; exit 3").out.split()
            waiting = batchq.start("wait", "last")
            eventually(lambda: listens(waiting))  # noqa: B023
            batchq("add", "-q", "-", stdin="true\n" * beside)
            (batchq.folder / "go").touch()
            wrong += finish(waiting).code != 1
            assert read(batchq.db(), f"SELECT state FROM jobs WHERE id = {job}") == [("failed",)]
        fleet.members[0].process.terminate()
        fleet.wait_for_all()
    record("S35 wait last while others add", sizes.WAITS, "waits", wrong)
    assert wrong == 0


def listens(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a ``wait`` knows what it waits for, and listens for news."""
    try:
        open_files = [str(one.readlink()) for one in Path(f"/proc/{process.pid}/fd").iterdir()]
    except FileNotFoundError:  # one was closed meanwhile
        return False
    return "anon_inode:inotify" in open_files
