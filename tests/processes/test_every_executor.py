"""The contract of the executor seam: what every executor does with a claim."""

import json
import time

import pytest
from conftest import eventually
from desk import SLOTS, Desk
from gate import Gate
from scene import is_gone, is_stopped

from batchq.executors.seam import Executor, Lost, Started
from batchq.jobs.attempt import CRASHED, FAILED, INTERRUPTED, SUCCEEDED, TIMED_OUT, Ended, Printed

pytest_plugins = ("desk",)


def test_success_has_its_output_times_and_result(desk: Desk) -> None:
    command, function = desk.outcomes(
        desk.shell("echo out; echo err >&2; echo '{\"a\": 1}' > $BATCHQ_RESULT_FILE"), desk.call("os.path:join", a="b")
    )

    assert (command.status, command.exit_code, command.signal, command.failure) == (SUCCEEDED, 0, None, None)
    assert command.result == '{"a":1}'
    assert command.stdout is not None
    assert command.stderr is not None
    assert (command.stdout.head, command.stderr.head) == (b"out\n", b"err\n")
    assert command.started_at is not None
    assert command.finished_at is not None
    assert command.started_at <= command.finished_at
    assert command.seconds >= 0
    assert function.status == SUCCEEDED
    assert function.result == '"b"'


def test_an_exit_code_and_a_signal_are_told_apart(desk: Desk) -> None:
    code, number = desk.outcomes(desk.shell("exit 7"), desk.shell("kill -9 $$"))

    assert (code.status, code.exit_code, code.signal) == (FAILED, 7, None)
    assert (number.status, number.exit_code, number.signal) == (FAILED, None, 9)


def test_an_exception_has_type_message_and_traceback(desk: Desk) -> None:
    (desk.folder / "boom.py").write_text("def f():\n    raise KeyError('x')\n")
    (outcome,) = desk.outcomes(desk.call("boom:f"))

    assert outcome.status == FAILED
    assert outcome.failure is not None
    assert (outcome.failure.type, outcome.failure.message) == ("KeyError", "'x'")
    assert "boom.py" in outcome.failure.traceback


def test_a_timeout_is_imposed_on_commands_and_callables(desk: Desk) -> None:
    stubborn = desk.shell("trap '' TERM; while :; do sleep 0.01; done", timeout=200)
    nap = desk.call("time:monotonic")._replace(
        work=json.dumps({"call": "subprocess:run", "args": {"args": ["sleep", "60"]}}), timeout=200
    )
    for outcome in desk.outcomes(stubborn, nap):
        assert outcome.status == TIMED_OUT
        assert outcome.failure is not None
        assert outcome.failure.type == "TimedOut"
        assert outcome.seconds >= 0.2


def test_what_cannot_be_started_ends_as_failed_with_its_kind(desk: Desk) -> None:
    missing, folder, module = desk.outcomes(
        desk.claim("argv", ["no-such-program"]),
        desk.shell("true")._replace(cwd="/no/such/folder"),
        desk.call("nowhere:f"),
    )

    for outcome, kind in ((missing, "NoSuchProgram"), (folder, "NoSuchFolder"), (module, "ModuleNotFoundError")):
        assert outcome.status == FAILED
        assert outcome.failure is not None
        assert outcome.failure.type == kind


def test_big_output_is_bounded_and_counted(desk: Desk) -> None:
    (outcome,) = desk.outcomes(desk.shell("head -c 20000000 /dev/zero"))

    assert outcome.stdout is not None
    assert outcome.stdout.total == 20_000_000
    assert len(outcome.stdout.head) == len(outcome.stdout.tail) == 64 * 1024


def test_a_crash_of_the_worker_is_a_crash_of_its_own_job_alone(desk: Desk) -> None:
    crashed, well = desk.outcomes(desk.call("os:_exit", status=3), desk.call("os:getpid"))

    assert (crashed.status, crashed.exit_code) == (CRASHED, 3)
    assert well.status == SUCCEEDED


