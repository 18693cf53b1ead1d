"""S9: each signal in each situation: the exit code, the states of the jobs, and that no process is left."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import eventually
from scene import Row, Scene, children_of, end, ended, is_stopped, python, signal_one, status_of, tell
from terminal import on_terminal

from batchq.errors import ScarceError
from batchq.processes import guardian
from batchq.store.file.locks import LockFile

pytest_plugins = ("scene",)

GRACE = "100ms"
COSTS = "state, failures, crashes, interruptions"
GIVEN_BACK: list[Row] = [("queued", 0, 0, 1)]
Run = subprocess.Popen[bytes]


class Situation(NamedTuple):
    """What a run is doing; ``ready`` is when it does, ``jobs`` and ``attempts`` are their states after a stop."""

    add: Callable[[Scene], None]
    ready: Callable[[Scene], object]
    jobs: list[Row] | None
    attempts: list[Row] | None


def add_one_that_waits_for_its_retry(scene: Scene) -> None:
    scene.add({"command": "exit 3", "max_attempts": 2, "backoff": "1h"})


def add_commands(scene: Scene) -> None:
    scene.add({"command": "setsid ./rest & : > begun; : < never"})


def add_callables(scene: Scene) -> None:
    scene.add({"call": "mischief:leave", "args": {"kind": "popen_in_a_new_session", "how": "stay"}})


def add_a_flood(scene: Scene) -> None:
    scene.add({"command": "echo up > begun; exec yes"})


STAYS: dict[str, object] = {"command": ": < never"}  #: the last job: the run is at work however late its signal comes


def add_very_short_commands(scene: Scene) -> None:
    scene.add(*[{"command": ["true"]}] * 4_000, STAYS)


def add_very_short_callables(scene: Scene) -> None:
    scene.add(*[{"call": "os:getpid"}] * 20_000, STAYS)


def begun(scene: Scene) -> bool:
    return scene.begun.exists()


def some_succeeded(scene: Scene) -> bool:
    return scene.rows("SELECT coalesce(sum(jobs), 0) > 50 FROM counters WHERE state = 'succeeded'") == [(1,)]


def waits(scene: Scene) -> bool:
    return scene.jobs() == [("scheduled",)]


SITUATIONS = {
    "waiting for a retry": Situation(add_one_that_waits_for_its_retry, waits, [("scheduled", 1, 0, 0)], [("failed",)]),
    "a command": Situation(add_commands, begun, GIVEN_BACK, [("interrupted",)]),
    "a callable": Situation(add_callables, begun, GIVEN_BACK, [("interrupted",)]),
    "a flood of output": Situation(add_a_flood, begun, GIVEN_BACK, [("interrupted",)]),
    "very short commands": Situation(add_very_short_commands, some_succeeded, None, None),
    "very short callables": Situation(add_very_short_callables, some_succeeded, None, None),
    "blocked on the store": Situation(add_commands, begun, GIVEN_BACK, [("interrupted",)]),
}


# --- what is sent: each tells when that began which ends the run -------------------------------------------------------

Send = Callable[[Scene, Run], float]


def once(number: int) -> Send:
    def send(_: Scene, run: Run) -> float:
        began = time.monotonic()
        run.send_signal(number)
        return began

    return send


terminate = once(signal.SIGTERM)


def int_then_term(scene: Scene, run: Run) -> float:
    """One after the other: CPython may handle two simultaneous signals in either order."""
    run.send_signal(signal.SIGINT)
    stops(scene)
    return terminate(scene, run)


def int_and_term(scene: Scene, run: Run) -> float:
    began = time.monotonic()
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGTERM)
    return began


def again_and_again(number: int) -> Send:
    """The second one counts only some time after the first, because timeout(1) sends each twice."""

    def send(_: Scene, run: Run) -> float:
        began = time.monotonic()

        def is_over() -> bool:
            run.send_signal(number)
            return run.poll() is not None

        eventually(is_over)
        return began

    return send


def ask_how_it_goes(scene: Scene, run: Run) -> float:
    run.send_signal(signal.SIGUSR1)
    eventually(lambda: "jobs done" in scene.said())
    return terminate(scene, run)


def break_the_pipe(scene: Scene, run: Run) -> float:
    run.send_signal(signal.SIGPIPE)
    (runner,) = children_of(run.pid)
    signal_one(runner, signal.SIGPIPE)
    return ask_how_it_goes(scene, run)


def suspend_and_resume(scene: Scene, run: Run) -> float:
    (runner,) = children_of(run.pid)
    run.send_signal(signal.SIGTSTP)
    eventually(lambda: is_stopped(run.pid) and is_stopped(runner))
    run.send_signal(signal.SIGCONT)
    eventually(lambda: not is_stopped(run.pid) and not is_stopped(runner))
    return terminate(scene, run)


SIGNALS: dict[str, tuple[Send, int, str]] = {
    "INT": (once(signal.SIGINT), 130, GRACE),
    "TERM": (once(signal.SIGTERM), 143, GRACE),
    "HUP": (once(signal.SIGHUP), 129, GRACE),
    "QUIT": (once(signal.SIGQUIT), 131, "1h"),
    "INT, then TERM": (int_then_term, 130, "1h"),
    "TERM twice": (again_and_again(signal.SIGTERM), 143, "1h"),
    "USR1, then TERM": (ask_how_it_goes, 143, GRACE),
    "PIPE, then TERM": (break_the_pipe, 143, GRACE),
    "TSTP and CONT, then TERM": (suspend_and_resume, 143, GRACE),
}

_LATENCIES: list[float] = []


@pytest.fixture(scope="module", autouse=True)
def latencies() -> Iterator[None]:
    yield
    ordered = sorted(_LATENCIES)
    if ordered:
        p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99))
        tell(
            f"S9: {len(ordered)} stops with a grace of {GRACE} or none: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms,"
            f" max {ordered[-1] * 1000:.0f} ms"
        )


@pytest.mark.parametrize("signals", SIGNALS)
@pytest.mark.parametrize("name", [name for name in SITUATIONS if name != "blocked on the store"])
def test_a_signal_stops_the_run_in_order_whatever_it_does(scene: Scene, name: str, signals: str) -> None:
    situation, (send, code, grace) = SITUATIONS[name], SIGNALS[signals]
    situation.add(scene)
    run = scene.start("-j", "2", "--grace", grace)
    eventually(lambda: situation.ready(scene))
    began = send(scene, run)

    assert ended(run) == code
    _LATENCIES.append(time.monotonic() - began)
    assert scene.survivors() == []
    assert "Traceback" not in scene.said()
    check_what_became_of_the_jobs(scene, situation)


def check_what_became_of_the_jobs(scene: Scene, situation: Situation) -> None:
    if situation.jobs is not None:
        assert scene.jobs(COSTS) == situation.jobs
        assert scene.attempts() == situation.attempts
        return
    states = scene.rows("SELECT DISTINCT state, failures, crashes FROM jobs ORDER BY state")
    assert states == [("queued", 0, 0), ("succeeded", 0, 0)]
    assert scene.rows("SELECT count(*) FROM jobs WHERE interruptions > 1") == [(0,)]
    assert scene.rows("SELECT count(*) FROM attempts WHERE outcome NOT IN ('succeeded', 'interrupted')") == [(0,)]


def is_blocked(pid: int, lock: os.stat_result) -> bool:
    """Whether a process waits for a lock on this file: the lines of waiters in /proc/locks have an arrow."""
    with Path("/proc/locks").open() as file:
        waiters = [line.split() for line in file if "->" in line]
    return any(words[6].endswith(f":{lock.st_ino}") for words in waiters) and bool(status_of(pid))


@pytest.mark.parametrize("signals", [name for name in SIGNALS if "USR1" not in name and "PIPE" not in name])
def test_a_signal_stops_a_run_that_is_blocked_on_its_store(scene: Scene, signals: str) -> None:
    situation, (send, code, grace) = SITUATIONS["blocked on the store"], SIGNALS[signals]
    situation.add(scene)
    run = scene.start("-j", "2", "--grace", grace)
    eventually(lambda: situation.ready(scene))
    runner = scene.runner()
    eventually(lambda: scene.pids.exists() and scene.pids.read_text().strip())
    leader = int(scene.pids.read_text())
    mutex = LockFile(str(scene.shell.db()))
    mutex.acquire_mutex(10)
    sidecar = Path(mutex.path).stat()
    try:
        eventually(lambda: is_blocked(runner, sidecar))
        codes = {code}
        if signals in ("TERM twice", "INT, then TERM"):  # it cannot end, nor enter anything, while the store is locked
            send, codes = int_and_term, {130, 143}
        began = send(scene, run)
        eventually(lambda: not status_of(leader))  # the job is dead, and that cannot be recorded yet
    finally:
        mutex.close()

    assert ended(run) in codes
    _LATENCIES.append(time.monotonic() - began)
    assert scene.survivors() == []
    assert "Traceback" not in scene.said()
    check_what_became_of_the_jobs(scene, situation)


def test_a_run_whose_store_stays_locked_tells_what_it_could_not_record(scene: Scene) -> None:
    add_commands(scene)
    run = scene.start("--grace", "0s")
    eventually(scene.begun.exists)
    mutex = LockFile(str(scene.shell.db()))
    mutex.acquire_mutex(10)
    try:
        run.send_signal(signal.SIGTERM)
        assert ended(run) == 143
    finally:
        mutex.close()

    assert scene.survivors() == []
    assert "could not be recorded" in scene.said()
    assert "Traceback" not in scene.said()
    scene.add({"command": "true", "priority": 1})  # the other waits forever, and may be due at once
    scene.run("--max-jobs", "1")


# --- who hears what ----------------------------------------------------------------------------------------------------


def ignoring(scene: Scene, *numbers: str) -> Run:
    """A run that is started with some signals ignored, as nohup and a shell's & do it."""
    words = [os.fsdecode(word) for word in scene.shell.argv("run", "--grace", GRACE)]
    return scene.start_program("sh", "-c", f'trap "" {" ".join(numbers)}; exec "$@"', "sh", *words)


