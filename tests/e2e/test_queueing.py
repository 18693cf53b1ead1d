"""``batchq queue``, ``cancel``, ``wait`` and ``explain`` as a user types them."""

import json
import re
import signal

import pytest
from conftest import Shell, eventually, finish, send
from gate import Gate


def running(batchq: Shell) -> bool:
    return bool(batchq.rows("SELECT 1 FROM jobs WHERE state = 'running' AND started_at IS NOT NULL"))


def test_queue_shows_and_sets_limits(batchq: Shell) -> None:
    assert "there is none yet" in batchq("queue").err
    batchq("add", "-q", "--queue", "net", "--", "true")
    batchq("queue", "set", "net", "--limit", "4", "--rate", "30/m")
    batchq("queue", "pause", "mail")

    assert batchq("queue").out.split("\n") == [
        "QUEUE   LIMIT  RATE  QUEUED",
        "mail   paused     -       -",
        "net         4  30/m       1",
        "",
    ]
    batchq("queue", "resume", "mail")
    batchq("queue", "set", "net", "--limit", "none", "--rate", "none")
    (net,) = json.loads(batchq("queue", "list", "--json").out)["queues"]
    assert net == {"name": "net", "paused": False, "limit": None, "rate": None, "jobs": {"queued": 1}}


@pytest.mark.parametrize("words", [["set", "nte", "--limit", "1"], ["pause", "nte"], ["resume", "nte"]])
def test_a_queue_with_a_slip_of_the_pen_is_told_in_a_line(batchq: Shell, words: list[str]) -> None:
    batchq("add", "-q", "--queue", "net", "--", "true")
    said = "batchq: this store has never seen the queue 'nte' (did you mean 'net'?)\n"
    assert batchq("queue", *words).err == said


def test_a_queue_may_be_set_before_its_first_job_and_only_resumed_once_it_is_known(batchq: Shell) -> None:
    batchq("add", "-q", "--queue", "net", "--", "true")
    assert batchq("queue", "set", "mail", "--limit", "1").err == ""
    assert batchq("queue", "pause", "print").err == ""
    assert batchq("queue", "resume", "print").err == ""
    assert batchq("queue", "resume", "scan").err == "batchq: this store has never seen the queue 'scan'\n"


@pytest.mark.parametrize(
    "words",
    [["set", "net"], ["set", "net", "--limit", "-1"], ["set", "net", "--rate", "5/y"], ["set", "net", "--rate", "0/s"]],
)
def test_a_limit_that_means_nothing_is_a_wrong_usage(batchq: Shell, words: list[str]) -> None:
    batchq("queue", *words, code=2)
    assert batchq.rows("SELECT * FROM queues") == []


def test_a_pause_and_a_limit_reach_a_run_at_work(batchq: Shell) -> None:
    with batchq.start("run", "--watch") as run:
        batchq("queue", "pause", "default")
        batchq("add", "-q", "-", stdin="true\n" * 3)
        assert "its queue 'default' is paused" in batchq("explain", "1").out
        batchq("queue", "resume", "default")
        eventually(lambda: not batchq.rows("SELECT 1 FROM jobs WHERE finished_at IS NULL"))
        send(run, signal.SIGTERM)
        finish(run)


def test_cancel_ends_a_running_job_and_the_run_is_content(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "slow", "-c", "sleep 60")
    (batchq.folder / "after.jsonl").write_text('{"command": "true", "after": [1]}\n')
    batchq("add", "-q", "after.jsonl")
    with batchq.start("run") as run:
        eventually(lambda: running(batchq))
        assert batchq("cancel", "1").err == "batchq: cancel: 1 job cancelled\n"
        done = finish(run)
    assert (done.code, done.err) == (0, "")
    assert batchq.rows("SELECT state, why FROM jobs") == [
        ("cancelled", "cancelled while it ran"),
        ("cancelled", "job 1 (slow), after which it was to run, was cancelled"),
    ]
    assert batchq("wait", "1-2", code=1).err == "batchq: wait: 2 cancelled\n"


def test_cancel_of_what_waits_cancels_what_runs_after_it(batchq: Shell) -> None:
    (batchq.folder / "j.toml").write_text(
        '[[job]]\nname = "a"\ncommand = "true"\n[[job]]\nafter = ["a"]\ncommand = "true"\n'
    )
    batchq("add", "-q", "j.toml")

    assert "1 job cancelled, and 1 that runs after it" in batchq("cancel", "1").err
    assert "nothing to do; 1 left alone (cancelled, and a job that they run after" in batchq("retry", "2").err
    assert "1 job queued again, and 1 that runs after it" in batchq("retry", "1").err
    told = json.loads(batchq("cancel", "--json", "1").out)
    assert (told["kind"], told["followed"], told["jobs"]) == ("cancel", 1, [1])


