"""S31: runs that are told to stop, or lose their guardian, while a stranger has the store: what they cannot record is
taken up again by the next run."""

import signal
import time
from collections.abc import Callable

import pytest
import sizes
import stranger
from chaos_evidence import read
from conftest import Shell, eventually
from figures import record
from fleet import Fleet, Member

pytest_plugins = ("figures",)

JOBS = 3
BEGUN = "SELECT count(*) FROM jobs WHERE started_at IS NOT NULL"


def hurry(member: Member) -> None:
    """TERM, and HUP a moment later: whoever does that will not wait."""
    member.process.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    member.process.send_signal(signal.SIGHUP)


def lose_guardian(member: Member) -> None:
    member.kill("guardian")


@pytest.mark.parametrize("stop", [hurry, lose_guardian])
def test_what_could_not_be_recorded_is_run_again(batchq: Shell, stop: Callable[[Member], None]) -> None:
    chance = sizes.chance(f"S31 {stop.__name__}")
    stuck = 0
    for number in range(sizes.BUSY_STOPS):
        batchq("add", "-q", "--max-crashes", "9", "-", stdin="test $BATCHQ_ATTEMPT -gt 1 || exec sleep 600\n" * JOBS)
        with Fleet(batchq, "-q", "-j", str(JOBS)) as fleet:
            member = fleet.start()
            eventually(lambda: read(batchq.db(), BEGUN) == [((number + 1) * JOBS,)])  # noqa: B023
            with stranger.writing(batchq.db()):
                stop(member)
                time.sleep(chance.uniform(0.1, 0.5))  # for how long is up to chance
            fleet.wait_for_all()
        batchq("run", "-q", "-j", str(JOBS), "--max-time", "60s")
        stuck += len(read(batchq.db(), f"SELECT id FROM jobs WHERE state <> 'succeeded' AND id > {number * JOBS}"))
    record(f"S31 busy store, {stop.__name__.replace('_', ' ')}", sizes.BUSY_STOPS, "stops", stuck)
    assert stuck == 0
    batchq("doctor")