@pytest.mark.parametrize("grace", [0.0, 5.0])
def test_what_is_stopped_ends_with_the_given_status(desk: Desk, grace: float) -> None:
    claims = [
        desk.shell("echo up > up.1; sleep 60"),
        desk.call("subprocess:run", args=["sh", "-c", "echo up > up.2; sleep 60"]),
    ]
    desk.executor.start(claims)
    desk.wait(lambda: all((desk.folder / f"up.{number}").exists() for number in (1, 2)))
    desk.executor.stop([claim.token for claim in claims], INTERRUPTED, grace)

    assert [outcome.status for outcome in desk.ends(claims)] == [INTERRUPTED] * 2


def test_claims_that_never_began_are_returned_as_lost_and_not_started(desk: Desk) -> None:
    running = [desk.shell(f"touch runs.{number}; sleep 60") for number in range(SLOTS)]
    waiting = [desk.shell(f"touch ran.{number}", ahead=True) for number in range(3)]
    desk.executor.start([*running, *waiting])
    desk.wait(lambda: len(list(desk.folder.glob("runs.*"))) == SLOTS)
    desk.executor.stop([claim.token for claim in waiting], INTERRUPTED, 0)
    desk.wait(lambda: sum(isinstance(report, Lost) for report in desk.reports) == 3)
    desk.executor.stop([claim.token for claim in running], INTERRUPTED, 0)
    desk.ends(running)

    lost = [report for report in desk.reports if isinstance(report, Lost)]
    assert sorted(report.claim.id for report in lost) == [claim.id for claim in waiting]
    assert not any(report.started for report in lost)
    assert not list(desk.folder.glob("ran.*"))


def test_a_claim_ahead_says_when_it_starts_and_before_it_ends(desk: Desk) -> None:
    claims = [desk.shell("true", ahead=True) for _ in range(5)] + [desk.call("os:getpid") for _ in range(5)]
    desk.outcomes(*claims)

    for claim in claims[:5]:
        kinds = [type(report) for report in desk.reports if getattr(report, "claim", claim).token == claim.token]
        assert [kind for kind in kinds if kind is not Printed] == [Started, Ended]


def test_what_a_running_job_prints_is_reported_before_it_ends(desk: Desk) -> None:
    claim = desk.shell("echo early; until [ -e go ]; do sleep 0.01; done")
    desk.executor.start([claim])
    desk.wait(lambda: any(isinstance(report, Printed) for report in desk.reports))
    (desk.folder / "go").touch()
    (outcome,) = desk.ends([claim])

    (printed,) = [report for report in desk.reports if isinstance(report, Printed)]
    assert printed.stdout is not None
    assert printed.stdout.head == b"early\n"
    assert outcome.stdout is not None
    assert outcome.stdout.total == 6


def test_as_many_run_at_once_as_there_are_slots_and_no_more(desk: Desk) -> None:
    meet = "touch here.$BATCHQ_JOB_ID; until [ $(ls here.* | wc -l) -ge 2 ]; do sleep 0.01; done"
    claims = [desk.shell(meet) for _ in range(SLOTS)]
    assert desk.executor.free() == SLOTS
    desk.executor.start(claims)
    assert desk.executor.free() == 0

    assert [outcome.status for outcome in desk.ends(claims)] == [SUCCEEDED] * SLOTS
    desk.wait(lambda: desk.executor.free() == SLOTS)


def test_commands_and_callables_share_the_slots(desk: Desk) -> None:
    # Each takes one of the places for a moment, and fails if more of them run than there are slots.
    (desk.folder / "place.py").write_text(
        "import os, time\n"
        "def take(number, slots):\n"
        "    os.mkdir(f'taken.{number}')\n"
        "    time.sleep(0.02)\n"
        "    taken = sum(name.startswith('taken.') for name in os.listdir('.'))\n"
        "    os.rmdir(f'taken.{number}')\n"
        "    assert taken <= slots, taken\n"
    )
    script = "mkdir taken.$1; sleep 0.02; n=$(ls -d taken.* | wc -l); rmdir taken.$1; [ $n -le $2 ]"
    claims = [
        desk.call("place:take", number=number, slots=SLOTS)
        if number % 2
        else desk.claim("shell", [script, str(number), str(SLOTS)])
        for number in range(40)
    ]

    assert {outcome.status for outcome in desk.outcomes(*claims)} == {SUCCEEDED}


