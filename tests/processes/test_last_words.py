"""The exit of a process that performed a single callable belongs to that job, as with ``python -c 'import m; m.f()'``."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import eventually
from scene import TRIES, Scene, ended, is_gone

pytest_plugins = ("scene",)

Fields = dict[str, object]

WORDS = """
import atexit, ctypes, os, ready, subprocess, sys, threading, time
class Last:
    def __del__(self): print("destructor", flush=True)
KEPT = []
def work(): print("thread", os.environ["SET"], os.getcwd()); raise ValueError("in a thread")
def says_bye():
    os.environ["SET"] = "by the call"; os.chdir("/"); sys.stdout.write("call, "); KEPT.append(Last())
    atexit.register(print, "bye")
    threading.Thread(target=lambda: (time.sleep(0.2), work())).start()
    return 1
def fails_late(): atexit.register(lambda: 1 / 0); return 2
def fails(): atexit.register(print, "bye"); raise ValueError("on purpose")
def exits(): atexit.register(print, "bye"); sys.exit(3)
def nothing(): pass
def ends_badly(): atexit.register(os._exit, 4); return 3
def dies(): atexit.register(os.kill, os.getpid(), 11); return 3
def hangs(): print("before", flush=True); atexit.register(time.sleep, 600); return 4
def hangs_once():
    if not ready.is_over(): print("before", flush=True); atexit.register(time.sleep, 600); atexit.register(ready.ready)
