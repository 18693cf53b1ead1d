"""Leftovers of a job whose first process has ended: some end by themselves, and those that cannot be killed are named."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import eventually
from scene import Scene, children_of, end, ended, is_gone, python, signal_one

from batchq.executors import leftovers
from batchq.executors.leftovers import Leftovers, LiveProcesses
from batchq.processes import proc
from batchq.processes.kept import Kept

pytest_plugins = ("scene",)

TAME = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"]  #: root without the right to signal others
AS_NOBODY = "setpriv --reuid 65534 --clear-groups"


def _can_be_tame() -> bool:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    with subprocess.Popen([*AS_NOBODY.split(), "sleep", "60"]) as other:
        eventually(lambda: Path(f"/proc/{other.pid}").stat().st_uid == 65534)
        refused = subprocess.run([*TAME, "kill", "-0", str(other.pid)], capture_output=True, check=False).returncode
        other.kill()
    return refused != 0


needs_another_user = pytest.mark.skipif(not _can_be_tame(), reason="needs root, and setpriv(1)")


LAUNCH = """
import sys
from batchq.executors import leftovers
assert {what}
{what} = 60.0
sys.argv = ["batchq", "run", "-j", "2", "-q"]
from batchq.__main__ import main
main()
"""


def with_time(scene: Scene, what: str) -> "subprocess.Popen[bytes]":
    """A run that gives leftovers a minute for something, not part of a second, which is short on a busy machine."""
    return scene.start_program(*python("-c", LAUNCH.format(what=what)))


def test_the_last_lines_of_a_script_that_speaks_through_tee_are_there(scene: Scene) -> None:
    (scene.folder / "night.sh").write_text('exec > >(tee -a "$1") 2>&1\necho begin\necho "SUMMARY $1"\n')
    scene.add(*[{"command": ["bash", "night.sh", f"log{n}"]} for n in range(40)])
    assert ended(with_time(scene, "leftovers.MOMENT")) == 0

    assert [(scene.folder / f"log{n}").read_text() for n in range(40)] == [
        f"begin\nSUMMARY log{n}\n" for n in range(40)
    ]
    assert [scene.output(n + 1).decode() for n in range(40)] == [f"begin\nSUMMARY log{n}\n" for n in range(40)]
    assert scene.attempts("leftovers") == [(0,)] * 40


def test_leftovers_that_do_not_end_by_themselves_get_term_and_may_clean_up(scene: Scene) -> None:
    tidy = "(trap 'echo away; : > away; exit' TERM; : > ready; while :; do sleep 0.01; done)"
    scene.add({"command": f"{tidy} & until [ -e ready ]; do sleep 0.01; done; echo started"})
    assert ended(with_time(scene, "leftovers.TERM_TO_KILL")) == 0

    assert (scene.folder / "away").exists()
    assert scene.output() == b"started\naway\n"
    assert scene.attempts("outcome, leftovers > 0") == [("succeeded", 1)]


def test_a_job_that_leaves_something_keeps_no_other_job_waiting(scene: Scene) -> None:
    scene.add(
        {
            "command": "(trap '' TERM; while :; do sleep 0.01; date +%s%N >> alive; done) & until [ -e alive ]; do :; done"
        },
        *[{"command": "date +%s%N > $BATCHQ_JOB_ID"}] * 5,
    )
    scene.run("-j", "2")

    alive = int((scene.folder / "alive").read_text().rpartition("\n")[0].split()[-1])
    assert scene.attempts() == [("succeeded",)] * 6
    assert all(int((scene.folder / f"{n}").read_text()) < alive for n in range(2, 7))  # they ran next to its leftovers


@pytest.mark.parametrize("answer", ["SIG_DFL", "SIG_IGN"])
def test_a_run_that_was_held_up_signals_what_it_finds_and_does_not_give_it_up(
    monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """A run is stopped, or gets no processor, while the leftovers of a job have their time: they die late, but die."""
    now, ended_one, swept = [0.0], 1 << 30, Leftovers(Kept())
    monkeypatch.setattr(leftovers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    code = f"import signal, time; signal.signal(signal.SIGTERM, signal.{answer}); print(flush=True); time.sleep(600)"
    with subprocess.Popen(python("-c", code), stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        left.stdout.readline()
        live = LiveProcesses(set(proc.own_children()) - {left.pid}, (), is_busy=False)
        try:
            for _ in range(2 if answer == "SIG_DFL" else 3):
                assert swept.sweep({ended_one: "token"}, live) == {ended_one}
                now[0] += 100.0
            eventually(lambda: proc.is_zombie(left.pid))
            assert swept.sweep({ended_one: "token"}, live) == set()
        finally:
            signal_one(left.pid, signal.SIGKILL)

    assert (swept.summary(ended_one), swept.unkillable) == ((1, []), set())


HELD_UP = """
import subprocess, sys, time
from types import SimpleNamespace
from batchq.processes.worker import children
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
left = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
left.stdout.readline()
now = 0.0
def later():
    global now
    now += 100.0 if now < 300 else 0.001  # until it has sent KILL
    return now
