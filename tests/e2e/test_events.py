"""Telemetry: start, stop and error are told, after the record, to handlers that can never break a run."""

import json
import shutil
import signal
from pathlib import Path

from conftest import Shell, eventually, finish, send

TESTS = Path(__file__).parent.parent


def told(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_events_go_to_a_file_as_lines_of_json(batchq: Shell) -> None:
    batchq("add", "--name", "good", "--", "true")
    batchq("add", "--name", "bad", "-c", "exit 3")
    batchq("run", "-j", "1", "--events", "events", code=1)

    events = told(batchq.folder / "events")
    assert [event["event"] for event in events] == [
        "run.start",
        "job.start",
        "job.stop",
        "job.start",
        "job.error",
        "run.stop",
    ]
    assert all(event["schema"] == 1 and str(event["at"]).endswith("Z") for event in events)
    start, stop, error = events[1], events[2], events[4]
    assert (start["job"], start["attempt"], start["payload"]) == (1, 1, ["true"])
    assert isinstance(stop["duration"], float)
    assert (error["job"], error["name"], error["state"]) == (2, "bad", "failed")
    assert isinstance(error["error"], dict)
    assert error["error"]["exit_code"] == 3
    assert events[-1]["status"] == 1


def test_events_to_stdout_leave_nothing_else_there(batchq: Shell) -> None:
    batchq("add", "-c", "echo noise; exit 1")
    done = batchq("run", "--events", "-", code=1)

    assert next(json.loads(line)["event"] for line in done.out.splitlines()) == "run.start"


def test_the_exception_of_a_callable_is_told_with_its_traceback(batchq: Shell) -> None:
    shutil.copy(TESTS / "scripted.py", batchq.folder)
    batchq("add", "--call", "scripted:fail", "--args", '{"message": "x"}')
    batchq("run", "--events", "events", code=1)

    (error,) = [event["error"] for event in told(batchq.folder / "events") if event["event"] == "job.error"]
    assert isinstance(error, dict)
    assert error["type"] == "KeyError"
    assert "in deeper" in error["traceback"]


def test_each_start_has_an_end_also_for_very_short_jobs(batchq: Shell) -> None:
    batchq("add", "-q", "-", stdin="true\n" * 300)
    batchq("run", "--events", "events")

    events = told(batchq.folder / "events")
    started = [event["job"] for event in events if event["event"] == "job.start"]
    stopped = [event["job"] for event in events if event["event"] == "job.stop"]
    assert sorted(map(str, started)) == sorted(map(str, stopped))
    assert len(set(map(str, started))) == len(started) == 300


def test_a_handler_of_the_user_gets_every_event(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text(
        "def handle(event):\n    with open('seen', 'a') as file:\n        file.write(event.name + '\\n')\n"
    )
    batchq("add", "--", "true")
    batchq("run", "--handler", "mine:handle")

    assert (batchq.folder / "seen").read_text().split() == ["run.start", "job.start", "job.stop", "run.stop"]


def test_a_handler_that_fails_breaks_neither_the_run_nor_the_other_handlers(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text("def handle(event):\n    raise SystemError('handler is broken')\n")
    batchq("add", "-", stdin="true\ntrue\n")
    done = batchq("run", "--handler", "mine:handle", "--events", "events")

    assert len(told(batchq.folder / "events")) == 6
    assert "handler is broken" in done.err
    assert batchq.rows("SELECT DISTINCT state FROM jobs") == [("succeeded",)]


def test_verbose_logs_each_job(batchq: Shell) -> None:
    batchq("add", "--name", "good", "--", "true")
    done = batchq("run", "-v")

    assert "job.start job 1 attempt 1" in done.err
    assert "job.stop job 1 attempt 1" in done.err


def test_a_result_that_cannot_be_recorded_at_shutdown_is_told_on_stderr(batchq: Shell) -> None:
    batchq("add", "-c", "touch begun; while [ ! -e go ]; do sleep 0.01; done; exit 5")
    process = batchq.start("run", "--grace", "2s")
    eventually((batchq.folder / "begun").exists)
    gone = batchq.folder / "elsewhere"
    gone.mkdir()
    for path in batchq.folder.glob("batchq.db*"):
        path.rename(gone / path.name)
    send(process, signal.SIGTERM)
    (batchq.folder / "go").touch()
    done = finish(process)

    assert done.code == 143
    assert "job 1 attempt 1 failed, exit code 5: could not be recorded" in done.err
    assert 'File "' not in done.err
    shutil.rmtree(gone)
