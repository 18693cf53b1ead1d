"""S32: a job with ``on_crash = "hold"`` is started once, whatever ends its run, until somebody releases it."""

import signal
import time
from collections.abc import Callable

import pytest
import sizes
from chaos_evidence import read
from conftest import Shell, eventually
from figures import record
from fleet import EFFECT, Fleet, Member, effects
from test_random_kills import needs_flock

pytest_plugins = ("figures",)


def told(number: signal.Signals) -> Callable[[Member], None]:
    return lambda member: member.process.send_signal(number)


def killed(target: str) -> Callable[[Member], None]:
    return lambda member: member.kill(target)


ENDS: dict[str, tuple[list[str], Callable[[Member], None]]] = {
    "TERM": ([], told(signal.SIGTERM)),
    "HUP": ([], told(signal.SIGHUP)),
    "INT": ([], told(signal.SIGINT)),
    "QUIT": ([], told(signal.SIGQUIT)),
    "--max-time": (["--max-time", "1s"], lambda member: None),
    "--halt now": (["--halt", "now"], lambda member: None),
    "kill -9 of the guardian": ([], killed("guardian")),
    "kill -9 of the runner": ([], killed("runner")),
    "kill -9 of both": ([], killed("both")),
}


@needs_flock
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["command", "callable"])
def test_it_is_held_and_runs_again_when_it_is_released(batchq: Shell, end: str, kind: str) -> None:
    words, stop = ENDS[end]
    call = ("--call", "traces:leave", "--args", '{"nap": 60}')
    command = ("-c", f"{EFFECT}; test -e released || exec sleep 60")
    batchq("add", "-q", "--on-crash", "hold", *(command if kind == "command" else call))
    if end == "--halt now":
        batchq("add", "-q", "-c", "while ! [ -s effects ]; do sleep 0.01; done; exit 1")
    with Fleet(batchq, "-q", "-j", "2", "--grace", "100ms") as fleet:
        member = fleet.start(*words)
        eventually(lambda: effects(batchq.folder) or member.has_ended())
        seconds = 1
        while end == "--max-time" and not effects(batchq.folder):  # it was over before the job could say anything
            batchq("release", "1", code=None)
            seconds *= 2
            member = fleet.start("--max-time", f"{seconds}s")
            eventually(lambda: effects(batchq.folder) or member.has_ended(), 60)  # noqa: B023
        stop(member)
        fleet.wait_for_all()
    for _ in range(2):
        batchq("run", "-q", "--max-time", "2s", code=None)
    starts = len(effects(batchq.folder))
    record("S32 on_crash = hold, one job", 1, f"{end} of a {kind}", starts - 1)
    assert starts == 1
    assert read(batchq.db(), "SELECT state FROM jobs WHERE id = 1") == [("held",)]
    if kind == "command":
        (batchq.folder / "released").touch()
        batchq("release", "1")
        batchq("run", "-q", code=None)
        assert len(effects(batchq.folder)) == 2
        assert read(batchq.db(), "SELECT state FROM jobs WHERE id = 1") == [("succeeded",)]


@needs_flock
def test_of_many_jobs_none_is_started_twice_by_kills(batchq: Shell) -> None:
    chance = sizes.chance("S32")
    batchq("add", "-q", "--on-crash", "hold", "-", stdin=f"{EFFECT}; sleep 0.2\n" * sizes.HELD_JOBS)
    kills = 0
    with Fleet(batchq, "-q", "-j", "3") as fleet:
        while read(batchq.db(), "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')") != [(0,)]:
            member = fleet.start()
            eventually(member.is_there)
            time.sleep(chance.uniform(0.05, 0.6))  # when it happens is up to chance
            if kills < sizes.HELD_JOBS // 10 and not member.has_ended() and member.runner is not None:
                member.kill(chance.choice(["guardian", "runner", "both"]))
                kills += 1
            else:
                fleet.wait_for_all()
        fleet.wait_for_all()
    batchq("run", "-q", code=None)
    ran = effects(batchq.folder)
    twice = len(ran) - len({job for job, _ in ran}) + sum(times - 1 for times in ran.values())
    record("S32 on_crash = hold, kills", sizes.HELD_JOBS, "jobs", twice, kills=kills)
    assert twice == 0
