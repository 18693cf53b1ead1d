"""How attempts end: every exit code and every signal, timeouts, programs that cannot be started, a machine that is full."""

import json
import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest
from scene import TRIES, Scene, ended, python, until_ready

from batchq.executors.command import Command
from batchq.executors.results import Results
from batchq.executors.shared import ExecutorContext
from batchq.jobs.attempt import Claim
from batchq.processes.capture import Piped
from batchq.processes.spawn import Refusal, Spawner

pytest_plugins = ("scene",)

COSTS = "state, failures, crashes, interruptions"
HARMLESS = ("SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH")
STOPPING = ("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU")
LETHAL = [number for number in range(1, 32) if signal.Signals(number).name not in (*HARMLESS, *STOPPING)]


def test_every_exit_code_is_recorded_as_it_is(scene: Scene) -> None:
    scene.add(*({"command": f"exit {code}"} for code in range(256)))
    scene.run("-q", code=1)

    assert scene.attempts("outcome, exit_code, signal") == [
        ("failed" if code else "succeeded", code, None) for code in range(256)
    ]


def test_every_lethal_signal_is_recorded_as_a_signal_and_128_plus_n_as_a_code(scene: Scene) -> None:
    numbers = [*LETHAL, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)]
    die = (
        "import os, signal, sys; n = int(sys.argv[1])\n"
        "if n != 9: signal.signal(n, signal.SIG_DFL)\n"
        "os.kill(os.getpid(), n)"
    )
    in_a_shell = [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV]
    scene.add(*({"command": python("-S", "-c", die, str(int(number)))} for number in numbers))
    scene.add(*({"command": f"sh -c 'kill -{number} $$'; exit $?"} for number in in_a_shell))
    scene.run("-q", code=1)

    assert scene.attempts("outcome, exit_code, signal") == (
        [("failed", None, number) for number in numbers] + [("failed", 128 + number, None) for number in in_a_shell]
    )


@pytest.mark.parametrize("name", [*HARMLESS, "SIGTSTP", "SIGTTIN"])
def test_a_signal_that_does_not_kill_changes_nothing(scene: Scene, name: str) -> None:
    # A process group without a parent in its session, as a job's, is not stopped by the signals of a terminal.
    scene.add({"command": f"kill -{name[3:]} $$; exit 3", "timeout": "20s"})
    scene.run("-q", code=1)

    assert scene.attempts("outcome, exit_code, signal") == [("failed", 3, None)]


# --- timeouts ----------------------------------------------------------------------------------------------------------


def test_a_timeout_is_term_then_grace_then_kill(scene: Scene) -> None:
    endless = "while :; do sleep 0.01; done"
    scene.add(until_ready("trap 'echo term; exit 0' TERM", endless))
    scene.run("-q", "--grace", "60s")
    scene.add(until_ready("trap 'echo term; : > heard' TERM", endless), until_ready("trap '' TERM", "exec sleep 600"))
    scene.run("-q", "-j", "2", "--grace", "1s")

    columns = "outcome, exit_code, signal, error_type, number, seconds"
    *rows, numbers, seconds = zip(*(scene.attempt_that_was_ready(columns, job) for job in (1, 2, 3)), strict=True)
    assert [*zip(*rows, strict=True)] == [
        ("timed_out", 0, None, "TimedOut"),
        ("timed_out", None, 9, "TimedOut"),
        ("timed_out", None, 9, "TimedOut"),
    ]
    assert scene.output(1, attempt=int(str(numbers[0]))) == b"term\n"
    said = scene.output(2, attempt=int(str(numbers[1])))
    assert said == (b"term\n" if (scene.folder / "heard").exists() else b"")
    assert all(isinstance(one, float) and one >= 0.3 for one in seconds)
    assert all(isinstance(one, float) and one >= 1.3 for one in seconds[1:])


def test_term_reaches_the_whole_group_and_not_only_the_shell(scene: Scene) -> None:
    (scene.folder / "child").write_text("trap 'echo child; exit' TERM; : > up; while :; do sleep 0.01; done\n")
    start = 'rm -f up; trap "wait; exit" TERM; bash ./child & until [ -e up ]; do sleep 0.01; done'
    scene.add(until_ready(start, "wait"))
    scene.run("-q", "--grace", "60s")

    (number,) = scene.attempt_that_was_ready("number")
    assert scene.output(attempt=int(str(number))) == b"child\n"


