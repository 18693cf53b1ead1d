"""S31 at length: the store is locked, or its disk full, for longer than a run insists, and free before the run ends."""

import signal
import time

import pytest
import stranger
from chaos_evidence import read
from conftest import Shell, eventually
from figures import record
from fleet import Fleet
from others import in_a_namespace, needs_mounts
from soaking import SOAK

pytest_plugins = ("figures",)
pytestmark = [
    pytest.mark.skipif(not SOAK, reason="takes two minutes: scripts/soak"),
]

LONGER_THAN_A_RUN_INSISTS = 64


def test_a_store_that_is_locked_for_long(batchq: Shell) -> None:
    batchq("add", "-q", "-", stdin="sleep 1\ntest $BATCHQ_ATTEMPT -gt 1 || exec sleep 100\n")
    with Fleet(batchq, "-q", "-j", "2") as fleet:
        member = fleet.start()
        eventually(lambda: read(batchq.db(), "SELECT count(*) FROM jobs WHERE state = 'running'") == [(2,)])
        with stranger.writing(batchq.db()):
            time.sleep(LONGER_THAN_A_RUN_INSISTS)
        fleet.wait_for_all()
    assert member.process.returncode in (0, 75), (batchq.folder / "told").read_text()
    batchq("run", "-q", "--max-time", "20s")
    left = read(batchq.db(), "SELECT id, state FROM jobs WHERE state <> 'succeeded'")
    record(f"S31 store locked for {LONGER_THAN_A_RUN_INSISTS} s", 1, "runs", len(left))
    assert left == []
    batchq("doctor")


@needs_mounts
def test_a_disk_that_is_full_for_long(batchq: Shell) -> None:
    told = in_a_namespace(
        batchq,
        f"""
        mkdir disk && mount -t tmpfs -o size=1m none disk
        export BATCHQ_DB=$PWD/disk/batchq.db
        batchq init
        printf 'sleep 1\\ntest $BATCHQ_ATTEMPT -gt 1 || exec sleep 100\\n' | batchq add -q -
        batchq run -q -j 2 & run=$!
        until [ "$(batchq list --json | grep -c '"state": "running"')" = 2 ]; do sleep 0.1; done
        dd if=/dev/zero of=disk/ballast bs=1k >/dev/null 2>&1 || true
        sleep {LONGER_THAN_A_RUN_INSISTS}
        rm disk/ballast
        wait $run && echo "run 0" || echo "run $?"
        rc run -q --max-time 20s
        batchq list --json | grep -c '"state": "succeeded"'
        rc doctor
        """,
    )
    left = 0 if "\nexit 0\n2\n" in told else 1
    record(f"S31 disk full for {LONGER_THAN_A_RUN_INSISTS} s", 1, "runs", left)
    assert left == 0, told
    assert told.endswith("exit 0\n")


def test_everything_is_stopped_for_long_beside_a_second_run(batchq: Shell) -> None:
    batchq(
        "add",
        "-q",
        "-",
        stdin="echo $BATCHQ_JOB_ID >> effects; sleep 5\n" * 3 + "echo $BATCHQ_JOB_ID >> effects\n" * 20,
    )
    with Fleet(batchq, "-q", "-j", "2") as fleet:
        first = fleet.start()
        eventually(lambda: read(batchq.db(), "SELECT count(*) FROM jobs WHERE state = 'running'") == [(2,)])
        first.process.send_signal(signal.SIGSTOP)
        first.signal_runner(signal.SIGSTOP)
        second = fleet.start()
        assert second.process.wait(timeout=60) == 0
        time.sleep(30)
        first.process.send_signal(signal.SIGCONT)
        first.signal_runner(signal.SIGCONT)
        assert fleet.wait_for_all() == [0, 0]
    ran = (batchq.folder / "effects").read_text().split()
    record("S31 a run stopped for 30 s beside another", 1, "runs", len(ran) - 23)
    assert sorted(map(int, ran)) == list(range(1, 24))
