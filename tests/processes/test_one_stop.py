"""One stop that arrives in several ways: to the whole group, from a terminal, to a run that had its signals blocked."""

import os
import random
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import eventually
from scene import Scene, children_of, ended, is_stopped, python, signal_one

from batchq.processes import proc
from batchq.store.file.locks import LockFile

pytest_plugins = ("scene",)

UP = "touch up-$BATCHQ_JOB_ID; "
HANDLER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: {})
open("up-" + os.environ["BATCHQ_JOB_ID"], "w").close()
while not os.path.exists("go"): time.sleep(0.01)
"""


def program(answer: str = "None") -> dict[str, object]:
    """A job that answers SIGTERM in its own way."""
    return {"command": python("-c", HANDLER.format(answer))}


def to_all(run: "subprocess.Popen[bytes]", number: int, order: str) -> float:
    """Signal a run and everything that it has started, as a service manager does. Return how long that took, in seconds.

    Everything is stopped before the first is signalled, and continues in this order after the last was: so none acts before
    all have their signal, however long this process is held up. With ``jobs first`` they are only signalled.
    """
    began = time.monotonic()
    everything = [run.pid, *proc.descendants(run.pid)]
    if order != "run first":
        everything.reverse()
    for one in (number,) if order == "jobs first" else (signal.SIGSTOP, number, signal.SIGCONT):
        for pid in everything:
            signal_one(pid, one)
    return time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("order", ["jobs first", "run first", "at once"])
def test_a_job_that_dies_of_the_signal_that_stops_the_run_is_requeued(
    scene: Scene, order: str, number: signal.Signals
) -> None:
    (scene.folder / "mine.py").write_text(
        "import os, time\ndef wait():\n    open('up-' + os.environ['BATCHQ_JOB_ID'], 'w').close()\n    time.sleep(600)\n"
    )
    # A script that is not signalled itself continues; if the jobs are signalled first, that is a matter of microseconds.
    script = "sleep 600; exit $?" if order == "jobs first" else "sleep 600; echo done"
    jobs = (
        {"command": UP + "exec sleep 600"},
        {"command": UP + script},
        {"command": UP + "sleep 600 & wait $!; exit $?"},
        {"call": "mine:wait"},
    )
    is_late = True
    while is_late:  # the machine was busy: the run was signalled too long after its first job
        scene.shell("cancel", "--all")
        for file in scene.folder.glob("up-*"):
            file.unlink()
        scene.add(*jobs)
        run = scene.start("-j", "4", "--grace", "10s")
        eventually(lambda: len(list(scene.folder.glob("up-*"))) == 4)
        is_late = to_all(run, number, order) > 0.01 and order == "jobs first"
        assert ended(run) == 128 + number

    assert scene.jobs("state, failures, crashes, interruptions")[-4:] == [("queued", 0, 0, 1)] * 4


def strike(scene: Scene) -> float:
    """End the command of a job, which then goes on to its end, and stop the run; the seconds from that end to that stop."""
    scene.add({"command": "touch up; sleep 600; echo done"}, {"command": "exec sleep 600"})
    run = scene.start("-j", "2", "--grace", "10s")
    eventually((scene.folder / "up").exists)
    (runner,) = children_of(run.pid)
    time.sleep(0.5)  # its age: the end of an attempt that long waits for 20 ms
    eventually(lambda: any(map(children_of, children_of(runner))))
    ((shell, command),) = [(pid, *children_of(pid)) for pid in children_of(runner) if children_of(pid)]
    signal_one(command, signal.SIGTERM)
    there = time.monotonic()
    while Path(f"/proc/{shell}").exists():
        there = time.monotonic()
    for pid in (runner, run.pid):
        signal_one(pid, signal.SIGTERM)
    gap = time.monotonic() - there
    assert ended(run) == 143
    return gap


def test_a_script_that_continues_without_the_command_that_the_stop_killed_is_requeued(scene: Scene) -> None:
    while strike(scene) > 0.01:  # the machine was busy, and that end too old to be in doubt
        scene.shell("cancel", "--all")
        (scene.folder / "up").unlink()

    assert scene.jobs("state, interruptions")[-2:] == [("queued", 1), ("queued", 1)]


def test_a_job_that_finished_before_a_stop_of_everything_does_not_run_again(scene: Scene) -> None:
    scene.add({"command": "sleep 0.5"}, {"command": UP + "exec sleep 600"})
    run = scene.start("-j", "2")
    eventually(lambda: scene.jobs() == [("succeeded",), ("running",)])
    to_all(run, signal.SIGTERM, "jobs first")

    assert ended(run) == 143
    assert scene.jobs("state, interruptions") == [("succeeded", 0), ("queued", 1)]


def test_a_halted_run_starts_nothing_while_it_is_not_known_how_a_job_ended(scene: Scene) -> None:
    scene.add({"command": "sleep 0.5; exit 1"}, {"command": "touch second"})
    scene.run("-j", "1", "--halt", "soon", code=1)

    assert scene.jobs() == [("failed",), ("queued",)]


#: A run whose guardian is held up whenever it forwards a signal.
LATE = """
import signal, sys, time
from batchq.processes import tree
kill = tree.kill
def late(pid, number):
    if number > signal.SIGRTMIN:
        time.sleep(1)
    kill(pid, number)