@pytest.mark.parametrize("function", ["nap", "stubborn"])
def test_a_timeout_of_a_callable_costs_its_worker_and_no_other_job(scene: Scene, function: str) -> None:
    (scene.folder / "mine.py").write_text(
        "import signal, time\n"
        "def nap(): time.sleep(60)\n"
        "def stubborn():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(60)\n"
        "def well(): return 1\n"
    )
    scene.add({"call": f"mine:{function}", "timeout": "300ms"}, *({"call": "mine:well"} for _ in range(5)))
    scene.run("-q", "-j", "1", "--grace", "100ms", code=1)

    assert scene.attempts("outcome, number") == [("timed_out", 1)] + [("succeeded", 1)] * 5


def test_an_import_that_hangs_or_prints_is_the_jobs_own(scene: Scene) -> None:
    (scene.folder / "hangs.py").write_text(
        "import ready, time\ndef f(): pass\n"
        "if not ready.is_over():\n    print('hanging', flush=True); ready.ready(); time.sleep(600)\n"
    )
    (scene.folder / "speaks.py").write_text("print('hello from the import')\ndef f(): print('hello from f')\n")
    (scene.folder / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (scene.folder / "dies.py").write_text("import os\nos._exit(3)\n")
    scene.add(
        {"call": "hangs:f"} | TRIES,
        {"call": "speaks:f"},
        {"call": "leaves:f"},
        {"call": "dies:f", "max_crashes": 1},
        {"call": "speaks:f"},
    )
    scene.run("-q", "-j", "1", "--grace", "50ms", code=1)

    columns = "outcome, exit_code, error_type"
    assert scene.attempt_that_was_ready(columns) == ("timed_out", None, "TimedOut")
    assert scene.rows(f"SELECT {columns} FROM attempts WHERE job > 1 ORDER BY job") == [
        ("succeeded", None, None), ("failed", None, "ImportExited"), ("crashed", 3, "WorkerDied"),
        ("succeeded", None, None),
    ]  # fmt: skip
    (number,) = scene.attempt_that_was_ready("number")
    assert scene.output(1, attempt=int(str(number))) == b"hanging\n"
    assert scene.output(2) == b"hello from the import\nhello from f\n"


# --- what cannot be started --------------------------------------------------------------------------------------------


def test_why_a_program_cannot_be_started_is_reported_by_kind(scene: Scene) -> None:
    folder = scene.folder
    (folder / "plain").write_text("true")
    (folder / "wrong").write_text("#!/no/such/interpreter\n")
    (folder / "binary").write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 57)
    (folder / "empty").touch()
    (folder / "a folder").mkdir()
    for name in ("wrong", "binary", "empty"):
        (folder / name).chmod(0o755)
    scene.add(
        {"command": ["no-such-program"]},
        {"command": ["./no-such-program"]},
        {"command": ["./plain"]},
        {"command": ["./wrong"]},
        {"command": ["./a folder"]},
        {"command": ["true"], "cwd": str(folder / "nowhere")},
        {"command": ["true"], "cwd": str(folder / "plain")},
        {"command": "no-such-program"},
        {"command": "./plain"},
        {"command": ["./empty"]},
        {"command": ["true"], "env": {"PATH": str(folder)}},
    )
    scene.run("-q", code=1)

    assert scene.attempts("outcome, error_type, exit_code") == [
        ("failed", "NoSuchProgram", None),
        ("failed", "NoSuchProgram", None),
        ("failed", "NotExecutable", None),
        ("failed", "NoSuchProgram", None),
        ("failed", "NotExecutable", None),
        ("failed", "NoSuchFolder", None),
        ("failed", "NoSuchFolder", None),
        ("failed", None, 127),
        ("failed", None, 126),
        ("succeeded", None, 0),
        ("failed", "NoSuchProgram", None),
    ]


