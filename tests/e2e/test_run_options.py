"""``batchq run`` with what bounds it: FILE, --halt, --max-time, --if-running, --watch."""

import json
import os
import signal

import pytest
from conftest import Shell, eventually, finish, send
from gate import Gate

STATES = "SELECT id, state FROM jobs ORDER BY id"


def states(batchq: Shell) -> list[str]:
    return [str(state) for _, state in batchq.rows(STATES)]


def running(batchq: Shell) -> bool:
    return bool(batchq.rows("SELECT 1 FROM jobs WHERE state = 'running' AND started_at IS NOT NULL"))


def test_run_file_adds_its_jobs_runs_exactly_them_and_answers_for_them(batchq: Shell) -> None:
    batchq("add", "-q", "-c", "exit 9")
    (batchq.folder / "etl.toml").write_text(
        '[[job]]\nname = "a"\ncommand = "true"\n\n[[job]]\ncommand = "echo b"\nafter = ["a"]\n'
    )

    assert batchq("run", "etl.toml").err == ""
    assert states(batchq) == ["queued", "succeeded", "succeeded"]
    assert "job 4, attempt 1 of 1: exit code 3" in batchq("run", "-", stdin="exit 3\ntrue\n", code=1).err
    assert states(batchq) == ["queued", "succeeded", "succeeded", "failed", "succeeded"]


def test_the_digest_reports_what_was_cancelled_with_a_failed_job(batchq: Shell) -> None:
    lines = '{"name": "a", "command": "exit 1"}\n{"name": "b", "command": "true", "after": ["a"]}\n'
    more = '{"command": "true", "after": ["b"]}\n'

    batchq("add", "-q", "--format", "jsonl", "-", stdin=lines + more)
    done = batchq("run", code=1)
    assert (
        batchq.full(
            "\n2 jobs that depend on it were cancelled; the retry queues them again\n\nRun it again:  batchq retry 1\n"
        )
        in done.err
    )


def test_run_file_with_a_known_key_runs_what_waits_and_no_more(batchq: Shell) -> None:
    (batchq.folder / "j.jsonl").write_text('{"command": "true", "key": "k"}\n')
    batchq("add", "j.jsonl", "-q")

    batchq("run", "j.jsonl")
    assert states(batchq) == ["succeeded"]
    batchq("run", "j.jsonl")
    assert batchq.rows("SELECT attempt FROM jobs") == [(1,)]


def test_run_file_makes_a_store_and_a_wrong_file_makes_none(batchq: Shell) -> None:
    db = str(batchq.folder / "new.db")

    assert batchq("--db", db, "run", "-", stdin="").err == f"batchq: made the store {db}\n"
    other = str(batchq.folder / "other.db")
    (batchq.folder / "bad.toml").write_text("[[job]]\n")
    assert "bad.toml, job 1: needs a 'command'" in batchq("--db", other, "run", "bad.toml", code=65).err
    assert not (batchq.folder / "other.db").exists()
    assert "exclude each other" in batchq("run", "bad.toml", "--watch", code=2).err


@pytest.mark.parametrize(
    ("halt", "code", "expected"),
    [
        ("never", 1, ["failed", "succeeded", "failed", "succeeded", "succeeded", "succeeded"]),
        ("soon", 1, ["failed", *["queued"] * 5]),
        ("soon,fail=2", 1, ["failed", "succeeded", "failed", *["queued"] * 3]),
        ("now,fail=2", 1, ["failed", "succeeded", "failed", *["queued"] * 3]),
        ("soon,fail=60%", 1, ["failed", "succeeded", "failed", *["queued"] * 3]),
    ],
)
def test_halt_stops_at_so_many_failed_jobs_and_leaves_the_rest_queued(
    batchq: Shell, halt: str, code: int, expected: list[str]
) -> None:
    batchq("add", "-", "-q", stdin="false\ntrue\nfalse\ntrue\ntrue\ntrue\n")

    done = batchq("run", "-j1", "--halt", halt, code=code)

    assert states(batchq) == expected
    assert ("halted after" in done.err) == (halt != "never")


def test_halt_soon_lets_running_jobs_finish_and_halt_now_gives_them_back(batchq: Shell, gate: Gate) -> None:
    slow = gate.wait
    for halt, expected in (("soon", "succeeded"), ("now", "queued")):
        batchq("cancel", "--all")
        gate.close()
        batchq("add", "-", "-q", stdin=f"{slow}\nfalse\n")
        with batchq.start("run", "-j2", "--halt", halt) as run:
            eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE state = 'failed' ORDER BY id DESC LIMIT 1"))
            if halt == "soon":
                gate.open()
            assert finish(run).code == 1
        batchq("retry", "--failed")
        assert batchq.rows("SELECT state FROM jobs ORDER BY id DESC LIMIT 1 OFFSET 1") == [(expected,)]


def test_max_time_stops_in_order_with_exit_code_0_and_a_note(batchq: Shell) -> None:
    batchq("add", "-q", "-c", "sleep 60")

    assert batchq("run", "--max-time", "100ms", "--grace", "0s", "-v").err.endswith(
        "stopped at --max-time with work left\n"
    )
    assert batchq.rows("SELECT state, failures FROM jobs") == [("queued", 0)]
    batchq("cancel", "--all")
    assert "stopped at" not in batchq("run", "--max-time", "1ms", "-v").err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--halt", "later"), ("--halt", "now,fail=0"), ("--halt", "soon,fail=101%"), ("--halt", "soon,jobs=1"),
     ("--if-running", "maybe"), ("--if-running", "skip=3s"), ("--if-running", "wait=x"), ("--max-time", "soon")],
)  # fmt: skip
def test_a_word_that_means_nothing_is_a_wrong_usage(batchq: Shell, option: str, value: str) -> None:
    assert option in batchq("run", option, value, code=2).err


