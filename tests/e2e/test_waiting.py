"""``batchq wait``: for which jobs it waits and answers, and what it says is in their way."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Shell, eventually, finish, send
from gate import Gate


def running(batchq: Shell, jobs: int = 1) -> bool:
    return len(batchq.rows("SELECT 1 FROM jobs WHERE state = 'running' AND started_at IS NOT NULL")) == jobs


def has_begun(waiting: "subprocess.Popen[bytes]") -> bool:
    """Whether a wait has looked its jobs up: then it listens for what others write (inotify)."""
    try:
        return any("inotify" in str(link.readlink()) for link in Path(f"/proc/{waiting.pid}/fd").iterdir())
    except OSError:
        return False


def test_wait_without_a_selection_is_wrong_usage_and_all_must_be_meant(batchq: Shell) -> None:
    batchq("add", "-q", "--", "true")

    assert "--all is every job that has not finished" in batchq("wait", code=2).err, "as in: batchq wait $ids"
    assert "an empty word" in batchq("wait", "", code=2).err
    batchq("run")
    batchq("wait", "--all")


def test_wait_for_all_answers_for_the_jobs_that_were_not_over_when_it_began(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "--", "false")
    batchq("run", code=1)
    batchq("add", "-q", "-c", gate.wait)
    with batchq.start("run") as run:
        eventually(lambda: running(batchq))
        waiting = batchq.start("wait", "--all", "--json")
        eventually(lambda: has_begun(waiting))
        batchq("add", "-q", "--", "false")
        gate.open()
        done = finish(waiting)
        assert finish(run).code == 1
    assert (done.code, json.loads(done.out)["jobs"]) == (0, {"succeeded": 1})


def test_last_is_the_add_that_was_the_newest_when_the_wait_began(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "-c", f"{gate.wait}; exit 3")
    with batchq.start("run", "-q", "-j2") as run:
        eventually(lambda: running(batchq))
        waiting = batchq.start("wait", "last")
        eventually(lambda: has_begun(waiting))
        batchq("add", "-q", "--", "true")
        gate.open()
        assert finish(waiting).code == 1
        finish(run)


def test_a_state_chooses_jobs_and_is_not_what_is_waited_for(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "-c", f"{gate.wait}; exit 3")
    with batchq.start("run", "-q") as run:
        eventually(lambda: running(batchq))
        waiting = batchq.start("wait", "--state", "running")
        eventually(lambda: has_begun(waiting))
        gate.open()
        assert finish(waiting).code == 1, "it is failed now, and not simply not running any more"
        finish(run)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--queue", "net"), "job 2 (up): queue 'net' is paused; 'batchq queue resume net' resumes it"),
        (("--hold",), "job 2 (up): held by hand; 'batchq release 2' lets it run"),
        (("--slots", "9"), "job 2 (up): not enough slots; 'batchq run -j 9' has enough"),
        (("--run-at", "2099-01-01T00:00Z"), "job 2 (up): due later; 'batchq explain 2' shows when"),
        (("--after", "1"), "job 1: held by hand; 'batchq release 1' lets it run"),
    ],
)
def test_wait_says_once_what_is_in_the_way_also_while_a_run_is_at_work(
    batchq: Shell, words: tuple[str, ...], told: str
) -> None:
    batchq("queue", "pause", "net")
    batchq("add", "-q", "--hold", "--", "true")
    batchq("add", "-q", "--name", "up", *words, "--", "true")
    with batchq.start("run", "--watch", "-q", "-j2") as run:
        eventually(lambda: batchq.rows("SELECT 1 FROM runners WHERE state = 'running'"))
        done = batchq("wait", "2", "--timeout", "2s", code=3)
        assert done.err.count(batchq.full(told)) == 1, done
        assert "no run at work" not in done.err
        send(run, signal.SIGTERM)
        finish(run)


def test_wait_says_that_no_run_is_at_work_only_of_what_a_run_would_take(batchq: Shell) -> None:
    batchq("add", "-q", "-", stdin="true\ntrue\n")
    batchq("add", "-q", "--hold", "--", "true")

    told = batchq("wait", "--all", "--timeout", "0s", code=3).err
    assert told == batchq.full(
        "batchq: wait: jobs 1, 2: no run at work takes them; start one with 'batchq run'\n"
        "batchq: wait: job 3: held by hand; 'batchq release 3' lets it run\n"
        "batchq: wait: timed out: 1 held, 2 queued\n"
    )


def test_explain_of_a_queue_with_the_limit_0_names_the_command_that_helps(batchq: Shell) -> None:
    batchq("add", "-q", "--queue", "net", "--", "true")
    batchq("queue", "set", "net", "--limit", "0")

    assert batchq.full("has the limit 0: 'batchq queue set net --limit N' raises it") in batchq("explain", "1").out


def test_the_run_that_wait_advises_takes_the_job(batchq: Shell) -> None:
    batchq("add", "-q", "--slots", "50", "--", "true")
    batchq("add", "-q", "--format", "jsonl", "-", stdin='{"payload": 1}')

    told = batchq("wait", "--all", "--timeout", "0s", code=3).err
    assert told == batchq.full(
        "batchq: wait: job 1: no run at work takes it; start one with 'batchq run -j 50'\n"
        "batchq: wait: job 2: a payload needs a function: 'batchq run --perform MODULE:FUNCTION'\n"
        "batchq: wait: timed out: 2 queued\n"
    )


def test_a_job_that_is_due_in_a_year_needs_no_run_now(batchq: Shell) -> None:
    batchq("add", "-q", "--run-at", "2099-01-01T00:00Z", "--", "true")
    batchq("queue", "pause", "net")
    batchq("add", "-q", "--queue", "net", "--", "true")

    for job in ("1", "2"):
        assert " run'" not in batchq("explain", job).out


def test_explain_says_what_is_in_the_way_of_the_jobs_after_which_one_is_to_run(batchq: Shell) -> None:
    batchq("queue", "pause", "net")
    batchq("add", "-q", "--name", "load", "--queue", "net", "--", "true")
    batchq("add", "-q", "--name", "clean", "--after", "load", "--", "true")
    batchq("add", "-q", "--after", "clean", "--", "true")

    assert batchq("explain", "3").out == batchq.full(
        "job 3 is blocked\n"
        "  it waits for job 2 (clean) to succeed; that job is now blocked\n"
        "  in the way: job 1 (load): queue 'net' is paused; 'batchq queue resume net' resumes it\n"
    )
    batchq("queue", "resume", "net")
    assert "in the way: job 1 (load): no run at work takes it" in batchq("explain", "2").out