children.time = SimpleNamespace(monotonic=later, sleep=time.sleep)
print(*children.Children().end_left(), left.poll())
left.kill()
"""


def test_a_worker_that_was_held_up_ends_what_its_callable_left() -> None:
    found = subprocess.run(python("-c", HELD_UP), capture_output=True, text=True, timeout=60, check=True)

    assert found.stdout == "1 True 0\n"  # 0: it has been reaped


def test_a_second_signal_gives_leftovers_no_more_time(scene: Scene) -> None:
    scene.add({"command": "(trap '' TERM; while :; do sleep 0.01; done) & : > begun"})
    run = scene.start("--grace", "1h")
    eventually(scene.begun.exists)
    run.send_signal(signal.SIGQUIT)

    assert ended(run) == 131
    assert scene.survivors() == []
    assert scene.attempts() in ([("succeeded",)], [("interrupted",)])


@needs_another_user
@pytest.mark.parametrize("how", ["timeout", "failure", "stop"])
def test_a_process_that_the_run_may_not_kill_is_named_and_no_other_attempt_begins_next_to_it(
    scene: Scene, how: str
) -> None:
    work = f"{AS_NOBODY} sh -c 'trap \"\" TERM; echo $$; exec sleep 600' >> pids"
    ends = {"timeout": f"{work}; true", "failure": f"{work} & until [ -s pids ]; do sleep 0.01; done; exit 3"}
    scene.add(
        {"command": ends.get(how, ends["timeout"]), "max_attempts": 3, "backoff": "1ms"}
        | ({"timeout": "2s", "retry_timeout_factor": 5} if how == "timeout" else {})
    )
    words = [os.fsdecode(word) for word in scene.shell.argv("run", "--grace", "200ms")]
    run = scene.start_program(*TAME, *words)
    eventually(lambda: scene.pids.exists() and scene.pids.read_text().strip())
    if how == "stop":
        run.send_signal(signal.SIGTERM)
    began = time.monotonic()

    assert ended(run) == (143 if how == "stop" else 1)
    assert time.monotonic() - began < 30  # and not the minute for a process in a system call
    (pid,) = map(int, scene.pids.read_text().split())
    assert not is_gone(pid)
    assert re.search(rf"process {pid} \((sh|sleep)\) belongs to nobody: this run may not kill it", scene.said())
    *before, last = scene.attempts("error_type")
    assert last == ("Unkillable",)
    assert set(before) <= {("TimedOut",)}, "those in which it had not become another's yet"
    assert scene.jobs("state, why") == [("failed", "a process of it is still alive")]
    end(pid)
    eventually(lambda: is_gone(pid))


@needs_another_user
def test_a_job_that_succeeded_and_left_what_the_run_may_not_end_has_succeeded(scene: Scene) -> None:
    left = f"{AS_NOBODY} sh -c 'echo $$; exec sleep 600' >> pids"
    scene.add({"command": f"{left} & until [ -s pids ]; do sleep 0.01; done"})
    words = [os.fsdecode(word) for word in scene.shell.argv("run")]

    assert ended(scene.start_program(*TAME, *words)) == 0
    assert scene.jobs() == [("succeeded",)]
    assert "belongs to nobody" in scene.said()
    (pid,) = map(int, scene.pids.read_text().split())
    end(pid)
    eventually(lambda: is_gone(pid))


@pytest.mark.parametrize("service", ["./rest &", "setsid ./rest &", "env -i ./rest &", "env -i setsid ./rest &"])
@pytest.mark.parametrize("beside", ["alone", "another job"])
@pytest.mark.parametrize("how", ["in order", "the runner is killed"])
def test_a_service_that_is_to_stay_stays_though_it_hides_whose_it_is(
    scene: Scene, service: str, beside: str, how: str
) -> None:
    rest = f"{service} until [ -s pids ]; do sleep 0.01; done"
    scene.add({"command": rest.replace("./rest", str(scene.rest)), "leftovers": "keep"})
    if beside == "another job" or how != "in order":
        scene.add({"command": ": > begun; until [ -e go ]; do sleep 0.01; done"}, {"command": "true"})
    run = scene.start("-j", "2")
    eventually(lambda: ("succeeded",) in scene.jobs()[:1])
    (pid,) = map(int, scene.pids.read_text().split())
    if how == "in order":
        (scene.folder / "go").touch()
        assert ended(run) == 0
    else:
        eventually(scene.begun.exists)
        (runner,) = children_of(run.pid)
        signal_one(runner, signal.SIGKILL)
        assert ended(run) == 137

    assert not is_gone(pid)
    end(pid)
    eventually(lambda: is_gone(pid))