def test_if_running_looks_at_runs_of_the_same_jobs_only(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "--queue", "a", "-c", gate.wait)
    with batchq.start("run", "--queue", "a") as first:
        eventually(lambda: running(batchq))
        batchq("add", "-q", "--queue", "a", "--", "true")

        assert batchq("run", "--queue", "a", "--if-running", "skip").err == ""
        assert "runs these jobs already" in batchq("run", "--queue", "a", "--if-running", "fail", code=75).err
        assert "runs these jobs already" in batchq("run", "--queue", "a", "--if-running", "wait=50ms", code=75).err
        assert json.loads(batchq("run", "--queue", "b", "--if-running", "fail", "--json").out)["status"] == 0
        waiting = batchq.start("run", "-v", "--queue", "a", "--if-running", "wait")
        gate.open()
        assert finish(first).code == 0
        waited = finish(waiting)
    assert (waited.code, "nothing was started" in waited.err) == (0, False)
    assert states(batchq) == ["succeeded", "succeeded"]


def test_a_run_that_stops_does_not_count_as_running(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "-c", gate.wait)
    with batchq.start("run", "-j1", "--grace", "60s") as first:
        eventually(lambda: running(batchq))
        send(first, signal.SIGTERM)
        eventually(lambda: batchq.rows("SELECT 1 FROM runners WHERE state = 'stopping'"))
        batchq("add", "-q", "--", "true")

        batchq("run", "--if-running", "skip", "--max-jobs", "1")
        assert states(batchq) == ["running", "succeeded"]
        gate.open()
        assert finish(first).code == 143


def test_watch_stays_and_takes_what_is_added(batchq: Shell) -> None:
    with batchq.start("run", "--watch") as run:
        for number in range(3):
            batchq("add", "-q", "-c", "true" if number else "exit 4")
            eventually(lambda: not batchq.rows("SELECT 1 FROM jobs WHERE finished_at IS NULL"))
        batchq("add", "-q", "--delay", "50ms", "--", "true")
        eventually(lambda: not batchq.rows("SELECT 1 FROM jobs WHERE finished_at IS NULL"))
        send(run, signal.SIGTERM)
        done = finish(run)
    assert done.code == 143
    assert "exit code 4" in done.err


def test_a_run_waits_for_a_job_of_another_run_only_if_one_of_its_own_depends_on_it(batchq: Shell, gate: Gate) -> None:
    slow = gate.wait
    batchq("add", "-q", "--queue", "slow", "--name", "slow", "-c", slow)
    with batchq.start("run", "--queue", "slow") as first:
        eventually(lambda: running(batchq))
        assert batchq("run").code == 0, "nothing of this run depends on it"

        (batchq.folder / "after.jsonl").write_text('{"command": "true", "after": [1]}\n')
        batchq("add", "-q", "after.jsonl")
        second = batchq.start("run")
        eventually(lambda: len(batchq.rows("SELECT 1 FROM runners WHERE ended_at IS NULL")) == 2)
        gate.open()
        assert (finish(first).code, finish(second).code) == (0, 0)
    assert states(batchq) == ["succeeded", "succeeded"]


def test_a_selection_answers_for_what_others_ran_of_it(batchq: Shell, gate: Gate) -> None:
    batchq("add", "-q", "--batch", "b", "-c", f"{gate.wait}; exit 5")
    with batchq.start("run") as other:
        eventually(lambda: running(batchq))
        mine = batchq.start("run", "--batch", "b")
        eventually(lambda: len(batchq.rows("SELECT 1 FROM runners WHERE ended_at IS NULL")) == 2)
        gate.open()
        assert (finish(other).code, finish(mine).code) == (1, 1)


def test_a_job_of_several_slots_runs_alone_where_it_fills_them(batchq: Shell) -> None:
    log = batchq.folder / "log"
    lines = "".join(json.dumps({"command": f"echo + >>{log}; sleep 0.05; echo - >>{log}", "slots": slots}) + "\n"
                    for slots in (1, 2, 1, 2))  # fmt: skip
    batchq("add", "-q", "--format", "jsonl", "-", stdin=lines)

    batchq("run", "-j2")
    assert log.read_text().split() == ["+", "-"] * 4


def test_max_jobs_counts_jobs_and_not_their_slots(batchq: Shell) -> None:
    lines = '{"command": "true", "slots": 2}\n' * 3
    batchq("add", "-q", "--format", "jsonl", "-", stdin=lines)

    batchq("run", "-j4", "--max-jobs", "1")
    assert states(batchq) == ["succeeded", "queued", "queued"]


def test_more_slots_than_there_are_is_left_alone_with_a_note(batchq: Shell) -> None:
    batchq("add", "-q", "--format", "jsonl", "-", stdin='{"command": "true", "slots": 3}\n')

    assert "1 job with more slots than -j gives" in batchq("run", "-j2", "-v").err
    assert states(batchq) == ["queued"]


def test_run_file_tells_the_warnings_of_its_store(batchq: Shell) -> None:
    os.link(batchq.db(), batchq.folder / "copy")

    assert "batchq: warning: " in batchq("run", "-", stdin="true\n").err
    (batchq.folder / "copy").unlink()


@pytest.mark.parametrize("target", ["json", "json:", "broken:f", "json:nope"])
def test_a_handler_that_cannot_be_had_is_a_wrong_usage(batchq: Shell, target: str) -> None:
    (batchq.folder / "broken.py").write_text("def f(:\n")

    done = batchq("run", "--handler", target, code=2)
    assert "--handler" in done.err
    assert "Traceback" not in done.err
