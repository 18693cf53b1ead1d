"""``batchq run`` never says 0, and nothing, for what was not done: what it answers for, exit code 3, and its lines."""

import json
import os
import signal
from pathlib import Path

import pytest
from conftest import Shell, eventually, finish, send
from gate import Gate


def a_file(batchq: Shell, *jobs: dict[str, object], name: str = "jobs.jsonl") -> Path:
    """A job file with these jobs; one without a command says ``true``."""
    path = batchq.folder / name
    path.write_text("".join(json.dumps({"command": "true"} | job) + "\n" for job in jobs))
    return path


def state(batchq: Shell, job: int) -> object:
    return batchq.rows(f"SELECT state FROM jobs WHERE id = {job}")[0][0]


def running(batchq: Shell) -> bool:
    return bool(batchq.rows("SELECT 1 FROM jobs WHERE state = 'running' AND started_at IS NOT NULL"))


@pytest.mark.parametrize(
    ("job", "words", "told"),
    [
        ({"hold": True}, (), "job 1 (up): held by hand; 'batchq release 1' lets it run"),
        ({"queue": "net"}, (), "job 1 (up): queue 'net' is paused; 'batchq queue resume net' resumes it"),
        ({"queue": "shut"}, (), "queue 'shut' has the limit 0; 'batchq queue set shut --limit N'"),
        ({"slots": 9}, ("-j2",), "job 1 (up): not enough slots; 'batchq run -j 9' has enough"),
        ({"delay": "1h"}, (), "job 1 (up): due later; 'batchq explain 1' shows when"),
        ({"command": None, "payload": 7}, (), "a payload needs a function: 'batchq run --perform MODULE:FUNCTION'"),
    ],
)
def test_what_a_file_asked_for_and_was_not_run_is_reported_by_name_and_reason_with_exit_code_3(
    batchq: Shell, job: dict[str, object], words: tuple[str, ...], told: str
) -> None:
    batchq("queue", "pause", "net")
    batchq("queue", "set", "shut", "--limit", "0")
    facts = {"name": "up"} | {"command": "true"} | job
    path = batchq.folder / "jobs.jsonl"
    path.write_text(json.dumps({name: value for name, value in facts.items() if value is not None}) + "\n")

    done = batchq("run", "jobs.jsonl", *words, code=3)

    assert done.err.startswith("batchq: not run: ") and batchq.full(told) in done.err
    later = batchq("run", *words).err
    wide = "batchq: job 1 needs more slots than this run had (-j 2); 'batchq explain 1' shows how many\n"
    assert later == (batchq.full(wide) if "slots" in job else ""), "a plain run answers for what it runs"


def test_what_comes_after_a_job_that_was_not_run_is_not_run_either(batchq: Shell) -> None:
    a_file(batchq, {"name": "a", "hold": True}, {"name": "b", "after": ["a"]}, {"name": "c"})

    told = json.loads(batchq("run", "--json", "-q", "jobs.jsonl", code=3).out)

    assert (told["status"], told["succeeded"]) == (3, 1)
    assert told["not_run"] == [
        {"reason": "blocked", "queue": None, "jobs": [2]},
        {"reason": "held", "queue": None, "jobs": [1]},
    ]


def test_a_failed_job_comes_before_one_that_was_not_run(batchq: Shell) -> None:
    a_file(batchq, {"command": "exit 3"}, {"hold": True})

    done = batchq("run", "jobs.jsonl", code=1)
    assert "1 job failed" in done.err and "not run: job 2: held by hand" in done.err


def test_a_run_of_a_file_that_is_bounded_answers_for_what_it_did_not_reach(batchq: Shell) -> None:
    a_file(batchq, {}, {}, {})

    done = batchq("run", "jobs.jsonl", "-j1", "--max-jobs", "1", code=3)
    left = batchq.full("not run: jobs 2, 3: the run ended first (--max-jobs); 'batchq run' runs what is queued")
    assert left in done.err
    assert batchq("run", "-j1", "--max-jobs", "1").err == "", "a plain run was told how much to do"
    told = json.loads(batchq("run", "jobs.jsonl", "-q", "-j1", "--max-jobs", "2", "--json", code=3).out)
    assert told["not_run"] == [{"reason": "stopped", "queue": None, "jobs": [6]}]


