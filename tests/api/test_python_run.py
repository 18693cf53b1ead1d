"""`batchq.run`: the command as a child process, which ends with its caller."""

import inspect
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import decorated
import pytest
from conftest import Shell, eventually, finish

import batchq
from batchq.cli.run.options import FOR_JOBS, RUN

TESTS = Path(__file__).parent.parent


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with decorated.py and the store batchq.db."""
    shutil.copy(TESTS / "decorated.py", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BATCHQ_DB", "")
    batchq.open("batchq.db").close()
    return folder


def test_a_run_tells_how_it_went(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    decorated.resize.add("a.png")
    decorated.fail.add("no")
    decorated.succeed_at.add(3)
    decorated.give_up.add()
    result = batchq.run(slots=1)

    assert result == batchq.RunResult(
        status=1, succeeded=2, failed=(2, 4), retried=2, interrupted=0, rescued=0, stopped_at=None
    )
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "2 jobs failed" in printed.err
    with batchq.open() as store:
        assert [(job.attempt, job.state, job.result) for job in store.jobs()] == [
            (1, "succeeded", {"path": "a.png", "width": 100}),
            (1, "failed", None),
            (3, "succeeded", 3),
            (1, "failed", None),
        ]


def test_nothing_to_do_is_success(project: Path) -> None:
    assert batchq.run("batchq.db") == batchq.RunResult(0, 0, (), 0, 0, 0, None)


def test_a_function_knows_which_job_it_is(project: Path) -> None:
    decorated.who_am_i.options(batch="night", queue="q", key="k").add()
    with batchq.open() as store:
        batchq.run(store)

        assert store.job(1).result == [1, 1, "night", "q", "k"]
        assert store.job(1).name == "who"


def test_a_run_takes_what_its_options_say(project: Path) -> None:
    with batchq.open() as store:
        store.add({"command": ["true"], "queue": queue} for queue in ("a", "a", "b"))

        first = batchq.run(store, queue="a", max_jobs=1, slots="50%", grace=2.5, max_time=timedelta(minutes=1))
        assert (first.succeeded, first.stopped_at) == (1, "--max-jobs")
        again = batchq.run(store, queue="a", events=project / "events", halt="soon", if_running="fail")
        assert (again.succeeded, again.stopped_at) == (1, None)
        assert [job.state for job in store.jobs()] == ["succeeded", "succeeded", "queued"]
    assert '"run.stop"' in (project / "events").read_text()


def test_the_options_are_those_of_the_command() -> None:
    renamed = {"jobs": "slots", "db": "store"}
    # JSON is always asked for, the variable serves for the network, jobs are added with Store.add, their output is that of
    # a command, and another user's store is only for those who say so where they can be seen.
    only_there = {"json", "allow_network_fs", "trust_owner", "files"} | (FOR_JOBS.keys() - {"slots"})
    only_there |= {"tee", "no_tee", "pass_exit_code", "pass_on", "keep_order"}
    there = {renamed.get(name, name) for name in (one.name for one in RUN.parameters)} - only_there

    assert set(inspect.signature(batchq.run).parameters) == there


def test_two_projects_with_modules_of_one_name_do_not_meet(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import batchq\n@batchq.job\ndef where(): return {!r}\nif __name__ == '__main__': where.add()\n"
    for name in ("north", "south"):
        (project / name).mkdir()
        (project / name / "place.py").write_text(text.format(name))
        subprocess.run([sys.executable, "place.py"], cwd=project / name, env=Shell(project).env, check=True)
    with batchq.open() as store:
        batchq.run(store)

        assert [job.result for job in store.jobs()] == ["north", "south"]


def test_a_missing_store_is_refused_and_not_made(project: Path) -> None:
    with pytest.raises(batchq.errors.MissingError, match="there is no store at"):
        batchq.run("other.db")

    assert not (project / "other.db").exists()


@pytest.mark.parametrize(
    ("options", "why"), [({"slots": -1}, "-j '-1'"), ({"grace": "soon"}, "--grace"), ({"perform": "m"}, "--perform")]
)
def test_a_wrong_option_is_wrong_usage(
    project: Path, capfd: pytest.CaptureFixture[str], options: dict[str, str], why: str
) -> None:
    with pytest.raises(batchq.errors.UsageError, match="exit code 2; the reason is on stderr"):
        batchq.run(**options)  # type: ignore[arg-type]

    assert why in capfd.readouterr().err


def test_events_cannot_go_where_nobody_reads_them(project: Path) -> None:
    with pytest.raises(batchq.errors.UsageError, match="name a file"):
        batchq.run(events="-")


def test_a_file_of_the_folder_does_not_replace_a_module_of_the_run(project: Path) -> None:
    (project / "json.py").write_text("raise SystemExit('the wrong json')")
    (project / "typer.py").write_text("raise SystemExit('the wrong typer')")
    with batchq.open() as store:
        store.add({"command": ["true"]})

        assert batchq.run(store).succeeded == 1


def test_a_run_can_be_awaited_in_a_thread(project: Path) -> None:
    decorated.resize.add("a.png")
    results: list[batchq.RunResult] = []
    thread = threading.Thread(target=lambda: results.append(batchq.run("batchq.db")))
    thread.start()
    thread.join()

    assert [result.succeeded for result in results] == [1]


CALLER = """\
import signal, sys, batchq
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
with batchq.open() as store:
    store.add([{"command": "touch begun; while ! test -e go; do sleep 0.01; done"}, {"command": "true"}])
    try:
        batchq.run(store, slots=1, grace="60s")
    except KeyboardInterrupt:
        print("interrupted", [job.state for job in store.jobs()])