def test_a_file_that_is_not_a_program_costs_its_own_attempt_alone(scene: Scene) -> None:
    (scene.folder / "binary").write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 57)
    (scene.folder / "binary").chmod(0o755)
    scene.add({"command": ["./binary"]}, {"command": "true"})
    scene.run("-q", code=1)

    assert scene.attempts() == [("failed",), ("succeeded",)]


def test_a_result_file_of_any_kind_is_read_or_a_failure_that_says_why_not(scene: Scene) -> None:
    def make(how: str) -> dict[str, object]:
        return {"command": f'rm -f "$BATCHQ_RESULT_FILE"; {how}'}

    scene.add(
        make('mkfifo "$BATCHQ_RESULT_FILE"'),
        make('mkdir "$BATCHQ_RESULT_FILE"'),
        make('ln -s /dev/zero "$BATCHQ_RESULT_FILE"'),
        make('ln -s nowhere "$BATCHQ_RESULT_FILE"'),
        make('ln -s "$BATCHQ_RESULT_FILE" "$BATCHQ_RESULT_FILE"'),
        make('head -c 2000000 /dev/zero > "$BATCHQ_RESULT_FILE"'),
        make('printf "\\377" > "$BATCHQ_RESULT_FILE"'),
        make('printf "%1000000s" "" | tr " " "[" > "$BATCHQ_RESULT_FILE"'),
        make('echo 7 > "$BATCHQ_RESULT_FILE"'),
        make("true"),
        make(': > "$BATCHQ_RESULT_FILE"'),
    )
    ended(scene.start("-j", "2", "-q"))

    outcomes = scene.attempts("outcome, error_type, result")
    assert outcomes[:5] == [("failed", "ResultUnreadable", None)] * 5
    assert outcomes[5:8] == [("failed", kind, None) for kind in ("ResultTooLarge", "ResultNotJSON", "ResultNotJSON")]
    assert outcomes[8:] == [("succeeded", None, "7"), ("succeeded", None, None), ("succeeded", None, None)]
    said = " ".join(str(error) for (error,) in scene.attempts("error")[:5])
    assert [said.count(kind) for kind in ("it is a pipe", "it is a folder", "it is a link")] == [1, 1, 3]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user, who may not read everything")
def test_a_result_that_may_not_be_read_is_a_failure(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)  # the folders above are closed to others
    (tmp_path / "result").write_text("7")
    (tmp_path / "result").chmod(0)
    os.chown(tmp_path, 12345, -1)
    os.chown(tmp_path / "result", 12345, -1)
    results = Results()
    os.seteuid(12345)
    try:
        found = results.read(f"/proc/self/fd/{folder}/result")
    finally:
        os.seteuid(0)
        os.close(folder)

    assert found[0] is None
    assert found[1] is not None
    assert found[1].type == "ResultUnreadable"
    assert found[1].message.endswith("cannot be read: Permission denied")


def test_results_cost_no_descriptor_whatever_they_are_and_are_read_when_none_is_left(tmp_path: Path) -> None:
    results, before = Results(), len(os.listdir("/proc/self/fd"))
    paths = [tmp_path / name for name in ("folder", "pipe", "link", "broken", "good", "too")]
    paths[0].mkdir()
    os.mkfifo(paths[1])
    paths[2].symlink_to("good")
    paths[3].write_text("{")
    for path in paths[4:]:
        path.write_text("[7]")
    for path in paths[:4]:
        assert results.read(str(path))[1] is not None
    assert len(os.listdir("/proc/self/fd")) == before

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, limits[0]), limits[1]))
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        assert results.there(str(tmp_path)) is None
        assert [results.read(str(path)) for path in paths[4:]] == [("[7]", None)] * 2
        assert results.read(str(paths[4])) == (None, None)
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# --- a machine that is full --------------------------------------------------------------------------------------------


