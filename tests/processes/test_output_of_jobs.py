"""What jobs print: in bounded memory, byte for byte, live, and not lost when the runner dies."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import eventually
from scene import TRIES, Scene, end, ended, python, tell
from soaking import SOAK

pytest_plugins = ("scene",)

KEPT = 64 * 1024
MUCH = 1_000_000_000 if SOAK else 100_000_000
WAIT = "until [ -e go ]; do sleep 0.01; done"


def totals(scene: Scene) -> list[tuple[object, ...]]:
    return scene.rows("SELECT job, stream, total, length(head), length(tail) FROM outputs ORDER BY job, stream")


# --- how much ----------------------------------------------------------------------------------------------------------


def peak_after(scene: Scene, command: str) -> int:
    """The peak memory of a runner (KiB) that has run this command, as its next job sees it."""
    scene.add({"command": command}, {"command": "grep VmHWM /proc/$PPID/status"})
    scene.run("-j", "1")
    ((job,),) = scene.rows("SELECT max(id) FROM jobs")
    assert isinstance(job, int)
    found = re.search(rb"\d+", scene.output(job))
    assert found is not None
    return int(found[0])


def test_much_output_takes_bounded_memory(scene: Scene) -> None:
    silent = peak_after(scene, "true")
    loud = peak_after(scene, f"head -c {MUCH} /dev/zero; head -c {MUCH // 10} /dev/zero >&2")

    (seconds,) = scene.attempts("seconds")[2]
    assert isinstance(seconds, float)
    tell(
        f"{1.1 * MUCH / 1e9:.2f} GB of output: {(loud - silent) / 1024:.1f} MiB more than a silent run"
        f" ({silent / 1024:.1f} MiB), {1.1 * MUCH / 1e6 / seconds:.0f} MB/s"
    )
    assert totals(scene)[1:3] == [(3, "stderr", MUCH // 10, KEPT, KEPT), (3, "stdout", MUCH, KEPT, KEPT)]
    assert loud - silent <= 16 * 1024


def test_much_output_of_a_callable_takes_bounded_memory_in_the_runner_and_the_worker(scene: Scene) -> None:
    (scene.folder / "mine.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "def loud(times):\n    for _ in range(times): os.write(1, bytes(1_000_000))\n"
        "def peaks():\n"
        "    texts = [Path(f'/proc/{pid}/status').read_text() for pid in (os.getpid(), os.getppid())]\n"
        "    return [int(text.partition('VmHWM:')[2].split()[0]) for text in texts]\n"
    )
    for times in (0, MUCH // 1_000_000):
        scene.add({"call": "mine:loud", "args": {"times": times}}, {"call": "mine:peaks"})
        scene.run("-j", "1")

    silent, loud = (eval(str(row[0])) for row in scene.rows("SELECT result FROM attempts WHERE job IN (2, 4)"))
    assert totals(scene) == [(3, "stdout", MUCH, KEPT, KEPT)]
    tell(f"{MUCH / 1e9:.1f} GB of output of a callable: {(loud[1] - silent[1]) / 1024:.1f} MiB more in the runner,"
         f" {(loud[0] - silent[0]) / 1024:.1f} MiB in the worker")  # fmt: skip
    assert loud[0] - silent[0] <= 16 * 1024
    assert loud[1] - silent[1] <= 16 * 1024


def test_a_line_of_a_hundred_megabytes_keeps_its_beginning_and_its_end(scene: Scene) -> None:
    scene.add({"command": "printf begin; head -c 100000000 /dev/zero | tr '\\0' x; echo end"})
    scene.run()

    assert totals(scene) == [(1, "stdout", 100_000_009, KEPT, KEPT)]
    kept = scene.output()
    assert kept.startswith(b"beginxxx")
    assert kept.endswith(b"xxxend\n")


@pytest.mark.parametrize("size", [0, 1, KEPT - 1, KEPT, KEPT + 1, 2 * KEPT - 1, 2 * KEPT, 2 * KEPT + 1, 5 * KEPT])
def test_what_is_kept_is_the_beginning_and_the_end_and_nothing_twice(scene: Scene, size: int) -> None:
    data = os.urandom(size)
    (scene.folder / "data").write_bytes(data)
    (scene.folder / "mine.py").write_text("import sys\ndef cat(): sys.stdout.buffer.write(open('data', 'rb').read())\n")
    scene.add({"command": "cat data"}, {"call": "mine:cat"})
    scene.run()

    for job in (1, 2):
        assert scene.output(job) == (data if size <= 2 * KEPT else data[:KEPT] + data[-KEPT:])
    assert [row[2] for row in totals(scene)] == [size, size][: 2 * bool(size)]


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\x80 no text",
        b"a\0b\0\0",
        b"\x1b[31mred\x1b[0m\x07\r\n",
        b"\n",
        "\u202egnihtyna".encode(),
        b"\xf0\x9f",
    ],
)
def test_bytes_come_back_as_they_were(scene: Scene, data: bytes) -> None:
    (scene.folder / "data").write_bytes(data)
    (scene.folder / "mine.py").write_text(
        "import os, sys\n"
        "def cat():\n"
        "    data = open('data', 'rb').read()\n"
        "    os.write(1, data); sys.stderr.buffer.write(data)\n"
    )
    scene.add({"command": "cat data; cat data >&2"}, {"call": "mine:cat"})
    scene.run()

    for job in (1, 2):
        assert scene.output(job, "stdout") == scene.output(job, "stderr") == data
    shown = subprocess.run(
        scene.shell.argv("logs", "1", "--stdout"),
        cwd=scene.folder,
        env=scene.shell.env,
        capture_output=True,
        check=True,
    )
    assert shown.stdout == data


def test_both_pipes_are_emptied_whatever_the_order(scene: Scene) -> None:
    both = "import os\nfor _ in range(50): os.write(2, b'e' * 100_000); os.write(1, b'o' * 100_000)"
    scene.add({"command": python("-c", both)}, {"call": "mischief:fill_both_pipes", "args": {"size": 5_000_000}})
    scene.run()

    assert [row[:3] for row in totals(scene)] == [
        (job, stream, 5_000_000) for job in (1, 2) for stream in ("stderr", "stdout")
    ]


def test_a_job_may_close_or_hand_on_its_output(scene: Scene) -> None:
    scene.add(
        {"command": "echo one; exec >&- 2>&-; echo lost; true"},
        {"command": "echo two >/dev/stderr; echo three >/proc/self/fd/1"},
        {"command": "exec 2>&1; echo four >&2"},
    )
    scene.run("-j", "1")

    assert [scene.output(job) for job in (1, 2, 3)] == [b"one\n", b"three\n", b"four\n"]
    assert scene.output(2, "stderr") == b"two\n"


# --- while it runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["command", "callable"])
def test_what_a_running_job_prints_is_in_the_store_soon(scene: Scene, kind: str) -> None:
    (scene.folder / "mine.py").write_text(
        "import os, time\n"
        "def speak():\n"
        "    for word in ('one', 'two'):\n"
        "        print(word)\n"
        "        while not os.path.exists('go ' + word): time.sleep(0.01)\n"
    )
    command = 'for word in one two; do echo $word; until [ -e "go $word" ]; do sleep 0.01; done; done'
    scene.add({"command": command} if kind == "command" else {"call": "mine:speak"})
    process = scene.start()

    eventually(lambda: scene.output() == b"one\n")
    assert scene.jobs() == [("running",)]
    (scene.folder / "go one").touch()
    eventually(lambda: scene.output() == b"one\ntwo\n")
    assert scene.jobs() == [("running",)]
    (scene.folder / "go two").touch()

    assert ended(process) == 0
    assert scene.output() == b"one\ntwo\n"


@contextlib.contextmanager
def following(scene: Scene, shown: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """``logs -f 1``, which writes to ``shown`` and is gone at the end."""
    with shown.open("wb") as file:
        process = subprocess.Popen(
            scene.shell.argv("logs", "-f", "1"), cwd=scene.folder, env=scene.shell.env, stdout=file,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_following_the_log_prints_live_and_ends_with_the_job(scene: Scene) -> None:
    scene.add({"command": f"echo one; echo beside >&2; {WAIT}; echo two; printf three"})
    process = scene.start()
    shown = scene.folder / "shown"
    with following(scene, shown) as follower:
        eventually(lambda: shown.read_bytes() == b"one\nbeside\n")
        assert follower.poll() is None
        (scene.folder / "go").touch()
        assert ended(process) == 0
        assert follower.wait(timeout=60) == 0

    assert shown.read_bytes() == b"one\nbeside\ntwo\nthree"


def test_following_the_log_misses_nothing_of_quick_attempts(scene: Scene) -> None:
    shown = scene.folder / "shown"
    scene.add({"command": f"echo attempt $BATCHQ_ATTEMPT; {WAIT}; test $BATCHQ_ATTEMPT = 5", "max_attempts": 5,
               "backoff": "1ms"})  # fmt: skip
    process = scene.start()
    with following(scene, shown) as follower:
        eventually(lambda: shown.read_bytes() == b"attempt 1\n")
        (scene.folder / "go").touch()
        assert follower.wait(timeout=60) == 0

    assert ended(process) == 0
    assert shown.read_bytes() == b"".join(b"attempt %d\n" % number for number in range(1, 6))


def test_a_runner_that_dies_loses_at_most_the_last_moment(scene: Scene) -> None:
    scene.add({"command": "echo early; echo early too >&2; : > begun; cat never", "max_crashes": 1})
    process = scene.start()
    eventually(lambda: scene.output() == b"early\n" and scene.output(1, "stderr") == b"early too\n")
    end(scene.runner())

    assert ended(process) == 137
    scene.run(code=1)
    assert scene.attempts() == [("crashed",)]
    assert scene.output() == b"early\n"
    assert scene.output(1, "stderr") == b"early too\n"


@pytest.mark.parametrize("ending", ["timeout", "signal", "crash"])
def test_the_last_words_of_a_callable_that_is_ended_are_kept(scene: Scene, ending: str) -> None:
    (scene.folder / "mine.py").write_text(
        "import os, ready, sys, time\n"
        "def speak(ending):\n"
        "    if ready.is_over(): return\n"
        "    print('last words'); print('and errors', file=sys.stderr)\n"
        "    ready.ready()\n"
        "    open('begun', 'w').close()\n"
        "    if ending == 'crash': os._exit(3)\n"
        "    time.sleep(60)\n"
    )
    limits = TRIES if ending == "timeout" else {}
    scene.add({"call": "mine:speak", "args": {"ending": ending}, "max_crashes": 1, **limits})
    process = scene.start("--grace", "50ms")
    eventually(scene.begun.exists)
    if ending == "signal":
        process.send_signal(signal.SIGTERM)
    ended(process)

    number = int(str(scene.attempt_that_was_ready("number")[0]))
    assert scene.output(attempt=number) == b"last words\n"
    assert scene.output(1, "stderr", number) == b"and errors\n"


# --- files -------------------------------------------------------------------------------------------------------------


def logs(scene: Scene) -> dict[str, bytes]:
    """What is in each log, by job and attempt."""
    found = (scene.folder / "logs").iterdir()
    return {path.name.rpartition("-")[0] + ".log": path.read_bytes() for path in found}


def test_a_log_folder_has_everything_one_file_an_attempt(scene: Scene) -> None:
    data = os.urandom(3_000_000)
    (scene.folder / "data").write_bytes(data)
    (scene.folder / "mine.py").write_text("import sys\ndef cat(): sys.stdout.buffer.write(open('data', 'rb').read())\n")
    scene.add(
        {"command": "cat data"},
        {"command": "echo $BATCHQ_ATTEMPT; test $BATCHQ_ATTEMPT = 2", "max_attempts": 2, "backoff": "1ms"},
        {"call": "mine:cat"},
        {"command": "echo out; sleep 0.1; echo err >&2"},
        {"command": "true"},
        {"call": "os:getpid"},
        {"command": ["no-such-program"]},
    )
    scene.run("--log-dir", "logs", code=1)

    found = logs(scene)
    assert found.pop("1-1.log") == data
    assert found.pop("3-1.log") == data
    assert found.pop("2-1.log") == b"1\n"
    assert found.pop("2-2.log") == b"2\n"
    assert found.pop("4-1.log") == b"out\nerr\n"
    assert set(found.values()) <= {b""}
    modes = {path.stat().st_mode & 0o777 for path in (scene.folder / "logs").iterdir()}
    assert modes == {0o600}


def test_a_log_has_what_was_printed_when_the_runner_died(scene: Scene) -> None:
    scene.add({"command": "echo early; : > begun; cat never", "max_crashes": 1})
    process = scene.start("--log-dir", "logs")
    eventually(lambda: (scene.folder / "logs").exists() and logs(scene).get("1-1.log") == b"early\n")
    end(scene.runner())

    assert ended(process) == 137


def test_output_is_private_to_its_job_whatever_the_slots(scene: Scene) -> None:
    jobs = 400
    speak = "echo $BATCHQ_JOB_ID; echo $BATCHQ_JOB_ID >&2; (sleep 0.02; echo late $BATCHQ_JOB_ID) &"
    scene.add(*[{"command": speak}] * jobs)
    scene.run("-j", "8")

    # Leftovers may still print before they are killed, but only for their own job.
    rows = scene.rows("SELECT job, stream, CAST(head AS TEXT) FROM outputs ORDER BY job, stream")
    assert [row[:2] for row in rows] == [(job, stream) for job in range(1, jobs + 1) for stream in ("stderr", "stdout")]
    assert [row for row in rows if row[2] not in (f"{row[0]}\n", f"{row[0]}\nlate {row[0]}\n")] == []


def test_a_reader_of_the_log_that_goes_away_causes_no_traceback(scene: Scene) -> None:
    scene.add({"command": "head -c 200000 /dev/zero"})
    scene.run()
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>said | head -c 10', "sh", *scene.shell.argv("logs", "1")],
        cwd=scene.folder, env=scene.shell.env, capture_output=True, check=True,
    )  # fmt: skip

    assert len(done.stdout) == 10
    with contextlib.suppress(FileNotFoundError):
        assert "Traceback" not in Path(scene.folder / "said").read_text()