@pytest.mark.parametrize("name", ["INT", "HUP", "TERM", "QUIT"])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(scene: Scene, name: str) -> None:
    scene.add({"command": "grep SigIgn /proc/self/status; : > begun; until [ -e go ]; do sleep 0.01; done"})
    run = ignoring(scene, name)
    eventually(scene.begun.exists)
    run.send_signal(signal.Signals[f"SIG{name}"])
    run.send_signal(signal.SIGUSR1)
    eventually(lambda: "jobs done" in scene.said())
    (scene.folder / "go").touch()

    assert ended(run) == 0
    assert scene.attempts() == [("succeeded",)]


def test_jobs_start_with_default_signals_and_an_empty_mask(scene: Scene) -> None:
    (scene.folder / "mine.py").write_text(
        "def masks():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return [line.split()[1] for line in lines if line.startswith(('SigBlk', 'SigIgn'))]\n"
    )
    scene.add({"command": ["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"]}, {"call": "mine:masks"})
    blocking = (
        "import os, signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR2])\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_IGN)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    words = [os.fsdecode(word) for word in scene.shell.argv("run")]
    assert ended(scene.start_program(*python("-c", blocking, *words))) == 0

    # glibc's posix_spawn leaves its two internal signals, 32 and 33, ignored.
    masks = [int(line.split()[1], 16) & 0x7FFFFFFF for line in scene.output().decode().splitlines()]
    assert masks == [0, 0]
    ((result,),) = scene.rows("SELECT result FROM attempts WHERE job = 2")
    blocked, ignored = (int(word, 16) for word in str(result).strip('[]"').replace('"', "").split(","))
    assert blocked == 0
    # Python itself ignores these two.
    assert ignored & 0x7FFFFFFF & ~(1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1) == 0


def test_a_signal_to_the_whole_group_of_the_run_reaches_it_once(scene: Scene) -> None:
    # timeout(1) signals its child and then the group; that is one stop, and running jobs may finish.
    scene.add({"command": "echo up > begun; until [ -e go ]; do sleep 0.01; done"})
    is_late = True
    while is_late:  # this process was held up between the two, which were no single stop then
        scene.begun.unlink(missing_ok=True)
        run = scene.start("--grace", "1h")
        eventually(scene.begun.exists)
        began = time.monotonic()
        os.kill(run.pid, signal.SIGTERM)
        os.killpg(run.pid, signal.SIGTERM)
        if is_late := time.monotonic() - began > 0.4:
            run.send_signal(signal.SIGQUIT)
            ended(run)
    stops(scene)
    (scene.folder / "go").touch()

    assert ended(run) == 143
    assert scene.jobs() == [("succeeded",)]


def stops(scene: Scene) -> None:
    """Wait until the newest run has begun to stop: before that it would start another job, or end by itself."""
    eventually(lambda: scene.rows("SELECT state FROM runners ORDER BY id DESC LIMIT 1") != [("running",)])


@contextmanager
def terminal(scene: Scene, *options: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A run on a terminal of its own, and the other side of that."""
    ours, theirs = os.openpty()
    words = [os.fsdecode(word) for word in scene.shell.argv("run", *options)]
    take_terminal = (
        "import fcntl, os, sys, termios\n"
        "os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    run = subprocess.Popen(
        python("-c", take_terminal, *words), cwd=scene.folder, env=scene.shell.env, stdin=theirs, stdout=theirs,
        stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        yield run, ours
    finally:
        run.kill()
        run.wait()
        os.close(ours)


def test_an_interrupt_from_the_terminal_lets_running_jobs_finish(scene: Scene) -> None:
    scene.add({"command": "echo up > begun; until [ -e go ]; do sleep 0.01; done"}, {"command": "true"})
    with terminal(scene, "-j", "1", "--grace", "1h") as (run, ours):
        eventually(scene.begun.exists)
        os.write(ours, b"\x03")
        stops(scene)
        (scene.folder / "go").touch()
        assert ended(run) == 130

    assert scene.jobs() == [("succeeded",), ("queued",)]
    assert scene.survivors() == []


def test_a_run_that_is_stopped_on_a_terminal_leaves_the_cursor_there(scene: Scene) -> None:
    scene.add({"command": "echo up > begun; exec sleep 600"})
    with on_terminal(scene.shell, "run") as terminal:
        terminal.wait_for("1 running")
        terminal.signal(signal.SIGSTOP)
        terminal.screen()
        assert terminal.is_cursor_shown
        terminal.signal(signal.SIGCONT)
        terminal.signal(signal.SIGQUIT)
        assert terminal.wait() == 131


def test_the_death_of_the_guardian_is_noticed_while_the_store_is_locked(scene: Scene) -> None:
    add_commands(scene)
    run = scene.start("--grace", GRACE)
    eventually(lambda: scene.pids.exists() and scene.pids.read_text().strip())
    runner, left = scene.runner(), int(scene.pids.read_text())
    mutex = LockFile(str(scene.shell.db()))
    mutex.acquire_mutex(10)
    try:
        end(run.pid)
        ended(run)
        eventually(lambda: not status_of(left))
    finally:
        mutex.close()
    eventually(lambda: not status_of(runner))

    assert scene.survivors() == []
    assert scene.jobs(COSTS) == GIVEN_BACK


INTERRUPTED = """
import os, signal, sys
import batchq.__main__
class Striking:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
module = sys.argv.pop()
sys.argv = ["batchq", "run"]
sys.meta_path.insert(0, Striking())
batchq.__main__.main()
"""


@pytest.mark.parametrize(
    "module",
    ["batchq.cli.byhand", "batchq.cli.run.draining", "batchq.processes.guardian", "batchq.store.running.runners"],
)
def test_an_interrupt_while_a_run_starts_ends_it_without_a_traceback(scene: Scene, module: str) -> None:
    scene.add({"command": "true"})
    run = scene.start_program(*python("-c", INTERRUPTED, module))

    assert ended(run) == 130
    assert scene.said() == ""
    assert scene.jobs() == [("queued",)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without a right to processes")
def test_a_run_that_is_refused_its_first_process_says_so() -> None:
    said = os.memfd_create("said")
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(54322, 54322, 54322)
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
            guardian.guarded(lambda _: 0, "1")
        except ScarceError as refusal:
            os.write(said, str(refusal).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert "the machine grants it no process" in os.pread(said, 1000, 0).decode()