def test_jobs_that_another_run_ended_are_answered_for_however_early_that_was(batchq: Shell) -> None:
    a_file(batchq, {"command": "exit 3"})
    with batchq.start("run", "--watch", "-q") as watching:
        batchq("add", "-q", "--", "true")
        eventually(lambda: state(batchq, 1) == "succeeded")
        for number in range(5):
            assert "1 job failed" in batchq("run", "jobs.jsonl", code=1).err
            assert state(batchq, number + 2) == "failed"
        send(watching, signal.SIGTERM)
        assert finish(watching).code == 143


def test_a_job_that_was_cancelled_by_hand_was_asked_for_and_not_run(batchq: Shell, gate: Gate) -> None:
    a_file(batchq, {"command": gate.wait}, {"name": "b"})
    with batchq.start("run", "-j1", "jobs.jsonl") as run:
        eventually(lambda: running(batchq))
        batchq("cancel", "2")
        gate.open()
        done = finish(run)
    assert (done.code, batchq.full("not run: job 2 (b): cancelled by hand; 'batchq retry 2'") in done.err) == (3, True)


def test_a_job_known_by_key_counts_as_it_stands(batchq: Shell) -> None:
    a_file(batchq, {"name": "a", "key": "a", "command": "test -e mended"}, {"key": "b"})
    assert "1 job failed" in batchq("run", "jobs.jsonl", code=1).err

    for _ in range(2):
        done = batchq("run", "jobs.jsonl", code=1)
        assert done.err.startswith("batchq: job 1 (a) failed before, on 2")
        assert done.err.endswith(batchq.full("; 'batchq retry 1' runs it again\n"))
    assert json.loads(batchq("run", "-q", "--json", "jobs.jsonl", code=1).out)["failed_before"] == [1]

    (batchq.folder / "mended").touch()
    batchq("retry", "1")
    batchq("run", "jobs.jsonl")
    assert batchq("run", "jobs.jsonl").err == ""


def test_a_key_of_a_failed_job_that_was_pruned_is_no_success(batchq: Shell) -> None:
    a_file(batchq, {"name": "a", "key": "a", "command": "exit 3"}, {"key": "b"})
    batchq("run", "-q", "jobs.jsonl", code=1)
    batchq("prune", "-q", "--older-than", "0s")

    assert "job 1 failed before, and has been pruned since" in batchq("run", "jobs.jsonl", code=1).err


def test_a_job_known_by_key_that_another_run_has_is_waited_for(batchq: Shell, gate: Gate) -> None:
    a_file(batchq, {"key": "a", "command": f"{gate.wait}; exit 4"})
    with batchq.start("run", "-q", "jobs.jsonl") as first:
        eventually(lambda: running(batchq))
        second = batchq.start("run", "jobs.jsonl")
        eventually(lambda: len(batchq.rows("SELECT 1 FROM runners WHERE ended_at IS NULL")) == 2)
        gate.open()
        assert finish(first).code == 1
        done = finish(second)
    assert (done.code, "exit code 4" in done.err) == (1, True)