def test_a_job_with_stdin_needs_no_room_in_the_temporary_folder(scene: Scene) -> None:
    scene.add({"command": "cat > got", "stdin": "x" * 100_000})
    full = 'mkdir t && mount -t tmpfs -o size=4k,nr_inodes=2 tmpfs t && export TMPDIR=$PWD/t && "$@"'
    words = ["unshare", "--mount", "sh", "-c", full, "sh", *scene.shell.argv("run", "-q")]
    done = subprocess.run(words, cwd=scene.folder, env=scene.shell.env, capture_output=True, timeout=60, check=False)
    if b"mount" in done.stderr or b"unshare" in done.stderr:
        pytest.skip("needs the right to mount")

    assert scene.jobs("state, interruptions") == [("succeeded", 0)]
    assert (scene.folder / "got").stat().st_size == 100_000


@pytest.mark.parametrize("descriptors", [12, 16, 20, 26, 33, 40, 60])
def test_with_too_few_descriptors_a_run_does_with_fewer_slots_or_says_so(scene: Scene, descriptors: int) -> None:
    command: dict[str, object] = {"command": "cat >> ran", "stdin": "x"}
    function: dict[str, object] = {"call": "os:getpid"}
    scene.add(*[command, function] * 6)
    limited = 'ulimit -n "$0" && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", limited, str(descriptors), *scene.shell.argv("run", "-j", "4", "--log-dir", "logs")],
        cwd=scene.folder, env=scene.shell.env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    if descriptors < 30:
        assert (done.returncode, done.stderr.count("\n")) == (75, 1)
        assert "file descriptors" in done.stderr
        assert set(scene.jobs(COSTS)) == {("queued", 0, 0, 0)}
        scene.run("-j", "4")
    else:
        assert done.returncode == 0
        assert done.stderr.startswith("batchq: warning: -j 4 needs more file descriptors") or descriptors == 60
    assert set(scene.jobs(COSTS)) == {("succeeded", 0, 0, 0)}


def test_a_temporary_folder_that_is_gone_or_full_causes_no_traceback(scene: Scene) -> None:
    scene.add({"command": "true"})
    done = scene.run(code=None, env={"TMPDIR": str(scene.folder / "nowhere")})

    assert "Traceback" not in done.err
    assert scene.rows("SELECT sum(failures), sum(crashes) FROM jobs") == [(0, 0)]


def test_a_log_folder_that_vanishes_costs_the_log_and_not_the_run(scene: Scene) -> None:
    scene.add({"command": "rm -r logs; echo one"}, {"command": "echo two"}, {"call": "os:getpid"})
    done = scene.run("-j", "1", "--log-dir", "logs", code=None)

    assert "Traceback" not in done.err
    assert scene.jobs() == [("succeeded",)] * 3
    assert scene.output(2) == b"two\n"


def test_a_job_has_descriptors_0_to_2_alone(scene: Scene) -> None:
    scene.add({"command": "ls /proc/self/fd"}, {"call": "mischief:open_descriptors"})
    # The script that runs batchq holds a lock on its descriptor 9; no job may inherit it.
    subprocess.run(
        ["bash", "-c", 'exec 9>held; flock 9; "$@"', "bash", *scene.shell.argv("run", "-j", "1")],
        cwd=scene.folder, env=scene.shell.env, timeout=60, check=True,
    )  # fmt: skip

    assert len(scene.output(1).split()) == 4  # and the folder that ls reads
    ((result,),) = scene.rows("SELECT result FROM attempts WHERE job = 2")
    open_ones = json.loads(str(result))
    assert not [entry for entry in open_ones if "held" in entry or "batchq.db" in entry]
    # The worker's own: input, two streams, what these may point to, its three pipes and two files.
    assert len(open_ones) <= 12


def test_the_runner_goes_on_when_its_folder_is_gone(scene: Scene) -> None:
    (scene.folder / "here").mkdir()
    scene.add(
        {"command": "rmdir ../here", "cwd": str(scene.folder / "here")},
        {"command": "true", "cwd": str(scene.folder / "here")},
        {"call": "os:getpid", "cwd": str(scene.folder / "here")},
        {"command": "true"},
        {"call": "os:getpid"},
    )
    scene.run("-q", "-j", "1", code=1)

    assert scene.attempts("outcome, error_type") == [
        ("succeeded", None), ("failed", "NoSuchFolder"), ("failed", "NoSuchFolder"), ("succeeded", None),
        ("succeeded", None),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["command", "callable"])