def test_suspended_jobs_stand_still_until_they_are_resumed(desk: Desk) -> None:
    gate = Gate(desk.folder / "gate")  # not a loop: a shell whose child is stopped before it has become sleep is not
    claim = desk.shell(f"echo $$ > pid; {gate.wait}")  # stopped itself (vfork)
    desk.executor.start([claim])
    desk.wait(lambda: (desk.folder / "pid").exists() and (desk.folder / "pid").read_text())
    desk.executor.suspend()
    eventually(lambda: is_stopped(int((desk.folder / "pid").read_text())))  # orders to an engine take a moment
    gate.open()
    before = len(desk.reports)
    for _ in range(3):
        desk.reports += desk.executor.poll(0.05)
    assert not [report for report in desk.reports[before:] if isinstance(report, Ended)]
    desk.executor.resume()

    assert [outcome.status for outcome in desk.ends([claim])] == [SUCCEEDED]
    gate.close()


def test_after_close_nothing_runs(executor: Executor, desk: Desk) -> None:
    claim = desk.shell("setsid sleep 60 & echo $! > left; sleep 60")
    desk.executor.start([claim])
    desk.wait(lambda: (desk.folder / "left").exists() and (desk.folder / "left").read_text().strip())
    left = int((desk.folder / "left").read_text())
    desk.executor.stop([claim.token], INTERRUPTED, 0)
    desk.ends([claim])

    eventually(lambda: is_gone(left))


@pytest.mark.parametrize("kind", ["command", "callable"])
def test_the_end_of_a_job_that_may_start_only_once_is_reported_at_once(desk: Desk, kind: str) -> None:
    """Otherwise a kill before that would hold a job that has succeeded. The ends of others are reported together."""
    one = desk.call("os:getpid") if kind == "callable" else desk.shell("true")
    once = one._replace(on_crash="hold")
    endless = [desk.shell("sleep 60") for _ in range(3)]
    desk.executor.start([once, *endless])

    began = time.monotonic()
    while once.token not in dict(desk._ended()):
        assert time.monotonic() - began < 30
        desk.reports += desk.executor.poll(30, gather=60)
    desk.executor.stop([claim.token for claim in endless], INTERRUPTED, 0)


def test_the_order_in_which_both_streams_were_printed_is_reported(desk: Desk) -> None:
    script = (
        "echo a; until [ -e go.1 ]; do sleep 0.01; done; echo B >&2; until [ -e go.2 ]; do sleep 0.01; done; echo c"
    )
    claim = desk.shell(script)
    desk.executor.start([claim])
    for number in (1, 2):
        desk.wait(lambda: any(isinstance(report, Printed) for report in desk.reports))
        (printed,) = [report for report in desk.reports if isinstance(report, Printed)]
        assert printed.turns == (None if number == 1 else "[2,2]")
        desk.reports.clear()
        (desk.folder / f"go.{number}").touch()
    (outcome,) = desk.ends([claim])

    assert outcome.turns == "[2,2,2]"


@pytest.mark.parametrize("kind", ["command", "callable"])
def test_merged_output_and_the_bytes_to_keep_are_those_of_the_claim(desk: Desk, kind: str) -> None:
    (desk.folder / "mine.py").write_text("import os\ndef f():\n    for fd in (1, 2, 1): os.write(fd, b'%d' % fd * 9)\n")
    claim = (
        desk.call("mine:f") if kind == "callable" else desk.shell("printf 111111111; printf 222222222 >&2; printf 1")
    )
    merged, short = desk.outcomes(claim._replace(output="merged"), claim._replace(token="short", keep_output=5))

    assert merged.stderr is None
    assert merged.turns is None
    assert merged.stdout is not None
    assert merged.stdout.head.startswith(b"1" * 9 + b"2" * 9 + b"1")
    assert short.stderr is not None
    assert (short.stderr.head, short.stderr.tail, short.stderr.total) == (b"22", b"222", 9)