def test_a_job_that_batchq_puts_on_hold_is_reported_then_with_exit_code_1_and_later_in_a_line(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "reindex", "-c", "sleep 60")
    for _ in range(9):
        batchq.interrupted()
    done = batchq.interrupted(code=1)
    assert done.err.startswith(
        "batchq: 1 job is now on hold and will not run until it is released\n"
        f"on {os.uname().nodename}, store {batchq.db()}\n\njob 1 (reindex), "
    )
    assert "interrupted 10 times in a row" in done.err
    assert done.err.endswith(batchq.full("\nRelease it:  batchq release 1\n"))

    line = (
        "batchq: job 1 is on hold, because batchq gave up on it; 'batchq explain 1' shows why, 'batchq release 1' lets it"
        " run\n"
    )
    line = batchq.full(line)
    assert batchq("run").err == line
    a_file(batchq, {})
    assert batchq("run", "jobs.jsonl").err == line
    assert batchq("run", "--queue", "default").err == line
    assert json.loads(batchq("run", "-q", "--json").out)["on_hold"] == [1]
    batchq("hold", "1")
    batchq("release", "1")
    batchq("hold", "1")
    assert batchq("run").err == "", "now a person holds it"


def test_a_callable_whose_worker_dies_is_put_on_hold_and_the_run_says_so(batchq: Shell) -> None:
    (batchq.folder / "mod.py").write_text("import os\ndef die():\n    os._exit(7)\n")
    batchq("add", "-q", "--call", "mod:die", "--on-crash", "hold")

    told = json.loads(batchq("run", "--json", code=1).out)
    assert (told["status"], told["held_by_batchq"], told["failed"]) == (1, [1], [])


def test_a_job_that_failed_here_and_succeeded_elsewhere_counts_as_it_ended(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "-c", "test -e mended")
    batchq("add", "-q", "-c", gate.wait)
    with batchq.start("run", "-j2", "--max-jobs", "2") as run:
        eventually(lambda: state(batchq, 1) == "failed" and running(batchq))
        (batchq.folder / "mended").touch()
        batchq("retry", "1")
        batchq("run")
        assert state(batchq, 1) == "succeeded"
        gate.open()
        done = finish(run)
    assert (done.code, done.err) == (0, "")


def test_if_running_takes_the_same_files_for_the_same_run(batchq: Shell, gate: Gate) -> None:
    a_file(batchq, {"command": gate.wait}, name="a.jsonl")
    a_file(batchq, {}, name="b.jsonl")
    (batchq.folder / "c.jsonl").symlink_to("a.jsonl")
    with batchq.start("run", "a.jsonl", "b.jsonl", "--if-running", "skip") as first:
        eventually(lambda: running(batchq))
        assert batchq("run", "b.jsonl", "./c.jsonl", "--if-running", "skip").err == ""
        assert "runs these jobs already" in batchq("run", "b.jsonl", "a.jsonl", "--if-running", "fail", code=75).err
        assert batchq.rows("SELECT count(*) FROM jobs") == [(2,)], "what is skipped is not added"
        batchq("run", "b.jsonl", "--if-running", "skip")
        assert batchq.rows("SELECT count(*) FROM jobs") == [(3,)]
        assert "stdin" in batchq("run", "-", "--if-running", "skip", stdin="true\n", code=2).err
        waiting = batchq.start("run", "a.jsonl", "b.jsonl", "--if-running", "wait")
        gate.open()
        assert (finish(first).code, finish(waiting).code) == (0, 0)
    assert batchq.rows("SELECT count(*) FROM jobs WHERE state = 'succeeded'") == [(5,)]


def test_a_run_that_is_too_narrow_for_a_job_does_not_stand_in_for_a_wider_one(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "-c", gate.wait)
    with batchq.start("run", "-j1") as narrow:
        eventually(lambda: running(batchq))
        batchq("run", "-j8", "--if-running", "fail", code=75)
        batchq("add", "-q", "--slots", "4", "--", "true")
        batchq("run", "-j2", "--if-running", "fail", code=75)
        batchq("run", "-j8", "--if-running", "skip")
        assert state(batchq, 2) == "succeeded"
        gate.open()
        assert finish(narrow).code == 0