def test_a_folder_that_was_made_anew_is_the_new_one(scene: Scene, kind: str) -> None:
    (scene.folder / "here").mkdir()
    here = str(scene.folder / "here")
    (scene.folder / "mine.py").write_text("import pathlib\ndef touch(name): pathlib.Path(name).touch()\n")
    shared = {"PYTHONPATH": f"{scene.folder}:{scene.shell.env['PYTHONPATH']}"}

    def touch(name: str) -> dict[str, object]:
        if kind == "command":
            return {"command": ["touch", name], "cwd": here}
        return {"call": "mine:touch", "args": {"name": name}, "cwd": here}

    scene.add(touch("old"), {"command": "cd ..; rm -r here; mkdir here", "cwd": here}, touch("new"))
    scene.run("-j", "1", env=shared)

    assert [path.name for path in (scene.folder / "here").iterdir()] == ["new"]
    assert scene.jobs() == [("succeeded",)] * 3


def test_with_one_slot_no_two_jobs_ever_run_at_once(scene: Scene) -> None:
    (scene.folder / "mine.py").write_text(
        "import os, time\ndef alone():\n    os.mkdir('busy'); time.sleep(0.01); os.rmdir('busy')\n"
    )
    alone: list[dict[str, object]] = [{"command": "mkdir busy && sleep 0.01 && rmdir busy"}, {"call": "mine:alone"}]
    scene.add(*alone * 25)
    scene.run("-q", "-j", "1")

    assert scene.attempts() == [("succeeded",)] * 50


def test_the_output_of_a_job_that_never_ends_does_not_keep_the_run_from_anything(scene: Scene) -> None:
    # Two that print as fast as they can, one of them until its timeout; a third one runs next to them.
    scene.add(
        {"command": ["yes"], "timeout": "300ms"},
        {"command": ["sh", "-c", "exec yes >&2"], "timeout": "300ms"},
        {"command": "echo well"},
    )
    scene.run("-q", "-j", "2", "--grace", "100ms", code=1)

    assert scene.attempts() == [("timed_out",), ("timed_out",), ("succeeded",)]


def test_what_stays_and_prints_without_end_does_not_keep_its_job_from_ending(scene: Scene) -> None:
    (scene.folder / "spam").write_text("trap '' PIPE; echo $$ >> pids; while :; do echo spam; done\n")
    leave = "setsid bash ./spam & until [ -e pids ]; do sleep 0.01; done"
    scene.add({"command": ["bash", "-c", leave], "leftovers": "keep"})
    assert ended(scene.start("-q")) == 0

    assert scene.attempts() == [("succeeded",)]
    scene.end_survivors()


def test_what_a_callable_leaves_and_prints_without_end_does_not_keep_it_from_ending(scene: Scene) -> None:
    (scene.folder / "mine.py").write_text(
        "import os, time\n"
        "def spam():\n"
        "    first = os.fork()\n"
        "    if first == 0:\n"
        "        if os.fork() == 0:\n"
        "            open('pids', 'w').close()\n"
        "            while True: os.write(1, b'y' * 65536)\n"
        "        os._exit(0)\n"
        "    os.waitpid(first, 0)\n"
        "    while not os.path.exists('pids'): time.sleep(0.01)\n"
    )
    scene.add({"call": "mine:spam"}, {"call": "os:getpid"})
    assert ended(scene.start("-q", "-j", "1")) == 0

    assert scene.attempts() == [("succeeded",)] * 2
    assert scene.output(2) == b""


def test_a_stdin_that_cannot_be_made_is_the_fault_of_the_machine(folder: Path) -> None:
    context, output = ExecutorContext(Spawner(), str(folder), "batchq.db", "1"), Piped()
    empty = Claim(**dict.fromkeys(Claim._fields))  # type: ignore[arg-type]
    claim = empty._replace(
        id=1, attempt=1, token="t", kind="argv", work='["cat"]', batch="b", queue="q", stdin=b"x", cwd="/", path="/bin"
    )
    next_free = os.open(os.devnull, os.O_RDONLY)
    os.close(next_free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_free, limits[1]))
    try:
        refused = Command(claim, context).start(output)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        output.close()

    assert isinstance(refused, Refusal)
    assert refused.of_machine
