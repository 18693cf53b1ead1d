"""S4: kill -9 at random moments of running ``batchq run``: runner, guardian or both, while jobs leave traces outside."""

import json
import os
import shutil
import signal
import time

import invariants
import mutants
import pytest
import sizes
from conftest import Shell, eventually, finish
from figures import record, record_caught
from fleet import EFFECT, Fleet, Member, effects, rows

pytest_plugins = ("figures",)

needs_flock = pytest.mark.skipif(shutil.which("flock") is None, reason="flock(1) of util-linux is not installed")


@needs_flock
def test_no_kill_9_loses_a_job_or_lets_two_attempts_meet(batchq: Shell) -> None:
    chance = sizes.chance("S4")
    acknowledged: list[int] = []
    kills = at_work = 0
    began = time.monotonic()

    with Fleet(batchq, "-j", "2") as fleet:
        while kills < sizes.RANDOM_KILLS:
            if rows(batchq, "SELECT total(jobs) FROM counters WHERE state = 'queued'")[0][0] < 100:
                acknowledged += add(batchq, 200)
            while len(fleet.living()) < chance.randint(2, 4):
                fleet.start()
            eventually(lambda: fleet.registered() or not fleet.living())
            time.sleep(chance.uniform(0, 0.05))  # when it happens is up to chance
            if not (there := fleet.registered()):
                continue
            victim, target = chance.choice(there), chance.choice(["runner", "guardian", "both"])
            at_work += jobs_at_work(batchq, victim)
            victim.kill(target)
            kills += 1
        seconds = time.monotonic() - began
        fleet.wait_for_all()
    drain(batchq)

    ran = effects(batchq.folder)
    jobs = {job for job, _ in ran}
    overlaps = (batchq.folder / "overlaps").read_text().split() if (batchq.folder / "overlaps").exists() else []
    stored = dict(rows(batchq, "SELECT id, state FROM jobs"))
    lost = [job for job in acknowledged if stored.get(job) != "succeeded" or job not in jobs]
    twice = rows(batchq, "SELECT job FROM attempts WHERE outcome = 'succeeded' GROUP BY job HAVING count(*) > 1")
    attempts = set(rows(batchq, "SELECT job, number FROM attempts"))
    ((ended_early,),) = rows(batchq, "SELECT count(*) FROM attempts WHERE outcome <> 'succeeded'")
    extra = len(ran) - len(jobs)
    record("S4 random kill -9", kills, "kills", len(lost) + len(twice) + len(overlaps), jobs=f"{len(stored):,}",
           lost=len(lost), accepted_twice=len(twice), overlaps=len(overlaps), extra_runs=extra,
           jobs_running_at_kills=at_work, kills_a_minute=round(kills / seconds * 60))  # fmt: skip
    assert not lost
    assert not twice
    assert not overlaps, "an attempt was alive when the next one of its job began"
    assert max(ran.values()) == 1, "no attempt ran twice"
    assert set(ran) <= attempts, "what ran is on record"
    assert extra <= ended_early


def killed_whole_then_run(shell: Shell, mutant: str | None = None) -> bool:
    """Kill guardian and runner of a job that goes on, and run again: whether its two attempts met."""
    shell("add", "--backoff", "1ms", "-c", f"{EFFECT}; test $BATCHQ_ATTEMPT = 2 || sleep 60")
    try:
        with Fleet(shell) as fleet:
            first = fleet.start()
            eventually(lambda: effects(shell.folder))
            first.signal_runner(signal.SIGSTOP)  # else it may end the job before its own end has come
            first.kill()
            second = fleet.start(mutant=mutant)
            assert second.process.wait(timeout=60) == 0, (shell.folder / "told").read_text()
    finally:
        left = invariants.carriers(shell.db())
        for told in left:
            os.kill(int(told.split()[0]), signal.SIGKILL)
        eventually(lambda: not invariants.carriers(shell.db()))
    assert len(effects(shell.folder)) == 2
    assert bool(left) == (shell.folder / "overlaps").exists()
    return bool(left)


def test_an_add_that_is_killed_stores_all_of_its_jobs_or_none(batchq: Shell) -> None:
    chance = sizes.chance("S4 adds")
    lines = batchq.folder / "lines"
    lines.write_text("true\n" * 2000)
    batchq("add", "-q", "--format", "lines", "lines")
    began = time.monotonic()
    batchq("add", "-q", "--format", "lines", "lines")
    usual = time.monotonic() - began
    done = 2

    for _ in range(sizes.KILLED_ADDS):
        adding = batchq.start("add", "--format", "lines", "lines")
        time.sleep(chance.uniform(0, usual))
        adding.kill()
        told = finish(adding).out.split()
        ((stored,),) = rows(batchq, "SELECT count(*) FROM jobs")
        whole, rest = divmod(stored, 2000)
        assert rest == 0
        assert done <= whole <= done + 1
        assert whole > done or not told, "what was printed is stored"
        done = whole

    record("S4 kill -9 of adds", sizes.KILLED_ADDS, "kills", 0, stored_all_the_same=done - 2)


@needs_flock
def test_what_outlived_guardian_and_runner_is_dead_before_its_job_runs_again(batchq: Shell) -> None:
    assert not killed_whole_then_run(batchq)


@needs_flock
@pytest.mark.parametrize("mutant", mutants.OF_RUNS)
def test_the_suite_catches(mutant: str, batchq: Shell) -> None:
    assert killed_whole_then_run(batchq, mutant)
    record_caught("S4")


def add(shell: Shell, number: int) -> list[int]:
    """Add commands and callables by turns; those whose ids are printed are a promise."""
    naps = ("", "; sleep 0.02", "; sleep 0.05 & wait", "; (setsid sleep 0.05 &)")
    jobs: list[dict[str, object]] = [
        {"command": EFFECT + naps[index // 2 % len(naps)]}
        if index % 2
        else {"call": "traces:leave", "args": {"nap": index // 2 % len(naps) / 50}}
        for index in range(number)
    ]
    lines = "".join(json.dumps(job | {"max_crashes": 1000, "backoff": "0ms"}) + "\n" for job in jobs)
    done = shell("add", "--format", "jsonl", "-", stdin=lines)
    return [int(line) for line in done.out.split()]


def jobs_at_work(shell: Shell, member: Member) -> int:
    """How many jobs of this run have started and are not over."""
    sql = (
        "SELECT count(*) FROM jobs JOIN runners AS r ON r.id = jobs.runner"
        f" WHERE r.pid = {member.runner} AND r.ended_at IS NULL AND jobs.started_at IS NOT NULL"
    )
    return int(rows(shell, sql)[0][0])


def drain(shell: Shell) -> None:
    """Let a last run finish everything; a job that was interrupted ten times in a row is held until then."""
    shell("run")
    shell("release", "--all", code=None)
    shell("run")
