"""S17: eight runs under limits, rates, pauses and slots. What runs at once is counted by the jobs, outside of the store."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import sizes
from conftest import Shell, eventually
from figures import record
from fleet import Fleet, rows

pytest_plugins = ("figures",)
pytestmark = pytest.mark.skipif(
    not Path("/proc/uptime").exists(), reason="there is no /proc/uptime to read the time from"
)

RATE = 4
#: A line when it begins and one when it ends; what is read from the log never runs longer than it really did.
STORY = (
    'say() { read now _ < /proc/uptime; echo "$1 $BATCHQ_JOB_ID $BATCHQ_QUEUE $now" >> story; };'
    " say begin; sleep SECONDS; say end"
)


class Line(NamedTuple):
    """Something that a job wrote: ``begin`` or ``end``, its id and queue, and the seconds since the machine started."""

    what: str
    job: int
    queue: str
    at: float


def story(shell: Shell) -> list[Line]:
    path = shell.folder / "story"
    text = path.read_text() if path.exists() else ""
    words = [line.split() for line in text.split("\n")[:-1]]
    return [Line(what, int(job), queue, float(at)) for what, job, queue, at in words]


def at_once(lines: list[Line], queue: str) -> list[int]:
    """How many jobs of the queue ran after each line."""
    running = [0]
    for line in lines:
        change = 1 if line.what == "begin" else -1
        running.append(running[-1] + (change if line.queue == queue else 0))
    return running


def uptime() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def begun(shell: Shell, queue: str) -> int:
    return sum(line.what == "begin" and line.queue == queue for line in story(shell))


def add(shell: Shell, seconds: float = 0.05, **jobs: int) -> None:
    story = STORY.replace("SECONDS", str(seconds))
    lines = [
        json.dumps({"command": story, "queue": queue, "slots": 2 if queue == "wide" else 1})
        for queue, number in jobs.items()
        for _ in range(number)
    ]
    shell("add", "-q", "--format", "jsonl", "-", stdin="\n".join(lines))


def test_eight_runs_keep_to_limits_rates_pauses_and_slots(batchq: Shell) -> None:
    scale = sizes.LIMITED_JOBS
    batchq("queue", "set", "narrow", "--limit", "2")
    batchq("queue", "set", "live", "--limit", "2")
    batchq("queue", "set", "slow", "--rate", f"{RATE}/s")
    batchq("queue", "pause", "slow")
    add(batchq, narrow=scale, live=2 * scale, slow=scale, free=scale, stopped=4 * scale, wide=scale)
    # One that runs and one that waits for its limit: so long no run has nothing left and ends.
    lasting = "until [ -e over ]; do sleep 0.05; done"
    batchq("queue", "set", "lasting", "--limit", "1")
    batchq("add", "-q", "--queue", "lasting", "-", stdin=f"{lasting}\n" * 2)
    with Fleet(batchq, "-j", "2") as fleet:
        for _ in range(8):
            fleet.start()
        eventually(lambda: len(fleet.registered()) == 8)
        resumed = uptime()
        batchq("queue", "resume", "slow")

        eventually(lambda: begun(batchq, "stopped") > 3)
        paused = pause(batchq)
        widened = change_limit(batchq, 5)
        narrowed = change_limit(batchq, 1)
        assert begun(batchq, "stopped") == paused[1], "nothing of a paused queue starts"
        batchq("queue", "set", "live", "--limit", "none")
        batchq("queue", "resume", "stopped")
        (batchq.folder / "over").touch()

        assert fleet.wait_for_all(300) == [0] * 8

    lines = story(batchq)
    times = Counter(line.job for line in lines if line.what == "begin")
    record("S17 eight runs with limits", len(times), "jobs", sum(times.values()) - len(times),
           pause_after=f"{paused[0]:.2f} s", limit_raised_after=f"{widened:.2f} s",
           limit_lowered_after=f"{narrowed:.2f} s", rate=f"{measured_rate(lines):.1f}/s of {RATE}")  # fmt: skip
    assert batchq.rows("SELECT state FROM jobs WHERE state <> 'succeeded'") == []
    assert sorted(times) == [job for (job,) in rows(batchq, "SELECT id FROM jobs WHERE queue <> 'lasting' ORDER BY id")]
    assert set(times.values()) == {1}
    assert max(at_once(lines, "narrow")) <= 2
    check_rate(lines, resumed)
    check_slots(batchq, lines)


def pause(shell: Shell) -> tuple[float, int]:
    """Pause the queue ``stopped``: how long until its last job was over, and how many had begun by then."""
    shell("queue", "pause", "stopped")
    began = time.monotonic()
    eventually(lambda: shell.rows("SELECT 1 FROM jobs WHERE state = 'running' AND queue = 'stopped'") == [])
    return time.monotonic() - began, begun(shell, "stopped")


LIVE = "state = 'running' AND queue = 'live'"


def change_limit(shell: Shell, limit: int) -> float:
    """Change the limit of ``live`` while it is at work: how long until so many ran; never were there more."""

    def supply() -> None:
        if not shell.rows("SELECT 1 FROM jobs WHERE state = 'queued' AND queue = 'live' LIMIT 1"):
            add(shell, 0.3, live=30)  # so long that as many run at once as may, also on a machine with other work

    def running() -> list[int]:
        supply()
        return at_once(story(shell), "live")[before + 1 :]

    supply()
    shell("queue", "set", "live", "--limit", str(limit))
    began, before = time.monotonic(), len(story(shell))
    earlier = ",".join(str(job) for (job,) in rows(shell, f"SELECT id FROM jobs WHERE {LIVE}"))
    eventually(lambda: limit in running(), 180)
    took = time.monotonic() - began
    # One that was claimed under the old limit may begin late, on a busy machine after the first of the others has ended.
    eventually(lambda: rows(shell, f"SELECT id FROM jobs WHERE {LIVE} AND id IN ({earlier})") == [], 180)
    kept = len(running())
    eventually(lambda: len(running()) > kept + 10, 180)
    assert max(running()[kept:]) <= limit
    return took


def check_rate(lines: list[Line], resumed: float) -> None:
    """Since the queue was let go, no more have started than its rate allows, and one that was saved up.

    A job begins a while after its claim, so only from a moment before which there is no claim the starts can be counted;
    in each stretch of time, and exactly, does that S22, with a clock of its own.
    """
    starts = [line for line in lines if line.what == "begin" and line.queue == "slow"]
    for number, line in enumerate(starts, start=1):
        assert number <= RATE * (line.at - resumed + 0.02) + 1, (number, line, resumed)  # uptime is rounded


def measured_rate(lines: list[Line]) -> float:
    at = [line.at for line in lines if line.what == "begin" and line.queue == "slow"]
    return (len(at) - 1) / (at[-1] - at[0])


def check_slots(shell: Shell, lines: list[Line]) -> None:
    """No run has ever used more than its two slots."""
    runner = dict(rows(shell, "SELECT job, runner FROM attempts"))
    used: Counter[object] = Counter()
    for line in lines:
        width = 2 if line.queue == "wide" else 1
        used[runner[line.job]] += width if line.what == "begin" else -width
        assert used[runner[line.job]] <= 2, line
