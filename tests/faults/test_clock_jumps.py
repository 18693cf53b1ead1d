"""S14: a wall clock that jumps by an hour changes when jobs are due, and nothing else. S1 jumps at every step, too."""

import json
import re
import subprocess
import sys

from conftest import Shell, eventually, finish
from figures import record
from fleet import Fleet, rows
from history import FAILED, play

from batchq import clock
from batchq.jobs.model import job_spec
from batchq.store.adding import intake
from batchq.store.file.connection import Store
from batchq.store.file.locks import LockFile
from batchq.store.file.opening import open_at
from batchq.store.running import exchange, runners
from batchq.store.running.runners import Runner
from batchq.store.running.wanted import RunSelection

pytest_plugins = ("figures",)

HOUR = 3_600_000
SHIFTED = (
    "import sys; from batchq import clock; real, shift = clock.now, int(sys.argv.pop(1));"
    " clock.now = lambda: real() + shift; from batchq.__main__ import main; main()"
)


def shifted(shell: Shell, milliseconds: int, *words: str) -> str:
    """What a command prints that sees a clock which goes wrong by so much."""
    done = subprocess.run(
        [sys.executable, "-c", SHIFTED, str(milliseconds), *words],
        cwd=shell.folder, env=shell.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done
    return done.stdout


def a_runner(store: Store, life: LockFile, now: int) -> Runner:
    return runners.register(
        store, RunSelection(), life.hold_liveness(), pid=1, host="h", boot_id="b", slots=1, executor="local", now=now
    )


def test_a_job_that_was_due_before_the_clock_went_back_is_not_lost(store: Store) -> None:
    (job,) = intake.add(store, [job_spec({"command": "true", "run_at": "2030-01-01T00:00Z"}, "test", "/", "/bin")]).ids
    due = 1_893_456_000_000
    life = LockFile(store.path)
    me = a_runner(store, life, due)

    def claimed(now: int) -> list[int]:
        return [claim.id for claim in exchange.exchange(store, me, [], 1, now).claims]

    assert claimed(due - 1) == []
    assert claimed(due - HOUR) == []
    assert store.db.execute("SELECT state, due_at FROM jobs").fetchall() == [("scheduled", due)]
    assert claimed(due) == [job]
    life.close()


def test_a_pause_noted_by_a_clock_that_was_ahead_is_no_longer_when_the_clock_is_right(batchq: Shell) -> None:
    batchq("add", "--max-attempts", "2", "--backoff", "1ms", "-c",
           "echo ran >> effects; test $BATCHQ_ATTEMPT = 2 || { echo $BATCHQ_JOB_ID; exit 1; }")  # fmt: skip
    batchq("add", "--", "false")
    shifted(batchq, HOUR, "add", "--delay", "1h", "--", "true")
    shifted(batchq, HOUR, "run", "--max-jobs", "1")
    assert rows(batchq, "SELECT state, due_at - created_at >= 3600000 FROM jobs WHERE id = 1") == [("scheduled", 1)]

    batchq("run", "--max-jobs", "2", code=1)
    assert rows(batchq, "SELECT number, outcome FROM attempts WHERE job = 1") == [(1, "failed"), (2, "succeeded")]
    assert (batchq.folder / "effects").read_text() == "ran\nran\n"
    ((left,),) = rows(batchq, "SELECT due_at - due_from FROM jobs WHERE id = 3")
    assert left == 3_600_000
    shifted(batchq, HOUR, "add", "--delay", "1s", "-c", "echo delayed >> effects")
    run = batchq.start("run", "--watch")
    eventually(lambda: (batchq.folder / "effects").read_text().endswith("delayed\n"))
    run.terminate()
    assert finish(run).code == 143


def test_each_look_tells_when_a_retry_is_due_by_the_clock_that_was_set_back(batchq: Shell) -> None:
    batchq("add", "--max-attempts", "3", "--backoff", "1ms", "--", "false")
    with open_at(str(batchq.db())) as store:
        play(store, FAILED)
        ahead, pause = clock.now() + 24 * HOUR, 600_000
        store.db.execute("UPDATE jobs SET due_at = ?, due_from = ?", (ahead + pause, ahead))

    looks = [json.loads(batchq(*words, "--json").out) for words in (("show", "1"), ("list",), ("report",))]
    told = [looks[0]["job"]["due_at"], looks[1]["jobs"][0]["due_at"], looks[2]["next_due"]]
    now = clock.now()
    assert all(abs(clock.instant(one) - now - pause) < 60_000 for one in told), told
    assert re.search(r"in (9 m|10 m)", batchq("explain", "1").out)
    batchq("cancel", "1")


def test_what_is_said_to_have_begun_in_the_future_has_lasted_no_time() -> None:
    assert clock.show_duration(-3_600_000) == "0 ms"


def test_a_time_that_was_asked_for_is_not_moved(store: Store) -> None:
    intake.add(store, [job_spec({"command": "true", "run_at": "2030-01-01T00:00Z", "max_attempts": 2}, "t", "/", "/")])
    life = LockFile(store.path)
    me = a_runner(store, life, 5)
    assert exchange.exchange(store, me, [], 1, 5).claims == []
    assert store.fetch("SELECT due_at, due_from FROM jobs") == [(1_893_456_000_000, None)]
    life.close()


def test_a_runner_is_not_taken_for_dead_by_one_whose_clock_is_wrong(batchq: Shell) -> None:
    batchq("add", "-c", "touch begun; while [ ! -e go ]; do sleep 0.01; done")
    with Fleet(batchq) as fleet:
        fleet.start()
        eventually((batchq.folder / "begun").exists)
        for jump in (HOUR, -HOUR, 1000 * HOUR):
            shifted(batchq, jump, "run")
        false_rescues = rows(batchq, "SELECT count(*) FROM runners WHERE state = 'dead'")[0][0]
        (batchq.folder / "go").touch()
        assert fleet.wait_for_all() == [0]

    record("S14 clock jumps", 3, "runs with a wrong clock", false_rescues)
    assert false_rescues == 0
    assert rows(batchq, "SELECT number, outcome FROM attempts") == [(1, "succeeded")]


def test_how_long_a_job_has_been_running_is_told_whatever_the_clock_says(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text(
        "import os, time\ndef work():\n    open('called', 'w').close()\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n"
    )
    batchq("add", "-c", "touch begun; while [ ! -e go ]; do sleep 0.01; done")
    batchq("add", "--call", "mine:work")
    run = batchq.start("run", "-j", "2")
    eventually((batchq.folder / "begun").exists)
    eventually((batchq.folder / "called").exists)
    eventually(lambda: rows(batchq, "SELECT count(*) FROM processes") == [(2,)])
    eventually(lambda: " for 0 ms" not in batchq("report").out)
    for jump in (HOUR, -HOUR, 1000 * HOUR):
        for words in (("list",), ("report",), ("explain", "1"), ("explain", "2")):
            told = re.findall(r"(?:for|running +\d+) +([0-9.]+ ?[a-z ]*)", shifted(batchq, jump, *words))
            assert told, words
            assert not [one for one in told if re.search(r"\b[dh]\b", one)], (jump, words, told)
        (command,) = re.findall(r"running for (\S+ \S+)", shifted(batchq, jump, "explain", "1"))
        assert command != "0 ms,", "a command is told by its own age, also where the clock has gone back"
    (batchq.folder / "go").touch()
    assert finish(run).code == 0