"""


#: A caller that is still busy with telling the run of the first signal when the next one comes.
BUSY = """\
import os, subprocess, time
send = subprocess.Popen.send_signal
def slowly(process, number):
    send(process, number)
    if not os.path.exists("told"):
        open("told", "w").close()
        time.sleep(60)
subprocess.Popen.send_signal = slowly
"""


def start(folder: Path, head: str = "") -> "subprocess.Popen[bytes]":
    """A program in a process group of its own that waits for a run, which waits for the file ``go``."""
    process = subprocess.Popen(
        [sys.executable, "-c", head + CALLER], cwd=folder, env=Shell(folder).env, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    eventually((folder / "begun").exists)
    return process


def is_stopping(folder: Path) -> bool:
    return Shell(folder).rows("SELECT state FROM runners WHERE ended_at IS NULL") == [("stopping",)]


@pytest.mark.parametrize("whole_group", [True, False])
def test_ctrl_c_stops_the_run_in_order_and_once(project: Path, whole_group: bool) -> None:
    process = start(project)
    os.killpg(process.pid, signal.SIGINT) if whole_group else process.send_signal(signal.SIGINT)
    eventually(lambda: is_stopping(project))
    (project / "go").touch()

    done = finish(process)
    assert done.out == "interrupted ['succeeded', 'queued']\n"


def test_ctrl_c_twice_ends_what_runs(project: Path) -> None:
    process = start(project)

    def is_over_after_ctrl_c() -> bool:
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    eventually(is_over_after_ctrl_c)  # again and again, because two within 200 ms count as one
    finish(process)

    assert Shell(project).rows("SELECT state FROM jobs ORDER BY id") == [("queued",), ("queued",)]


def test_another_exception_stops_the_run_in_order_before_it_goes_on(project: Path) -> None:
    process = start(project)
    process.terminate()
    eventually(lambda: is_stopping(project))
    (project / "go").touch()

    assert finish(process).code == 9
    assert Shell(project).rows("SELECT state FROM jobs ORDER BY id") == [("succeeded",), ("queued",)]


def test_an_exception_that_comes_while_ctrl_c_is_passed_on_goes_on_when_the_run_has_ended(project: Path) -> None:
    process = start(project, BUSY)
    process.send_signal(signal.SIGINT)
    eventually((project / "told").exists)
    process.terminate()

    assert process.wait(60) == 9
    assert Shell(project).rows("SELECT state FROM jobs ORDER BY id") == [("queued",), ("queued",)]
    finish(process)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_run_whose_caller_is_killed_stops(project: Path) -> None:
    process = start(project)
    process.kill()
    process.wait()
    eventually(lambda: is_stopping(project))
    (project / "go").touch()

    finish(process)
    eventually(lambda: Shell(project).rows("SELECT count(*) FROM runners WHERE ended_at IS NULL") == [(0,)])
    assert Shell(project).rows("SELECT state FROM jobs ORDER BY id") == [("succeeded",), ("queued",)]


def test_another_run_at_work_is_a_busy_error(project: Path) -> None:
    shell = Shell(project)
    with shell.start("run", "--watch") as other:
        eventually(lambda: shell.rows("SELECT 1 FROM runners WHERE ended_at IS NULL"))
        with pytest.raises(batchq.errors.BatchqError) as caught:
            batchq.run("batchq.db", if_running="fail")
        other.terminate()
        finish(other)
    assert type(caught.value) is batchq.errors.BusyError


def test_a_run_inside_a_with_block_runs_the_jobs_of_its_store(project: Path) -> None:
    with batchq.open("outer.db") as outer:
        with batchq.open("inner.db") as inner:
            decorated.resize.add("a.png")
            assert batchq.run(quiet=True).succeeded == 1
            assert [job.state for job in inner.jobs()] == ["succeeded"]
        decorated.resize.add("b.png")
        outer.add(decorated.resize.job("c.png"))
        assert batchq.run(quiet=True).succeeded == 2
    with batchq.open() as usual:
        assert [*usual.jobs()] == []
    assert batchq.run(quiet=True).succeeded == 0


def test_a_thread_that_the_block_starts_uses_the_store_of_the_command(project: Path) -> None:
    with batchq.open("block.db") as block:
        thread = threading.Thread(target=decorated.resize.add, args=("a.png",))
        thread.start()
        thread.join()
        assert [*block.jobs()] == []
    with batchq.open() as usual:
        assert len([*usual.jobs()]) == 1