def test_what_an_interrupted_run_of_the_same_file_left_open_is_told_and_never_run_by_itself(batchq: Shell) -> None:
    a_file(batchq, {"name": "pack", "command": "test -e quick || sleep 60"}, {"name": "upload", "after": ["pack"]})
    with batchq.start("run", "jobs.jsonl", "--grace", "0s") as first:
        eventually(lambda: running(batchq))
        send(first, signal.SIGTERM)
        assert finish(first).code == 143
    (batchq.folder / "quick").touch()
    line = (
        "batchq: jobs 1 (pack), 2 (upload) from an earlier add of the same files are still open; 'batchq run' runs what is"
        " queued, 'batchq cancel 1-2' cancels them\n"
    )

    for _ in range(2):
        assert batchq("run", "./jobs.jsonl").err == batchq.full(line)
        assert state(batchq, 1) == "queued"
    a_file(batchq, {}, name="other.jsonl")
    assert batchq("run", "other.jsonl").err == "", "that is another file"
    batchq("run")
    assert batchq("run", "jobs.jsonl").err == ""


def test_jobs_of_the_same_file_that_a_run_at_work_takes_are_not_left(batchq: Shell, gate: Gate) -> None:
    a_file(batchq, {"command": gate.wait}, {})
    with batchq.start("run", "-j1", "jobs.jsonl") as first:
        eventually(lambda: running(batchq))
        second = batchq.start("run", "-j1", "jobs.jsonl")
        eventually(lambda: running(batchq) and batchq.rows("SELECT count(*) FROM jobs") == [(4,)])
        gate.open()
        assert finish(second).err == ""
        assert finish(first).err == ""


@pytest.mark.parametrize("verb", ["wait", "list", "report", "logs", "cancel", "retry", "hold", "release"])
def test_every_command_that_selects_tells_a_name_that_the_store_has_never_seen(batchq: Shell, verb: str) -> None:
    batchq("add", "-q", "--queue", "net", "--batch", "night", "--", "true")

    assert "never seen the queue 'nte' (did you mean 'net'?)" in batchq(verb, "--queue", "nte").err
    assert "never seen the batch 'nihgt' (did you mean 'night'?)" in batchq(verb, "--batch", "nihgt").err
    assert "never seen" not in batchq("list", "--queue", "net", "--batch", "night").err


def test_to_pause_a_queue_with_a_slip_of_the_pen_is_told_but_not_one_that_is_yet_to_come(batchq: Shell) -> None:
    batchq("add", "-q", "--queue", "net", "--", "true")

    assert "never seen the queue 'nte' (did you mean 'net'?)" in batchq("queue", "pause", "nte").err
    assert batchq("queue", "pause", "printers").err == ""


def test_a_queue_or_a_batch_that_the_store_has_never_seen_is_told(batchq: Shell) -> None:
    batchq("add", "-q", "--queue", "net", "--batch", "night", "--", "true")

    assert (
        batchq("run", "--queue", "nett").err
        == "batchq: this store has never seen the queue 'nett' (did you mean 'net'?)\n"
    )
    assert "never seen the batch 'nihgt' (did you mean 'night'?)" in batchq("run", "--batch", "nihgt").err
    assert json.loads(batchq("run", "--json", "-q", "--queue", "nett").out)["never_seen"] == [{"queue": "nett"}]
    assert batchq("run", "--queue", "default").err == ""
    batchq("run")
    batchq("prune", "-q", "--older-than", "0s")
    assert batchq.rows("SELECT count(*) FROM jobs") == [(0,)]
    assert batchq("run", "--queue", "net").err == "", "all of its jobs were pruned, but it is known"
    assert batchq("run", "--batch", "night").err == ""


def test_a_job_too_wide_for_this_run_is_not_told_while_a_wider_run_is_at_work(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "--slots", "4", "-c", gate.wait)
    with batchq.start("run", "-j4") as wide:
        eventually(lambda: running(batchq))
        batchq("add", "-q", "--slots", "4", "--", "true")
        assert batchq("run", "-j1").err == ""
        gate.open()
        assert finish(wide).code == 0
    batchq("add", "-q", "--slots", "4", "--", "true")
    assert json.loads(batchq("run", "-j1", "--json", "-q").out)["too_wide"] == [3]