tree.kill = late
sys.argv = ["batchq", "run", "--grace", "60s"]
from batchq.__main__ import main
main()
"""


@pytest.mark.parametrize("pair", [(signal.SIGTERM, signal.SIGHUP), (signal.SIGHUP, signal.SIGTERM)])
@pytest.mark.parametrize("target", ["guardian", "both"])
@pytest.mark.parametrize("way", ["in time", "late"])
def test_term_and_hup_of_one_logout_leave_a_job_its_grace(
    scene: Scene, pair: tuple[signal.Signals, signal.Signals], target: str, way: str
) -> None:
    scene.add({"command": UP + "until [ -e go ]; do sleep 0.01; done"})
    run = scene.start_program(*python("-c", LATE)) if way == "late" else scene.start("--grace", "60s")
    eventually((scene.folder / "up-1").exists)
    (runner,) = children_of(run.pid)
    targets = (run.pid, runner) if target == "both" else (run.pid,)
    for number in (signal.SIGSTOP, *pair, signal.SIGCONT):  # so that both come at once, as they do in a logout
        for pid in targets:
            signal_one(pid, number)
    eventually(lambda: scene.rows("SELECT 1 FROM runners WHERE state != 'running'"))
    signal_one(run.pid, signal.SIGUSR1)
    eventually(lambda: "jobs done" in scene.said())
    (scene.folder / "go").touch()

    assert ended(run) in (128 + signal.SIGTERM, 128 + signal.SIGHUP)
    assert len(scene.attempts()) == 1
    assert target == "both" or scene.jobs() == [("succeeded",)]


@pytest.mark.parametrize("answer", ["sys.exit(0)", "sys.exit(1)", "(time.sleep(0.5), sys.exit(0))", "os._exit(143)"])
def test_a_job_that_handles_a_stop_of_everything_is_requeued_however_it_ends(scene: Scene, answer: str) -> None:
    # Even with exit code 0: nobody can tell whether half of its work was done, and the jobs after it must not start.
    scene.add({"name": "first", **program(answer)}, {"command": "touch second", "after": ["first"]})
    run = scene.start("--grace", "10s")
    eventually((scene.folder / "up-1").exists)
    to_all(run, signal.SIGTERM, "run first")

    assert ended(run) == 143
    assert scene.jobs() == [("queued",), ("blocked",)]


WAITER = """
import os, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
open("up-" + os.environ["BATCHQ_JOB_ID"], "w").close()
signal.sigwait([signal.SIGTERM])
time.sleep(1)
"""


def test_a_job_counts_as_interrupted_however_it_answers_a_stop_that_went_to_all(scene: Scene) -> None:
    """Its first process waits for signals instead of handling them, or ignores them and something below has a handler."""
    below = shlex.join(python("-c", HANDLER.format("(time.sleep(1), sys.exit(0))")))
    scene.add({"command": python("-c", WAITER)}, {"command": f"trap '' TERM; {below}; sleep 1; echo done"})
    run = scene.start("-j", "2", "--grace", "30s")
    eventually(lambda: len(list(scene.folder.glob("up-*"))) == 2)
    to_all(run, signal.SIGTERM, "run first")

    assert ended(run) == 143
    assert scene.jobs("state, interruptions") == [("queued", 1)] * 2


def test_a_job_that_ends_with_success_in_the_grace_of_a_stop_of_the_run_alone_has_succeeded(scene: Scene) -> None:
    scene.add(program())
    run = scene.start("--grace", "60s")
    eventually((scene.folder / "up-1").exists)
    signal_one(run.pid, signal.SIGTERM)
    eventually(lambda: scene.rows("SELECT state FROM runners") == [("stopping",)])
    (scene.folder / "go").touch()

    assert ended(run) == 143
    assert scene.jobs() == [("succeeded",)]


def test_a_job_that_is_killed_without_a_stop_of_the_run_has_failed(scene: Scene) -> None:
    scene.add({"command": "kill -TERM $$"}, {"command": "exit 143"}, {"command": "true"})
    scene.run("-j", "1", code=1)

    assert scene.attempts("outcome, signal, exit_code") == [
        ("failed", signal.SIGTERM, None), ("failed", None, 143), ("succeeded", None, 0)
    ]  # fmt: skip


@pytest.mark.parametrize("way", ["in time", "late"])
def test_a_job_that_cleans_up_has_its_grace_though_the_stop_comes_twice(scene: Scene, way: str) -> None:
    scene.add(program("(time.sleep(2), open('cleaned', 'w'), sys.exit(143))"))
    run = scene.start_program(*python("-c", LATE)) if way == "late" else scene.start("--grace", "60s")
    eventually((scene.folder / "up-1").exists)
    to_all(run, signal.SIGTERM, "run first")

    assert ended(run) == 143
    assert (scene.folder / "cleaned").exists()
    assert scene.attempts() == [("interrupted",)]


def test_an_interrupted_run_dies_of_the_interrupt_so_that_the_loop_around_it_ends(scene: Scene) -> None:
    scene.add({"command": UP + "sleep 600"})
    words = [os.fsdecode(word) for word in scene.shell.argv("run", "--grace", "0s")]
    loop = scene.start_program("bash", "-c", 'for i in 1 2 3; do "$@"; echo "round $?"; done', "bash", *words)
    eventually((scene.folder / "up-1").exists)
    os.killpg(loop.pid, signal.SIGINT)

    assert loop.wait(60) == -signal.SIGINT
    assert "round" not in scene.said()
    assert scene.jobs() == [("queued",)]


def test_a_command_that_waits_dies_of_the_interrupt_too(scene: Scene) -> None:
    scene.add({"command": "true"})
    words = [os.fsdecode(word) for word in scene.shell.argv("wait", "1")]
    waiting = scene.start_program(*words)
    eventually(lambda: "no run at work" in scene.said())
    waiting.send_signal(signal.SIGINT)

    assert waiting.wait(60) == -signal.SIGINT
    assert "Traceback" not in scene.said()


def blocking(numbers: str) -> list[str]:
    """The start of a command line whose program begins with these signals blocked."""
    return python("-c", f"import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {numbers});"
                        " os.execv(sys.argv[1], sys.argv[1:])")  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_run_receives_signals_that_were_blocked_when_it_was_started(scene: Scene, number: signal.Signals) -> None:
    scene.add({"command": UP + "exec sleep 600"})
    words = map(os.fsdecode, scene.shell.argv("run", "--grace", "0s"))
    run = scene.start_program(*blocking("signal.valid_signals()"), *words)
    eventually((scene.folder / "up-1").exists)
    run.send_signal(number)

    assert ended(run) == 128 + number
    assert scene.jobs() == [("queued",)]


def test_a_run_hears_of_the_ends_of_its_jobs_where_sigchld_was_blocked(scene: Scene) -> None:
    # Not at once: while a process is started its parent blocks all signals, and this job may be faster.
    unblocked = "until grep -q '^SigBlk:\t0*$' /proc/$PPID/status; do sleep 0.01; done"
    scene.add({"command": unblocked, "timeout": "60s", "max_attempts": 1})
    run = scene.start_program(*blocking("[signal.SIGCHLD]"), *map(os.fsdecode, scene.shell.argv("run")))

    assert ended(run, 120) == 0


def test_a_wait_for_the_store_ends_where_sigalrm_was_blocked(scene: Scene) -> None:
    mutex = LockFile(str(scene.shell.db()))
    mutex.acquire_mutex(10)
    wait = "import sys; from batchq.store.file.locks import LockFile; LockFile(sys.argv[1]).acquire_mutex(0.2)"
    try:
        waiting = scene.start_program(*blocking("[signal.SIGALRM]"), *python("-c", wait, str(scene.shell.db())))
        assert ended(waiting) == 1
        assert "BusyError" in scene.said()
    finally:
        mutex.close()


def test_a_stop_that_is_followed_by_a_continue_at_once_leaves_nothing_stopped(scene: Scene) -> None:
    scene.add({"command": UP + "exec sleep 600"})
    run = scene.start("--grace", "0s")
    eventually((scene.folder / "up-1").exists)
    (runner,) = children_of(run.pid)
    (job,) = children_of(runner)
    chance = random.Random(20)
    for _ in range(150):
        until = time.perf_counter() + chance.random() * 0.0002
        run.send_signal(signal.SIGTSTP)
        while time.perf_counter() < until:
            pass
        run.send_signal(signal.SIGCONT)
        time.sleep(chance.random() * 0.003)
    eventually(lambda: not any(map(is_stopped, (run.pid, runner, job))))
    run.send_signal(signal.SIGTSTP)
    eventually(lambda: all(map(is_stopped, (run.pid, runner, job))))
    run.send_signal(signal.SIGCONT)
    run.send_signal(signal.SIGTERM)

    assert ended(run) == 143
    assert not Path(f"/proc/{job}").exists()
