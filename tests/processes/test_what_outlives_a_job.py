"""Leftovers of a job whose first process has ended: some end by themselves, and those that cannot be killed are named."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import eventually
from scene import Scene, children_of, end, ended, is_gone, signal_one

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


def test_the_last_lines_of_a_script_that_speaks_through_tee_are_there(scene: Scene) -> None:
    (scene.folder / "night.sh").write_text('exec > >(tee -a "$1") 2>&1\necho begin\necho "SUMMARY $1"\n')
    scene.add(*[{"command": ["bash", "night.sh", f"log{n}"]} for n in range(40)])
    scene.run("-j", "2")

    assert [(scene.folder / f"log{n}").read_text() for n in range(40)] == [
        f"begin\nSUMMARY log{n}\n" for n in range(40)
    ]
    assert [scene.output(n + 1).decode() for n in range(40)] == [f"begin\nSUMMARY log{n}\n" for n in range(40)]
    assert scene.attempts("leftovers") == [(0,)] * 40


def test_leftovers_that_do_not_end_by_themselves_get_term_and_may_clean_up(scene: Scene) -> None:
    scene.add({"command": "(trap 'echo away; : > away; exit' TERM; while :; do sleep 0.01; done) & echo started"})
    scene.run()

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
        | ({"timeout": "2s"} if how == "timeout" else {})
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
    assert f"process {pid} (sleep) belongs to nobody: this run may not kill it" in scene.said()
    assert scene.attempts("error_type") == [("Unkillable",)]
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
