"""Broken variants of batchq that leave processes behind, each of which S8 must notice: a suite that finds no planted fault
may be blind to real ones."""

import signal
import subprocess

import pytest
import shapes
from conftest import eventually
from scene import Scene, end, ended, is_gone, python
from shapes import STAY

pytest_plugins = ("scene",)

VARIANTS = {
    "nothing is swept": """
from batchq.executors.leftovers import Leftovers
assert callable(Leftovers.sweep) and callable(tree.end_descendants)
Leftovers.sweep = lambda *_: set()
tree.end_descendants = lambda *_: []
""",
    "no sweep at the end of a job": """
from batchq.executors.leftovers import Leftovers
assert callable(Leftovers.sweep)
Leftovers.sweep = lambda *_: set()
""",
    "a worker that ends no children": """
from batchq.processes import resident
from batchq.processes.worker import children
assert callable(children.Children.end_left) and resident.START.endswith("sys.path[:] = before; main()")
resident.START = resident.START.replace(
    "before; main()", "before; from batchq.processes.worker.children import Children;"
    " Children.end_left = Children.end_all = lambda self: (0, False); main()")
""",
    "a guardian that ends nothing": """
from batchq.processes import guardian
assert "end_descendants" in guardian.guarded.__code__.co_names
tree.end_descendants = lambda *_: []
""",
    "no subreaper": """
assert callable(tree.become_subreaper)
tree.become_subreaper = lambda: None
""",
    "a timeout that ends the first process alone": """
import os
assert callable(tree.kill_group) and callable(proc.descendants)
tree.kill_group = tree.kill
proc.descendants = lambda pid: []
from batchq.executors.leftovers import Leftovers
Leftovers.sweep = lambda *_: set()
""",
}
LAUNCH = """
import sys
from batchq.processes import proc, tree
{variant}
sys.argv = ["batchq", "run", "-j", "1", "-q", "--grace", "50ms"]
from batchq.__main__ import main
main()
"""


def start(scene: Scene, variant: str) -> "subprocess.Popen[bytes]":
    return scene.start_program(*python("-c", LAUNCH.format(variant=VARIANTS[variant])))


def noted(scene: Scene) -> set[str]:
    return set(scene.pids.read_text().split())


def surviving(scene: Scene) -> set[str]:
    return {line.split()[0] for line in scene.survivors()} & noted(scene)


@pytest.mark.parametrize("tree", ['"$R" &', 'setsid "$R" &', '(env -i setsid "$R" <&- >&- 2>&- &)'])
def test_the_look_for_survivors_finds_those_of_a_run_that_sweeps_nothing(scene: Scene, tree: str) -> None:
    scene.add(shapes.job(scene, shapes.Shape(tree), "exit 0"))

    assert ended(start(scene, "nothing is swept")) == 0
    assert surviving(scene) == noted(scene)
    scene.end_survivors()


def test_the_next_attempt_finds_what_was_not_swept(scene: Scene) -> None:
    scene.add(shapes.job(scene, shapes.Shape('setsid "$R" &'), "exit 3"))

    assert ended(start(scene, "no sweep at the end of a job")) == 1
    assert scene.attempts("exit_code") == [(3,), (99,)]


def test_the_next_attempt_finds_what_a_callable_left(scene: Scene) -> None:
    job: dict[str, object] = {"call": "mischief:leave", "max_attempts": 2, "backoff": "1ms"}
    scene.add(job | {"args": {"kind": "double_fork", "how": "raise"}})

    assert ended(start(scene, "a worker that ends no children")) == 1
    assert scene.attempts("error_type") == [("ValueError",), ("RuntimeError",)]


@pytest.mark.parametrize("variant", ["a guardian that ends nothing", "no subreaper"])
def test_survivors_of_a_killed_runner_are_found(scene: Scene, variant: str) -> None:
    scene.add(shapes.job(scene, shapes.Shape('(env -i setsid "$R" <&- >&- 2>&- &)'), STAY))
    run = start(scene, variant)
    eventually(scene.begun.exists)
    end(scene.runner())

    assert ended(run) == 128 + signal.SIGKILL
    assert surviving(scene) == noted(scene)
    scene.end_survivors()


def test_survivors_of_a_timeout_are_found(scene: Scene) -> None:
    limit = {"timeout": "400ms", "retry_timeout_factor": 5, "max_attempts": 5}
    scene.add(shapes.job(scene, shapes.Shape('setsid "$R" &'), STAY) | limit | {"no_retry_on": [99]})

    assert ended(start(scene, "a timeout that ends the first process alone")) == 1
    assert scene.attempts("outcome, exit_code")[-2:] == [("timed_out", None), ("failed", 99)]


# --- processes that survive SIGKILL ------------------------------------------------------------------------------------

WEAK = """
import signal
from batchq.executors import kill, leftovers
from batchq.processes import guardian
assert kill.PATIENCE and leftovers.SWEEP and guardian.PATIENCE
kill.PATIENCE = leftovers.SWEEP = guardian.PATIENCE = 0.2
strong, strong_group = tree.kill, tree.kill_group
tree.kill = lambda pid, number: number == signal.SIGKILL or strong(pid, number)
tree.kill_group = lambda pid, number: number == signal.SIGKILL or strong_group(pid, number)
"""
VARIANTS["SIGKILL has no effect"] = WEAK


@pytest.mark.parametrize("kind", ["command", "callable"])
def test_a_process_that_cannot_be_killed_costs_its_attempt_and_is_reported_and_the_run_goes_on(
    scene: Scene, kind: str
) -> None:
    # No test can have a process in a system call that does not end. A lost SIGKILL looks the same to the run.
    (scene.folder / "mine.py").write_text(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nimport mischief\ndef stay(): mischief.rest()\n"
    )
    command = {"command": ["sh", "-c", "trap '' TERM; exec ./rest"]}
    stay: dict[str, object] = dict(command) if kind == "command" else {"call": "mine:stay"}
    limit = {"timeout": "1s", "retry_timeout_factor": 5, "max_attempts": 4, "backoff": "1ms"}
    scene.add(stay | limit, {"command": "echo well"}, {"call": "os:getpid"})

    assert ended(start(scene, "SIGKILL has no effect")) == 1
    *before, last = scene.rows("SELECT outcome, error_type FROM attempts WHERE job = 1 ORDER BY number")
    assert last == ("timed_out", "Unkillable")
    assert set(before) <= {("timed_out", "TimedOut")}, "those in which it did not ignore the signal yet"
    assert scene.rows("SELECT outcome FROM attempts WHERE job > 1") == [("succeeded",)] * 2
    if kind == "command":  # a worker dies with its runner anyway: the kernel sends its death signal
        eventually(lambda: scene.pids.exists() and noted(scene))
        (pid,) = noted(scene)
        assert not is_gone(int(pid))
        assert f"process {pid} cannot be killed" in scene.said()
    scene.end_survivors()


def test_what_a_job_left_and_cannot_be_killed_does_not_keep_the_run(scene: Scene) -> None:
    scene.add(
        shapes.job(scene, shapes.Shape('setsid "$R" &'), "exit 0") | {"max_attempts": 1}, {"command": "echo well"}
    )

    assert ended(start(scene, "SIGKILL has no effect")) == 0
    assert scene.attempts() == [("succeeded",)] * 2
    assert scene.output(2) == b"well\n"
    scene.end_survivors()
