"""S21: ``cancel`` of jobs that run, of every kind: they end at once, what runs after them never runs, the others go on."""

import time

import pytest
import sizes
from conftest import Shell, eventually
from figures import milliseconds, record
from fleet import Fleet

pytest_plugins = ("figures",)

CALLABLES = "import time\ndef step(seconds: float) -> None:\n    time.sleep(seconds)\n"
STUBBORN = "trap '' TERM; echo $BATCHQ_JOB_ID >> begun; while :; do sleep 1; done"
STEPS = 200  #: callables, so short that many of them go to their worker in one message


def add(shell: Shell, *words: str) -> int:
    return int(shell("add", *words).out)


def state(shell: Shell, job: int) -> object:
    return shell.rows(f"SELECT state FROM jobs WHERE id = {job}")[0][0]


def wait_until_it_runs(shell: Shell, job: int, after: int | None = None) -> None:
    """Wait until a job has started, and ``after`` was recorded before it."""
    started = f"SELECT 1 FROM jobs WHERE id = {job} AND state = 'running' AND started_at IS NOT NULL"
    eventually(lambda: bool(shell.rows(started)) and (after is None or state(shell, after) == "succeeded"))


def cancel(shell: Shell, *jobs: int) -> float:
    """How long it took from the end of the command until all of them were over."""
    shell("cancel", *map(str, jobs))
    asked = time.monotonic()
    eventually(lambda: all(state(shell, job) == "cancelled" for job in jobs))
    return time.monotonic() - asked


@pytest.mark.parametrize("kind", ["command", "stubborn command", "callable"])
def test_what_runs_is_cancelled_with_what_runs_after_it(batchq: Shell, kind: str) -> None:
    (batchq.folder / "mine.py").write_text(CALLABLES)
    works = {
        "command": ("--", "sleep", "600"), "stubborn command": ("-c", STUBBORN),
        "callable": ("--call", "mine:step", "--args", '{"seconds": 600}'),
    }  # fmt: skip
    times = []
    for _ in range(sizes.CANCELLED):
        job = add(batchq, "--name", "long", *works[kind])
        below = add(batchq, "--after", str(job), "-c", "echo no >> wrong")
        beside = add(batchq, "--after-any", str(below), "-c", "echo yes >> right")
        with Fleet(batchq, "-j", "2", "--grace", "0s") as fleet:
            fleet.start()
            wait_until_it_runs(batchq, job)
            if kind == "stubborn command":
                wait_for_line(batchq, "begun", job)
            times.append(cancel(batchq, job))
            assert fleet.wait_for_all() == [0], "what a user has cancelled has not failed"
        assert (state(batchq, below), state(batchq, beside)) == ("cancelled", "succeeded")
        batchq("wait", str(job), code=1)
        batchq("wait", str(beside))
    record(f"S21 cancel of a {kind}", len(times), "jobs that ran", 0, over_after=milliseconds(times))
    assert read(batchq, "wrong") == ""


def read(shell: Shell, name: str) -> str:
    path = shell.folder / name
    return path.read_text() if path.exists() else ""


def wait_for_line(shell: Shell, name: str, line: int) -> None:
    eventually(lambda: f"{line}\n" in read(shell, name))


def test_one_of_many_short_callables_is_cancelled_with_some_that_wait_behind_it(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text(CALLABLES)
    times = []
    for _ in range(sizes.CANCELLED):
        lines = [
            f'{{"call": "mine:step", "args": {{"seconds": {600 if n == STEPS // 2 else 0}}}}}' for n in range(STEPS)
        ]
        ids = [int(id) for id in batchq("add", "--format", "jsonl", "-", stdin="\n".join(lines)).out.split()]
        long = ids[STEPS // 2]
        with Fleet(batchq, "-j", "1", "--grace", "0s") as fleet:
            fleet.start()
            wait_until_it_runs(batchq, long, after=ids[0])
            behind = batchq.rows(f"SELECT id FROM jobs WHERE state = 'running' AND id > {long} ORDER BY id LIMIT 2")
            chosen = [long, *(int(str(job)) for (job,) in behind)]
            times.append(cancel(batchq, *chosen))
            assert fleet.wait_for_all() == [0]
        others = sorted(set(ids).difference(chosen))
        assert [job for (job,) in batchq.rows("SELECT id FROM jobs WHERE state = 'succeeded' ORDER BY id")][
            -len(others) :
        ] == others
        assert batchq.rows("SELECT id FROM jobs WHERE crashes > 0") == []
    record(
        "S21 cancel in a message", len(times), "rounds", 0, over_after=milliseconds(times), claimed_ahead=len(behind)
    )
