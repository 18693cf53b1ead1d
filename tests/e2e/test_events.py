"""Telemetry: start, stop and error are told, after the record, to handlers that can never break a run."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Shell, eventually, finish, send
from gate import Gate

TESTS = Path(__file__).parent.parent


def told(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


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


ENDINGS = ("sys.exit(0)", "sys.exit(3)", "raise KeyboardInterrupt", "raise BaseException('x')", "raise GeneratorExit")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_handler_that_ends_the_program_ends_neither_the_run_nor_a_job(batchq: Shell, ending: str) -> None:
    (batchq.folder / "mine.py").write_text(f"import sys\ndef handle(event):\n    {ending}\n")
    batchq("add", "-", stdin="echo x >> ran\n" * 3)
    done = batchq("run", "-j", "2", "--handler", "mine:handle", "--events", "events")

    assert (batchq.folder / "ran").read_text() == "x\n" * 3
    assert batchq.rows("SELECT DISTINCT state FROM jobs") == [("succeeded",)]
    assert len(told(batchq.folder / "events")) == 8
    assert "failed on run.start" in done.err


@pytest.mark.parametrize("status", [0, 1, 3, 143])
@pytest.mark.parametrize("event", ["run.start", "job.start", "job.stop", "run.stop"])
def test_a_run_that_ends_by_an_exit_in_a_handler_exits_with_70_and_the_next_goes_on(
    batchq: Shell, event: str, status: int
) -> None:
    body = f"import os\ndef handle(event):\n    if event.name == {event!r}: os._exit({status})\n"
    (batchq.folder / "mine.py").write_text(body)
    batchq("add", "-", stdin="true\n" * 3)
    done = batchq("run", "-j", "1", "--handler", "mine:handle", code=70)

    assert done.err.count("\n") == 1
    assert "the run was ended by os._exit" in done.err
    batchq("run")
    assert batchq.rows("SELECT DISTINCT state FROM jobs") == [("succeeded",)]


def test_a_handler_whose_name_and_error_cannot_be_told_breaks_nothing(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text(
        "import sys\nclass Odd(BaseException):\n    def __str__(self): sys.exit(4)\n"
        "class Handler:\n    def __repr__(self): raise Odd\n    def __call__(self, event): raise Odd\nhandle = Handler()\n"
    )
    batchq("add", "--", "true")
    batchq("run", "--handler", "mine:handle")

    assert batchq.rows("SELECT state FROM jobs") == [("succeeded",)]


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import sys; sys.exit(0)", "its module exits when it is imported"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("handle = 7", "is not a function, but a number"),
        ("", "has no attribute 'handle'"),
    ],
)
def test_a_handler_that_cannot_be_had_is_a_usage_error_in_one_sentence(batchq: Shell, module: str, said: str) -> None:
    (batchq.folder / "mine.py").write_text(module)
    batchq("add", "--", "true")
    done = batchq("run", "--handler", "mine:handle", code=2)

    assert said in done.err
    assert done.err.count("\n") == 1
    assert batchq.rows("SELECT state FROM jobs") == [("queued",)]


# --- files and pipes ---------------------------------------------------------------------------------------------------


def test_events_are_for_their_owner_alone(batchq: Shell) -> None:
    batchq("add", "--", "true")
    subprocess.run(
        ["sh", "-c", 'umask 0; exec "$@"', "sh", *batchq.argv("run", "--events", "events")],
        cwd=batchq.folder, env=batchq.env, check=True,
    )  # fmt: skip

    assert (batchq.folder / "events").stat().st_mode & 0o777 == 0o600


def test_bytes_that_are_no_text_are_events_that_every_reader_takes(batchq: Shell) -> None:
    batchq("add", "--", "true", b"\xff \xe2\x82\xac")
    batchq("run", "--events", "events")

    text = (batchq.folder / "events").read_text()
    assert "\\ud" not in text
    assert told(batchq.folder / "events")[1]["payload"] == ["true", "\\xff €"]


@pytest.mark.parametrize("reads", ["nobody", "somebody who does not read"])
def test_a_pipe_that_nobody_reads_costs_events_and_nothing_else(batchq: Shell, reads: str) -> None:
    os.mkfifo(batchq.folder / "pipe")
    end = os.open(batchq.folder / "pipe", os.O_RDONLY | os.O_NONBLOCK) if reads != "nobody" else None
    batchq("add", "-q", "-", stdin=f"true {'x' * 2000}\n" * 200)
    batchq("add", "-q", "--timeout", "200ms", "-c", "sleep 60")
    process = batchq.start("run", "-j", "2", "--events", "pipe")
    eventually(lambda: batchq.rows("SELECT 1 FROM attempts WHERE outcome = 'timed_out'"), 60)
    done = finish(process)
    if end is not None:
        os.close(end)

    assert done.code == 1
    assert "--events pipe" in done.err
    assert "not read when the run ended" in done.err
    assert batchq.rows("SELECT state, count(*) FROM jobs GROUP BY state") == [("failed", 1), ("succeeded", 200)]


def test_a_run_hears_signals_while_nobody_reads_its_events(batchq: Shell) -> None:
    os.mkfifo(batchq.folder / "pipe")
    batchq("add", "-q", "-c", ": > begun; sleep 60")
    process = batchq.start("run", "--events", "pipe", "--grace", "0s")
    eventually((batchq.folder / "begun").exists)
    send(process, signal.SIGTERM)

    assert finish(process).code == 143


def test_a_slow_reader_gets_every_event(batchq: Shell) -> None:
    batchq("add", "-q", "-", stdin=f"true {'x' * 2000}\n" * 300)
    slowly = "sleep 1; cat > events"
    subprocess.run(
        ["sh", "-c", f'"$@" | ({slowly})', "sh", *batchq.argv("run", "-j", "2", "--events", "-")],
        cwd=batchq.folder, env=batchq.env, check=True,
    )  # fmt: skip

    assert len(told(batchq.folder / "events")) == 602


def test_a_reader_that_comes_late_gets_what_waits_while_the_run_has_nothing_to_tell(batchq: Shell, gate: Gate) -> None:
    os.mkfifo(batchq.folder / "pipe")
    batchq("add", "-q", "-", stdin=f"true {'x' * 2000}\n" * 100)
    batchq("add", "-q", "-c", gate.wait)
    process = batchq.start("run", "-j", "2", "--events", "pipe")
    eventually(lambda: batchq.rows("SELECT count(*) FROM jobs WHERE state = 'succeeded'") == [(100,)], 60)
    reader = subprocess.Popen(["sh", "-c", "exec cat pipe > events"], cwd=batchq.folder)
    eventually(lambda: (batchq.folder / "events").exists() and lines(batchq.folder / "events") == 202)
    gate.open()

    assert (finish(process).err, reader.wait(60)) == ("", 0)
    assert len(told(batchq.folder / "events")) == 204


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user, who plants something")
@pytest.mark.parametrize("planted", ["a link", "a file"])
def test_what_another_user_has_planted_gets_no_events(batchq: Shell, planted: str) -> None:
    precious = batchq.folder / "precious"
    precious.write_text("as it was\n")
    events = batchq.folder / "events"
    if planted == "a link":
        events.symlink_to("precious")
    else:
        events.touch()
    os.chown(events, 12345, 12345, follow_symlinks=False)
    batchq("add", "--", "true")
    done = batchq("run", "--events", "events", code=2)

    assert "belongs to another user" in done.err
    assert precious.read_text() == "as it was\n"
    assert batchq.rows("SELECT state FROM jobs") == [("queued",)]


def test_a_link_of_ones_own_is_followed(batchq: Shell) -> None:
    (batchq.folder / "events").symlink_to("elsewhere")
    batchq("add", "--", "true")
    batchq("run", "--events", "events")

    assert len(told(batchq.folder / "elsewhere")) == 4


TIME = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"
TOOK = r"after \d+(\.\d)? m?s"


def test_verbose_logs_each_event_in_a_line_for_people(batchq: Shell) -> None:
    batchq("add", "--name", "good\x1b[2J", "--", "true")
    batchq("add", "--max-attempts", "2", "--backoff", "1ms", "-c", "echo 'error: no route to host' >&2; exit 3")
    batchq("add", "--name", "late", "--timeout", "10ms", "--", "sleep", "600")
    lines = batchq("run", "-v", "-j", "1", code=1).err.partition("batchq: ")[0].splitlines()

    expected = [
        r"run 1 started, 1 at once",
        r"job 1 \(good\\x1b\[2J\) started",
        rf"job 1 \(good\\x1b\[2J\) succeeded {TOOK}",
        r"job 2 started: echo 'error: no route to host' >&2; exit 3",
        rf"job 2 failed {TOOK}: exit 3: error: no route to host(; retried in .*|; queued again)",
        r"job 2, attempt 2 started: echo 'error: no route to host' >&…",
        rf"job 2 failed {TOOK}: exit 3: error: no route to host",
        r"job 3 \(late\) started",
        rf"job 3 \(late\) timed out {TOOK}",
    ]
    for pattern in expected:
        assert [line for line in lines if re.fullmatch(f"{TIME} {pattern}", line)], f"{pattern} in {lines}"
    assert len(lines) == len(expected)
    assert max(len(line) for line in lines if "no route to host;" not in line) <= 80


def test_a_result_that_cannot_be_recorded_at_shutdown_is_told_on_stderr(batchq: Shell, gate: Gate) -> None:
    begun = batchq.folder / "begun"
    batchq("add", "-c", f"echo $$ > begun; {gate.wait}; exit 5")
    process = batchq.start("run", "--grace", "2s")
    eventually(lambda: begun.exists() and begun.read_text())
    gone = batchq.folder / "elsewhere"
    gone.mkdir()
    for path in batchq.folder.glob("batchq.db*"):
        path.rename(gone / path.name)
    gate.open()
    eventually(lambda: not Path("/proc", begun.read_text().strip()).exists())  # the run knows how it ended
    send(process, signal.SIGTERM)
    done = finish(process)

    assert done.code == 143
    assert "job 1 attempt 1 failed, exit code 5: could not be recorded" in done.err
    assert 'File "' not in done.err
    shutil.rmtree(gone)


def test_modules_in_the_folder_of_a_handler_never_take_the_place_of_what_a_run_needs(batchq: Shell) -> None:
    for name in ("logging", "tenacity", "tempfile", "traceback", "selectors"):
        (batchq.folder / f"{name}.py").write_text("raise RuntimeError('not me')\n")
    (batchq.folder / "own.py").write_text("def note(event): open('told', 'a').write(event.name + '\\n')\n")
    batchq.env["PYTHONSAFEPATH"] = "1"
    batchq("add", "--max-attempts", "2", "--backoff", "1ms", "--", "false")

    batchq("run", "-q", "--handler", "own:note", code=1)

    assert (batchq.folder / "told").read_text().split()[-1] == "run.stop"