def test_wait_blocks_until_the_jobs_are_over_and_tells_how(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "-c", gate.wait)
    batchq("add", "-q", "--batch", "bad", "-c", "exit 1")

    told = batchq("wait", "--all", "--timeout", "0s", code=3).err
    assert "jobs 1, 2: no run at work takes them" in told
    assert "timed out: 2 queued" in told
    with batchq.start("run") as run:
        eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE state = 'failed'"))
        waiting = batchq.start("wait", "1")
        everything = batchq.start("wait", "--all", "--queue", "default", "--state", "running")
        assert batchq("wait", "--batch", "bad", code=1).err == "batchq: wait: 1 failed\n"
        assert "timed out: 1 running" in batchq("wait", "1", "--timeout", "10ms", code=3).err
        gate.open()
        ended = finish(waiting)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        assert finish(everything).code == 0, "it answers for what it waited for"
        finish(run)
    assert json.loads(batchq("wait", "--json", "1-2", code=1).out)["jobs"] == {"succeeded": 1, "failed": 1}
    assert json.loads(batchq("wait", "--json", "--all").out)["jobs"] == {}
    batchq("wait", "99", code=66)


def explained(batchq: Shell, job: int) -> list[str]:
    told = json.loads(batchq("explain", "--json", str(job)).out)
    text = batchq("explain", str(job)).out
    assert all(one["text"] in text for one in told["reasons"] if one["reason"] != "delay"), "its time comes nearer"
    return [one["reason"] for one in told["reasons"]]


def test_explain_names_each_reason_to_wait(batchq: Shell) -> None:
    batchq("add", "-q", "--queue", "net", "-", stdin="true\ntrue\n")
    batchq("add", "-q", "--hold", "--", "true")
    batchq("add", "-q", "--delay", "1h", "--", "true")
    (batchq.folder / "more.jsonl").write_text(
        '{"command": "true", "after": [1], "after_any": [2]}\n{"command": "true", "slots": 99}\n{"payload": 1}\n'
    )
    batchq("add", "-q", "more.jsonl")

    assert explained(batchq, 1) == ["no runner"]
    assert explained(batchq, 2) == ["order", "no runner"]
    batchq("queue", "set", "net", "--limit", "0")
    assert explained(batchq, 1) == ["limit"]
    batchq("queue", "pause", "net")
    assert explained(batchq, 1)[0] == "paused"
    assert explained(batchq, 3) == ["held"]
    assert explained(batchq, 4) == ["delay"]
    assert explained(batchq, 5) == ["parent", "parent", "in the way"]
    with batchq.start("run", "--watch", "-j2") as run:
        eventually(lambda: batchq.rows("SELECT 1 FROM runners WHERE ended_at IS NULL"))
        assert (
            batchq.full("does not take it (it needs 99 slots): start 'batchq run -j 99'") in batchq("explain", "6").out
        )
        assert "--perform MODULE:FUNCTION" in batchq("explain", "7").out
        assert "takes it as soon as a slot is free" in batchq("explain", "4").out
        send(run, signal.SIGTERM)
        finish(run)


def test_explain_reports_why_a_job_ended_as_it_did(batchq: Shell) -> None:
    batchq("add", "-q", "--max-attempts", "3", "--backoff", "1ms", "-", stdin="exit 65\nexit 3\n")
    batchq("run", code=1)

    assert "exit code 65" in batchq("explain", "1").out
    assert "not retried: a failure of this kind is not retried" in batchq("explain", "1").out
    assert "not retried: all 3 attempts have been used" in batchq("explain", "2").out
    batchq("retry", "2")
    assert explained(batchq, 2)[0] == "again"
    batchq("cancel", "2")
    assert explained(batchq, 2) == ["cancelled", "retry"]
    batchq("explain", code=2)
    assert re.findall(r"^job \d", batchq("explain", "1-2").out, re.M) == ["job 1", "job 2"]
    batchq("explain", "99", code=66)


def test_explain_suggests_commands_for_this_store_and_this_queue(batchq: Shell) -> None:
    batchq("--db", "other.db", "add", "-q", "--queue", "my q", "--", "true")
    batchq("--db", "other.db", "queue", "pause", "my q")

    told = batchq("--db", "other.db", "explain", "1").out
    db = batchq.folder / "other.db"
    assert f"'batchq --db {db} queue resume 'my q'' resumes it" in told
    batchq("--db", "other.db", "queue", "resume", "my q")
    told = batchq("--db", "other.db", "explain", "1").out
    assert f"start 'batchq --db {db} run'" in told


def test_json_belongs_behind_the_word(batchq: Shell) -> None:
    assert "put options after the words of a command" in batchq("queue", "--json", "list", code=2).err
