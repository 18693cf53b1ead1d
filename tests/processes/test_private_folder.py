"""The private folder of a run: where it lies, what happens when it is removed or full, and that none is left."""

import fcntl
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
from conftest import eventually
from others import in_a_namespace, needs_mounts
from scene import Scene, children_of, end, ended

from batchq.processes import scratch

pytest_plugins = ("scene",)


@pytest.fixture(name="temporary")
def _temporary(scene: Scene) -> Path:
    folder = scene.folder / "tmp"
    folder.mkdir()
    scene.shell.env["TMPDIR"] = str(folder)
    return folder


def test_it_is_locked_against_cleaners_and_nobody_elses_and_gone_at_the_end(scene: Scene, temporary: Path) -> None:
    scene.add({"command": ": > begun; until [ -e go ]; do sleep 0.01; done; echo 1 > $BATCHQ_RESULT_FILE"})
    run = scene.start()
    eventually(scene.begun.exists)
    (folder,) = temporary.iterdir()
    fd = os.open(folder, os.O_RDONLY)
    with pytest.raises(BlockingIOError):  # as systemd-tmpfiles does before it cleans a folder
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
    assert folder.stat().st_mode & 0o777 == 0o700
    (scene.folder / "go").touch()

    assert ended(run) == 0
    assert scene.attempts("result") == [("1",)]
    assert list(temporary.iterdir()) == []


def test_the_folder_of_the_session_comes_first_where_it_is_ours(scene: Scene, temporary: Path) -> None:
    session = scene.folder / "session"
    session.mkdir()
    for job, given in enumerate((str(session), str(scene.folder / "nowhere"), "relative"), 1):
        scene.add({"command": 'printf \'"%s"\' "$BATCHQ_RESULT_FILE" > "$BATCHQ_RESULT_FILE"'})
        scene.run(env={"XDG_RUNTIME_DIR": given})
        ((result,),) = scene.rows(f"SELECT result FROM attempts WHERE job = {job}")
        assert str(result).startswith(f'"{session if job == 1 else temporary}/batchq-')


@pytest.mark.parametrize("planted", ["nothing", "a link", "a file", "a folder"])
def test_a_folder_that_is_taken_away_is_made_anew(scene: Scene, temporary: Path, planted: str) -> None:
    result = {"command": "echo 1 > $BATCHQ_RESULT_FILE"}
    scene.add({"command": ": > begun; until [ -e go ]; do sleep 0.01; done"}, *[result] * 3, {"call": "os:getpid"})
    run = scene.start("-j", "1")
    eventually(scene.begun.exists)
    (folder,) = temporary.iterdir()
    shutil.rmtree(folder)
    victim = scene.folder / "victim"
    victim.mkdir()
    if planted == "a link":
        folder.symlink_to(victim)
    elif planted == "a file":
        folder.touch()
    elif planted == "a folder":
        folder.mkdir(mode=0o700)
    (scene.folder / "go").touch()

    assert ended(run) == 0
    assert scene.attempts("outcome, result IS NULL") == [("succeeded", 1), *[("succeeded", 0)] * 4]
    assert scene.said().count("results of jobs that were running at that time are lost") == 1
    assert list(victim.iterdir()) == []


def test_a_job_whose_folder_vanished_while_it_ran_is_not_charged(scene: Scene, temporary: Path) -> None:
    scene.add(
        {"command": ": > begun; until [ -e go ]; do sleep 0.01; done; echo 1 > $BATCHQ_RESULT_FILE", "max_attempts": 1}
    )
    run = scene.start()
    eventually(scene.begun.exists)
    shutil.rmtree(next(temporary.iterdir()))
    (scene.folder / "go").touch()

    assert ended(run) == 0
    assert scene.attempts("outcome") == [("interrupted",), ("succeeded",)]
    assert scene.jobs("state, failures, interruptions") == [("succeeded", 0, 0)]
    assert scene.said().count("was removed while the job ran") == 1


def test_what_a_dead_run_left_there_goes_with_its_rescue(scene: Scene, temporary: Path) -> None:
    scene.add({"command": "mkdir -p $BATCHQ_RESULT_FILE/deep; : > begun; [ -e go ] || sleep 600"})
    run = scene.start()
    eventually(scene.begun.exists)
    (runner,) = children_of(run.pid)
    os.kill(run.pid, signal.SIGSTOP)
    end(runner, run.pid)
    ended(run)
    assert len(list(temporary.iterdir())) == 1
    (scene.folder / "go").touch()
    scene.run("-q", code=None)

    assert list(temporary.iterdir()) == []


