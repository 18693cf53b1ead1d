"""A place whose clock is wrong: the times of its attempts are on the clock of the run."""

import shlex
import sys
import time
from pathlib import Path

import pytest
from scene import Scene

from batchq import clock
from batchq.executors.afar import clocks
from batchq.jobs.attempt import SUCCEEDED, Outcome

pytest_plugins = ("scene", "openports")

HOUR = 3_600_000
#: Python imports this first, in the site and in its workers
WRONG = """\
import time
time.real = time.time_ns
time.time_ns = lambda: time.real() + {off} * 1_000_000
time.time = lambda: time.time_ns() / 1e9
"""
CARRIER = """\
#!/bin/sh
PYTHONPATH={folder}:$PYTHONPATH exec {site}
"""


@pytest.mark.parametrize("off", [HOUR, -HOUR, 700, -700])
def test_times_of_a_place_with_a_wrong_clock_are_those_of_the_run(scene: Scene, off: int) -> None:
    (scene.folder / "there").mkdir()
    (scene.folder / "there" / "sitecustomize.py").write_text(WRONG.format(off=off))
    (scene.folder / "work.py").write_text(
        "import time\ndef off(): return round((time.time_ns() - time.real()) / 1e6)\n"
    )
    carrier = scene.folder / "carrier"
    site = shlex.quote(str(Path(sys.executable).parent / "batchq-site"))
    carrier.write_text(CARRIER.format(folder=shlex.quote(str(scene.folder / "there")), site=site))
    carrier.chmod(0o755)
    scene.add(
        {"command": "sleep 0.3"},
        {"command": "sleep 9", "timeout": "300ms"},
        *[{"call": "work:off"}] * 200,
    )
    before = clock.now()
    scene.run("-q", "-j", "2", "--executor", "ssh:h1", code=1, env={"BATCHQ_SSH": shlex.quote(str(carrier))})
    after = clock.now()

    rows = scene.rows("SELECT started_at, finished_at FROM attempts ORDER BY job")
    claimed = scene.rows("SELECT started_at FROM runners")[0][0]
    assert isinstance(claimed, int)
    assert len(rows) == 202
    for started, finished in rows:
        assert isinstance(started, int)
        assert isinstance(finished, int)
        assert before <= claimed <= started <= finished <= after
    for started, finished in rows[:2]:
        assert isinstance(started, int)
        assert isinstance(finished, int)
        assert finished - started >= 290
    assert scene.rows("SELECT DISTINCT result FROM attempts WHERE job > 2") == [(str(off),)], (
        "the clock there was wrong"
    )


@pytest.mark.parametrize("off", [0, 400, -400, HOUR, -HOUR])
def test_no_time_is_before_the_claim_or_in_the_future_and_durations_stay(off: int) -> None:
    now = clock.now()
    there = Outcome(SUCCEEDED, started_at=now - 150 + off, finished_at=now - 50 + off)
    ahead = clocks.ahead(time.time() + off / 1000)
    here = clocks.outcome(there, ahead, since=now - 200)

    assert here.started_at is not None
    assert here.finished_at is not None
    assert here.finished_at - here.started_at == 100
    assert now - 200 <= here.started_at
    assert here.finished_at <= clock.now()
    assert now - 200 <= clocks.moment(now - 100 + off, ahead, now - 200) <= clock.now()
    assert (ahead == 0) == (abs(off) < 1000)