def goes_on(): threading.Thread(target=time.sleep, args=(600,)).start()
def leaves(): return subprocess.Popen(["sleep", "600"]).pid
def rest(): open("returned", "w"); open("never").read()
def waits(): atexit.register(rest); return 5
"""
WAYS = {"fresh": ({"fresh": True}, ()), "worker-jobs": ({}, ("--worker-jobs", "1"))}


def both(scene: Scene, job: int) -> tuple[str, str]:
    return scene.output(job).decode(), scene.output(job, "stderr").decode()


@pytest.mark.parametrize("way", WAYS)
def test_what_is_said_at_the_end_is_as_python_says_it(scene: Scene, way: str) -> None:
    (scene.folder / "words.py").write_text(WORDS)
    fields, options = WAYS[way]
    names = ["says_bye", "fails_late", "nothing"]
    scene.add(*({"call": f"words:{name}"} | fields for name in names))
    scene.run("-q", "-j", "1", *options)

    assert scene.attempts("outcome, result") == [("succeeded", "1"), ("succeeded", "2"), ("succeeded", "null")]
    for number, name in enumerate(names, 1):
        alone = subprocess.run(
            [sys.executable, "-c", f"import words; words.{name}()"],
            cwd=scene.folder, capture_output=True, text=True, check=True, env={**os.environ, **scene.shell.env},
        )  # fmt: skip
        said, err = both(scene, number)
        assert said == alone.stdout
        assert [line for line in err.splitlines() if " at 0x" not in line] == [
            line for line in alone.stderr.splitlines() if " at 0x" not in line
        ]
    assert both(scene, 1)[0] == "call, thread by the call /\nbye\ndestructor\n"


@pytest.mark.parametrize("way", WAYS)
def test_how_the_process_ends_is_how_the_job_ends(scene: Scene, way: str) -> None:
    (scene.folder / "words.py").write_text(WORDS)
    fields, options = WAYS[way]
    names = ("fails", "exits", "ends_badly", "dies", "hangs", "goes_on", "leaves")
    scene.add(*({"call": f"words:{name}", "max_attempts": 1} | fields for name in names), {"command": "true"})
    scene.add({"call": "words:hangs", "timeout": "20s", "fresh": True})
    scene.run("-q", "-j", "3", "--grace", "0", *options, code=1)

    assert scene.attempts("outcome, exit_code, signal, error_type")[:6] == [
        ("failed", None, None, "ValueError"), ("failed", 3, None, "SystemExit"), ("failed", 4, None, "WorkerDied"),
        ("failed", None, 11, "WorkerDied"), ("failed", None, None, "NoEnd"), ("failed", None, None, "NoEnd"),
    ]  # fmt: skip
    errors = [str(error) for (error,) in scene.attempts("error")]
    assert errors[2] == "the function returned, and then its process ended with exit code 4"
    assert errors[4] == "the function returned, but its process had not ended 3.0 s later, and was killed"
    assert (both(scene, 1)[0], both(scene, 2)[0], both(scene, 5)[0]) == ("bye\n", "bye\n", "before\n")
    ((outcome, leftovers, pid),) = scene.rows("SELECT outcome, leftovers, result FROM attempts WHERE job = 7")
    assert (outcome, leftovers) == ("succeeded", 1), "as a command is that leaves a process"
    assert is_gone(json.loads(str(pid)))
    assert scene.attempts("outcome, error_type")[7:] == [("succeeded", None), ("failed", "NoEnd")]


def test_a_job_whose_timeout_passes_while_its_process_exits_has_timed_out(scene: Scene) -> None:
    (scene.folder / "words.py").write_text(WORDS)
    scene.add({"call": "words:hangs_once", "fresh": True} | TRIES)
    scene.run("-q", "--grace", "10m")

    *found, number = scene.attempt_that_was_ready("outcome, error_type, result, number")
    assert found == ["timed_out", "TimedOut", None]
    assert scene.output(attempt=int(str(number))) == b"before\n"


def test_the_output_of_the_end_is_in_the_log_of_the_job(scene: Scene) -> None:
    (scene.folder / "words.py").write_text(WORDS)
    scene.add({"call": "words:says_bye", "fresh": True})
    scene.run("-q", "--log-dir", "logs")

    (log,) = (scene.folder / "logs").iterdir()
    assert [line for line in log.read_text().splitlines() if line in ("bye", "destructor")] == ["bye", "destructor"]


def terminated(run: "subprocess.Popen[bytes]") -> bool:
    """Terminate a run once more; whether it has ended."""
    run.terminate()
    return run.poll() is not None


@pytest.mark.parametrize("blow", ["cancel", "one stop", "two stops"])
def test_a_job_whose_process_ends_is_running_and_can_be_stopped(scene: Scene, blow: str) -> None:
    (scene.folder / "words.py").write_text(WORDS)
    scene.add({"call": "words:waits", "fresh": True})
    run = scene.start("-q", "--grace", "10m")
    eventually((scene.folder / "returned").exists)
    assert scene.jobs() == [("running",)]
    if blow == "cancel":
        scene.shell("cancel", "1", code=None)
    else:
        run.terminate()
        eventually(lambda: scene.rows("SELECT state FROM runners") != [("running",)])
    if blow == "two stops":
        eventually(lambda: terminated(run))  # one counts from half a second after the first on
    if blow == "one stop":
        time.sleep(0.6)
        assert scene.jobs() == [("running",)], "its end has its time"
        Path(scene.never).open("w").close()
    code = ended(run)

    state, outcome = {
        "cancel": ("cancelled", "cancelled"),
        "one stop": ("succeeded", "succeeded"),
        "two stops": ("queued", "interrupted"),
    }[blow]
    assert (scene.jobs(), scene.attempts()) == ([(state,)], [(outcome,)])
    assert code in ((-signal.SIGTERM, 143) if blow != "cancel" else (0, 1))


def test_what_a_module_holds_goes_with_it_also_in_a_worker_of_many(scene: Scene) -> None:
    text = "class Last:\n    def __del__(self, open=open): open('gone', 'a').write('x')\nKEPT = Last()\ndef f(): pass\n"
    (scene.folder / "holds.py").write_text(text)
    scene.add(*[{"call": "holds:f"}] * 5)
    scene.run("-q", "-j", "1")

    assert (scene.folder / "gone").read_text() == "x"
    assert os.listdir(scene.folder).count("gone") == 1
