"""Surviving processes of a dead run are killed before its jobs begin again, however they hide; no other process is."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Shell, eventually, finish

from batchq.processes import census, marks, proc

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to become another user")
UNSHARE = pytest.mark.skipif(
    bool(subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False).returncode)
    if shutil.which("unshare")
    else True,
    reason="needs the right to make pid namespaces",
)


def kill_both(run: "subprocess.Popen[bytes]") -> None:
    runner = proc.children(run.pid)
    os.kill(run.pid, signal.SIGSTOP)  # otherwise the guardian may kill the jobs before it is killed itself
    for pid in (*runner, run.pid):
        os.kill(pid, signal.SIGKILL)
    run.communicate()


def alive(pid: int) -> bool:
    return not proc.is_zombie(pid)


def pids(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def has_begun(shell: Shell) -> bool:
    """Whether the job has written its line: the file is there a moment before."""
    begun = shell.folder / "begun"
    return begun.exists() and begun.read_text() != ""


HIDING = {
    "it drops its environment": "exec env -i /bin/sh -c 'echo $$ >> pids; exec sleep 600'",
    "in a session of its own": "env -i setsid -w /bin/sh -c 'echo $$ >> pids; exec sleep 600'",
    "its parent is gone": "(env -i setsid /bin/sh -c 'echo $$ >> pids; exec sleep 600' &); exec sleep 600",
}


@pytest.mark.parametrize("script", HIDING.values(), ids=HIDING)
def test_what_hides_is_ended_before_its_job_begins_again(batchq: Shell, script: str) -> None:
    batchq("add", "--backoff", "0s", "-c", f"test $BATCHQ_ATTEMPT -gt 1 || {{ {script}; }}")
    run = batchq.start("run", "-q")
    eventually(lambda: pids(batchq.folder / "pids"))
    (hidden,) = pids(batchq.folder / "pids")
    kill_both(run)
    assert alive(hidden)

    batchq("run", "-q")

    assert not alive(hidden)
    assert batchq.rows("SELECT outcome FROM attempts") == [("crashed",), ("succeeded",)]


def test_a_worker_that_hides_is_ended_too(batchq: Shell) -> None:
    code = (
        "import ctypes, os, time\n"
        "def work():\n"
        "    if os.environ['BATCHQ_ATTEMPT'] != '1': return\n"
        "    first, last = [int(w) for w in open('/proc/self/stat').read().rpartition(')')[2].split()[47:49]]\n"
        "    ctypes.memset(first, 32, last - first)\n"
        "    open('pids', 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    )
    (batchq.folder / "mine.py").write_text(code)
    batchq("add", "--backoff", "0s", "--call", "mine:work")
    run = batchq.start("run", "-q")
    eventually(lambda: pids(batchq.folder / "pids"))
    (worker,) = pids(batchq.folder / "pids")
    kill_both(run)

    batchq("run", "-q")

    assert not alive(worker)


def test_what_was_to_stay_is_spared_also_when_its_job_was_pruned(batchq: Shell) -> None:
    batchq("add", "--leftovers", "keep", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $! > pids")
    batchq("add", "-c", "while [ ! -s pids ]; do sleep 0.01; done; touch begun; exec sleep 600")
    run = batchq.start("run", "-q", "-j", "2")
    eventually((batchq.folder / "begun").exists)
    (service,) = pids(batchq.folder / "pids")
    try:
        eventually(lambda: batchq.rows("SELECT state FROM jobs WHERE id = 1") == [("succeeded",)])
        batchq("prune", "-q", "--older-than", "0s")
        kill_both(run)
        batchq("run", "-q", "--max-time", "100ms", "--grace", "0s")
        assert alive(service), "it was killed by the rescue"
    finally:
        os.kill(service, signal.SIGKILL)
    batchq("cancel", "2")


def test_the_first_process_of_what_runs_for_a_while_is_in_the_store_and_goes_with_its_end(batchq: Shell) -> None:
    batchq("add", "-c", "echo $$ > pids; while [ ! -e go ]; do sleep 0.01; done")
    batchq("add", "--each", "--", "true", stdin="\n".join(map(str, range(30))))
    run = batchq.start("run", "-q", "-j", "2")
    eventually(lambda: batchq.rows("SELECT 1 FROM processes WHERE job = 1") and pids(batchq.folder / "pids"))
    of_its_token = "token = (SELECT token FROM jobs WHERE id = 1)"
    (row,) = batchq.rows(f"SELECT job, pid, born, {of_its_token} FROM processes WHERE job = 1")
    (pid,) = pids(batchq.folder / "pids")
    assert row == (1, pid, proc.started_ticks(pid), 1)
    (batchq.folder / "go").touch()
    finish(run)

    assert batchq.rows("SELECT job FROM processes") == []


@ROOT
def test_a_job_with_a_process_that_cannot_be_killed_is_not_started_next_to_it(batchq: Shell) -> None:
    other = "setpriv --reuid 65534 --clear-groups sleep 600"
    once = f"test $BATCHQ_ATTEMPT -gt 1 || {{ {other} & echo $! > pids; wait; }}"
    batchq("add", "--backoff", "0s", "-c", f"echo >> begun; {once}")
    run = batchq.start("run", "-q")
    eventually(lambda: pids(batchq.folder / "pids"))
    (stubborn,) = pids(batchq.folder / "pids")
    eventually(lambda: Path(f"/proc/{stubborn}").stat().st_uid == 65534)
    kill_both(run)
    tame = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"]
    try:
        done = subprocess.run(
            [*tame, *map(str, batchq.argv("run"))], cwd=batchq.folder, env=batchq.env, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        if not alive(stubborn):
            pytest.skip("cannot give up the right to signal others")
        assert done.returncode == 3, done
        assert (
            "runner 1 is dead, but a process that it started cannot be killed; job 1 must wait for that" in done.stderr
        )
        assert (batchq.folder / "begun").read_text() == "\n"
        assert batchq.rows("SELECT state FROM jobs") == [("running",)]
    finally:
        os.kill(stubborn, signal.SIGKILL)
    batchq("run", "-q")
    assert (batchq.folder / "begun").read_text() == "\n\n"


@UNSHARE
def test_another_container_is_looked_into_from_outside(batchq: Shell) -> None:
    """Its runner and guardian are dead, but it goes on, and so does the job."""
    batchq("add", "--backoff", "0s", "-c", "echo >> begun; test $BATCHQ_ATTEMPT -gt 1 || exec env -i sleep 600")
    python = " ".join(map(str, batchq.argv("run")))
    box = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", f"{python} & sleep 600; true"],
        cwd=batchq.folder, env=batchq.env, start_new_session=True,
    )  # fmt: skip
    try:
        eventually(lambda: has_begun(batchq))
        (shell,) = proc.children(box.pid)
        guardian = next(pid for pid in proc.children(shell) if proc.children(pid))
        for pid in (*proc.children(guardian), guardian):
            os.kill(pid, signal.SIGKILL)
        assert batchq("run").err == ""
        assert (batchq.folder / "begun").read_text() == "\n\n"
        assert batchq.rows("SELECT outcome FROM attempts") == [("crashed",), ("succeeded",)]
    finally:
        kill_both(box)


@UNSHARE
def test_processes_that_cannot_be_seen_from_a_container_are_reported_and_wait_for_a_person(batchq: Shell) -> None:
    batchq(
        "add",
        "--batch",
        "night",
        "--key",
        "import",
        "--name",
        "import",
        "--backoff",
        "0s",
        "-c",
        "echo >> begun; test $BATCHQ_ATTEMPT -gt 1 || exec sleep 600",
    )
    run = batchq.start("run", "-q")
    eventually(lambda: has_begun(batchq))
    kill_both(run)
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    (batchq.folder / "again.jsonl").write_text('{"command": "true", "key": "import", "batch": "night"}\n')
    for words in ((), ("--batch", "night"), ("again.jsonl",)):
        done = subprocess.run(
            [*inside, *map(str, batchq.argv("run", "-q", *words))], cwd=batchq.folder, env=batchq.env, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 3, done
        assert "of another container) died with job 1" in done.stderr
        assert "'batchq doctor --rescue 1'" in done.stderr
    assert (batchq.folder / "begun").read_text() == "\n"

    (job,) = [pid for pid, one in census.table().items() if marks.carried([pid]) and _is_job(pid, batchq)]
    assert "1 job of runner 1 taken back" in batchq("doctor", "--rescue", "1").err
    assert not alive(job), "the doctor ends what can be seen from here"
    batchq("run")


def _is_job(pid: int, shell: Shell) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == shell.folder
    except OSError:
        return False


def test_a_limit_that_somebody_else_has_set_is_left_alone(batchq: Shell) -> None:
    import resource

    batchq("add", "-c", "grep 'realtime timeout' /proc/self/limits | awk '{ print $4 }' > limit")
    limit = "resource.setrlimit(resource.RLIMIT_RTTIME, (777, 888))"
    code = f"import os, resource, sys; {limit}; os.execv(sys.argv[1], sys.argv[1:])"
    subprocess.run(
        [sys.executable, "-c", code, *map(str, batchq.argv("run"))], cwd=batchq.folder, env=batchq.env, check=True
    )

    assert (batchq.folder / "limit").read_text() == "777\n"
    assert resource.getrlimit(resource.RLIMIT_RTTIME)[0] != 777


def test_a_run_of_a_backup_ends_nothing_of_the_store_from_which_it_was_copied(batchq: Shell) -> None:
    batchq("add", "-c", "echo $$ > pids; while [ ! -e go ]; do sleep 0.01; done")
    run = batchq.start("run", "-q")
    eventually(lambda: pids(batchq.folder / "pids"))
    (pid,) = pids(batchq.folder / "pids")
    batchq("backup", "-q", "copy.db")
    batchq("cancel", "--db", "copy.db", "1")
    batchq("run", "--db", "copy.db", "-q")
    assert alive(pid)
    (batchq.folder / "go").touch()
    assert finish(run).code == 0