def test_each_run_removes_what_dead_ones_left_whose_store_is_gone_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "_bases", lambda: [str(tmp_path)])  # not the folders of other runs at work
    dead, bridge, site, alive, linked, file, other, strangers, longer, alike = (
        tmp_path / name
        for name in (
            "batchq-1-0123456789ab",
            "batchq-0123abcd.1.0-0123456789ab",
            "batchq-0123abcd.1.0.777.1-0123456789ab",
            "batchq-2-0123456789ab",
            "batchq-3-0123456789ab",
            "batchq-4-0123456789ab",
            "batchq-5-012345678",
            "batchq-6-0123456789ab",
            "batchq-7-0123456789ab-x",
            "batchq-results.1.0-202611290000",
        )
    )
    for folder in (dead, bridge, site, alive, other, strangers, longer, alike):
        (folder / "deep").mkdir(parents=True)
        (folder / "result-1-1").touch()
    file.touch()
    linked.symlink_to(other)
    if os.geteuid() == 0:
        os.chown(strangers, 65534, 65534)
    held = os.open(alive, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    there = set(tmp_path.iterdir())

    scratch.remove("8")
    assert set(tmp_path.iterdir()) == there  # too new
    monkeypatch.setattr(scratch, "NEW", 0.0)
    scratch.remove("8")
    assert set(tmp_path.iterdir()) == there - {dead, bridge, site, *([] if os.geteuid() == 0 else [strangers])}
    assert len(list(other.iterdir())) == 2
    os.close(held)


@needs_mounts
@pytest.mark.parametrize("work", [{"command": ": > begun; exec sleep 600"}, {"call": "mine:rest"}])
def test_a_runner_whose_guardian_was_killed_removes_it(scene: Scene, temporary: Path, work: dict[str, str]) -> None:
    (scene.folder / "mine.py").write_text("import time\ndef rest(): open('begun', 'w'); time.sleep(600)\n")
    scene.add({"command": "echo 1 > $BATCHQ_RESULT_FILE"}, work)
    run = scene.start("-j", "1")
    eventually(scene.begun.exists)
    assert len(list(temporary.iterdir())) == 1
    end(run.pid)
    ended(run)

    eventually(lambda: scene.survivors() == [])
    assert list(temporary.iterdir()) == []


def test_a_full_folder_is_reported_once_waited_for_and_costs_no_job_anything(scene: Scene) -> None:
    (scene.folder / "mine.py").write_text("def speak():\n    print('x' * 3000)\n")
    scene.add(*[{"call": "mine:speak"}] * 200, {"command": "cat", "stdin": "y" * 5000})
    scene.add(*[{"command": "printf '\"%09000d\"' 0 > $BATCHQ_RESULT_FILE", "max_attempts": 1}] * 3)
    done = in_a_namespace(
        scene.shell,
        """
        mkdir small; mount -t tmpfs -o size=16k tmpfs small
        head -c 12000 /dev/zero > small/fill
        (until grep -qs "no room" said; do sleep 0.05; done; rm small/fill) &
        TMPDIR=$PWD/small; export TMPDIR
        rc run -j 2 >said 2>&1
        cat said
        umount small || umount -l small
        """,
    )

    assert "exit 0" in done
    assert done.count("there is no room for the result of a job") == 1
    assert set(scene.jobs("state, failures, crashes, interruptions")) == {("succeeded", 0, 0, 0)}
    assert scene.output(201) == b"y" * 5000


def test_a_refusal_of_the_machine_is_reported_once_and_tried_again(scene: Scene) -> None:
    scene.add(*[{"command": "true"}] * 5, {"call": "os:getpid"})
    scene.add({"command": ": > begun; until [ -e go ]; do sleep 0.01; done", "priority": 9})
    started = scene.start("-j", "1")
    eventually(scene.begun.exists)
    runner = scene.runner()
    was = resource.prlimit(runner, resource.RLIMIT_NOFILE)
    resource.prlimit(runner, resource.RLIMIT_NOFILE, (9, was[1]))
    (scene.folder / "go").touch()
    eventually(lambda: "trying again" in scene.said())
    assert started.poll() is None
    resource.prlimit(runner, resource.RLIMIT_NOFILE, was)

    assert ended(started) == 0, scene.said()
    assert scene.said().count("trying again") == 1
    assert set(scene.jobs("state, failures, interruptions")) == {("succeeded", 0, 0)}


# --- a process namespace without its own /proc, and what was there before ----------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root, and unshare(1)")
def test_where_proc_is_that_of_another_namespace_nobody_elses_process_is_touched(scene: Scene) -> None:
    (scene.folder / "mine.py").write_text("import subprocess\ndef leave(): subprocess.Popen(['sleep', '600'])\n")
    scene.add(
        {"command": "sleep 600 & echo one"}, {"command": "setsid sleep 600 & echo two"}, {"call": "mine:leave"},
        {"command": "sleep 600", "timeout": "300ms"}, {"command": "echo last"},
    )  # fmt: skip
    words = [os.fsdecode(word) for word in scene.shell.argv("run", "-j", "1", "--grace", "100ms")]
    run = scene.start_program("unshare", "--pid", "--fork", *words)

    assert ended(run, 60) == 1
    assert scene.attempts() == [("succeeded",)] * 3 + [("timed_out",), ("succeeded",)]
    assert scene.said().count("/proc shows another process namespace") == 1
    assert scene.output(5) == b"last\n"


def test_what_a_wrapper_started_before_the_run_is_not_ended_by_it(scene: Scene) -> None:
    scene.add({"command": "kill -0 $(cat helper) && setsid sleep 601 & : > ran; sleep 0.1"})
    words = [os.fsdecode(word) for word in scene.shell.argv("run")]
    helper = "sh -c 'sleep 602 & exec sleep 603' & echo $! > helper; exec \"$@\""
    run = scene.start_program("sh", "-c", helper, "sh", *words)

    assert ended(run) == 0
    left: list[str] = []

    def both_are_there() -> bool:
        left[:] = [words for words in scene.survivors() if "sleep" in words]
        return len(left) == 2

    eventually(both_are_there)  # the shell may not have started the first one when the run is over
    assert not [words for words in left if "601" in words]
    scene.end_survivors()
