"""S8: whatever tree of processes a job starts, and however it, its run or the guardian ends, no process is left."""

import signal
import subprocess

import mischief
import pytest
import shapes
from _pytest.mark import ParameterSet
from conftest import eventually
from scene import Scene, end, ended, is_gone, is_stopped
from shapes import SHAPES, STAY

pytest_plugins = ("scene",)

STAYING = [
    "a background child",
    "a double fork with setsid",
    "a daemon with closed descriptors",
    "no environment and a new session",
    "a daemon that ignores TERM",
    "a stopped daemon",
    "two that start each other anew",
    "a run of another store",
    "python: daemon",
    "python: process pool",
]
CALLABLES = ["popen_in_a_new_session", "double_fork", "daemon", "forked_process"]
#: A timeout that passes soon, and grows until the job has begun by then; the attempt after that finds itself alone
SOON = {"timeout": "600ms", "retry_timeout_factor": 5, "max_attempts": 5}
OUTCOME = "outcome, exit_code, signal"
COSTS = "state, attempt, failures, crashes, interruptions"


def call(function: str, **fields: object) -> dict[str, object]:
    return {"call": f"mischief:{function}", "max_attempts": 2, "backoff": "1ms", **fields}


def leaving(kind: str, how: str) -> dict[str, object]:
    return call("leave", args={"kind": kind, "how": how})


def rescued(scene: Scene) -> None:
    """The next run settles the job as crashed, and its second attempt finds no other process."""
    scene.run()
    assert scene.attempts() == [("crashed",), ("succeeded",)]


# --- the job ends by itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPES)
def test_what_a_command_leaves_is_dead_when_it_is_tried_again(scene: Scene, name: str) -> None:
    scene.add(shapes.job(scene, SHAPES[name], "exit 3"))
    scene.run("-j", "1")

    assert scene.attempts(OUTCOME) == [("failed", 3, None), ("succeeded", 0, None)]
    ((left,), (more,)) = scene.attempts("leftovers")
    assert isinstance(left, int)
    assert left >= 1
    assert more == 0
    assert scene.survivors() == []


@pytest.mark.parametrize("kind", mischief.KINDS)
def test_what_a_callable_leaves_is_dead_when_it_is_tried_again(scene: Scene, kind: str) -> None:
    scene.add(leaving(kind, "raise"))
    scene.run("-j", "1")

    assert scene.attempts("outcome, error_type, result") == [
        ("failed", "ValueError", None),
        ("succeeded", None, '"alone"'),
    ]
    ((left,), (more,)) = scene.attempts("leftovers")
    assert isinstance(left, int)
    assert left >= 1
    assert more == 0
    assert scene.survivors() == []


@pytest.mark.parametrize("kind", mischief.KINDS)
def test_what_a_callable_leaves_is_dead_after_its_worker_crashed(scene: Scene, kind: str) -> None:
    scene.add(leaving(kind, "crash"))
    scene.run("-j", "1")

    assert scene.attempts(OUTCOME) == [("crashed", 7, None), ("succeeded", None, None)]
    assert scene.survivors() == []


@pytest.mark.parametrize(
    ("tail", "outcome"),
    [
        ("kill -9 $$", ("failed", None, 9)),
        ("kill -SEGV $$", ("failed", None, 11)),
        ("kill 0", ("failed", None, 15)),
        ("kill -9 0", ("failed", None, 9)),
        (": > $F/begun; kill -STOP $$", ("timed_out", None, 15)),
        ("trap '' TERM; : > $F/begun; kill -STOP $$; " + STAY, ("timed_out", None, 9)),
        ("trap '' TERM; kill 0; exit 4", ("failed", 4, None)),
        ("exec sh -c 'exec sh -c \"exit 5\"'", ("failed", 5, None)),
        ("read line; exit 6", ("failed", 6, None)),
        ("read line </dev/tty || exit 7", ("failed", 7, None)),
        ("exec >&- 2>&- <&-; exit 8", ("failed", 8, None)),
        ("umask 777; ulimit -n 3; cd /; exit 9", ("failed", 9, None)),
    ],
)
def test_how_the_first_process_of_a_tree_ends_is_recorded_as_it_was(
    scene: Scene, tail: str, outcome: tuple[object, ...]
) -> None:
    tree = shapes.Shape('"$R" & (setsid "$R" &)', 2)
    limit = {"timeout": "500ms", "retry_timeout_factor": 5, "max_attempts": 5} if outcome[0] == "timed_out" else {}
    scene.add(shapes.job(scene, tree, tail) | {"max_attempts": 1} | limit)
    scene.run("--grace", "50ms", code=0 if limit else 1)

    if limit:
        assert scene.attempts("outcome")[-1] == ("succeeded",), "it found that the one before had begun"
    assert scene.attempts(OUTCOME)[-2 if limit else 0] == outcome
    assert scene.survivors() == []


@pytest.mark.parametrize(
    ("function", "outcome"),
    [
        ("segfault", (None, 11)),
        ("kill_itself", (None, 9)),
        ("kill_its_group", (None, 9)),
        ("leave_early", (0, None)),
    ],
)
def test_a_callable_that_ends_its_worker_crashes_alone(
    scene: Scene, function: str, outcome: tuple[object, ...]
) -> None:
    arguments = {"code": 0} if function == "leave_early" else {}
    scene.add(call(function, args=arguments, max_crashes=1), *(call("children", timeout="20s") for _ in range(3)))
    scene.run("-j", "1", code=1)

    assert scene.attempts("outcome, exit_code, signal, result") == [
        ("crashed", *outcome, None), *[("succeeded", None, None, "0")] * 3
    ]  # fmt: skip
    assert scene.survivors() == []


@pytest.mark.parametrize("daemonic", [True, False])
def test_a_thread_that_a_callable_leaves_does_not_delay_the_end_of_the_run(scene: Scene, daemonic: bool) -> None:
    scene.add(call("leave_a_thread", args={"daemonic": daemonic}))
    scene.run("--grace", "300ms")

    assert scene.attempts() == [("succeeded",)]
    assert scene.survivors() == []


def test_a_job_that_kills_its_runner_costs_one_crash_a_run_and_is_given_up(scene: Scene) -> None:
    scene.add(
        {"command": ["bash", "-c", '"$0" & setsid "$0" & kill -9 $PPID; "$0"', str(scene.rest)],
         "max_crashes": 2, "backoff": "1ms"},
    )  # fmt: skip
    for _ in range(2):
        scene.run(code=137)
        assert scene.survivors() == []
    scene.run(code=1)

    assert scene.attempts() == [("crashed",), ("crashed",)]
    assert scene.jobs("state, crashes, failures") == [("failed", 2, 0)]


def test_what_a_job_hides_does_not_print_into_the_output_of_another(scene: Scene) -> None:
    # While another job runs, the owner of this process is unknown; so no other job may get the pipe that it holds.
    hidden = "echo up >> F/pids; until [ -e F/third ]; do sleep 0.01; done; echo of the first; echo done > F/spoken"
    hidden = hidden.replace("F/", f"{scene.folder}/")
    scene.add(
        {"command": ["bash", "-c", "(env -i setsid sh -c \"$0\" &) ; until [ -e pids ]; do sleep 0.01; done", hidden]},
        {"command": "until [ -e over ]; do sleep 0.01; done", "timeout": "60s"},
        {"command": "touch third; n=0; until [ -e spoken ] || [ $n = 100 ]; do n=$((n+1)); sleep 0.01; done;"
                    " echo of the third; touch over"},
    )  # fmt: skip
    scene.run("-j", "2")

    assert scene.output(3) == b"of the third\n"
    assert scene.survivors() == []


# --- something else ends it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STAYING)
def test_a_timeout_ends_the_whole_tree(scene: Scene, name: str) -> None:
    scene.add(shapes.job(scene, SHAPES[name], STAY) | SOON)
    scene.run("-j", "1", "--grace", "50ms")

    assert scene.begun.exists()
    assert scene.attempts("outcome, error_type")[-2:] == [("timed_out", "TimedOut"), ("succeeded", None)]
    assert scene.survivors() == []


@pytest.mark.parametrize("kind", CALLABLES)
def test_a_timeout_ends_a_callable_with_all_that_it_started(scene: Scene, kind: str) -> None:
    scene.add(leaving(kind, "stay") | SOON)
    scene.run("-j", "1", "--grace", "50ms")

    assert scene.begun.exists()
    assert scene.attempts("outcome, error_type")[-2:] == [("timed_out", "TimedOut"), ("succeeded", None)]
    assert scene.survivors() == []


def started(scene: Scene, job: dict[str, object], *options: str) -> "subprocess.Popen[bytes]":
    """Start a run whose job has started its tree and stays."""
    scene.add(job)
    process = scene.start("-j", "1", *options)
    eventually(scene.begun.exists)
    return process


def jobs_that_stay() -> list[ParameterSet]:
    return [pytest.param(name, None, id=name) for name in STAYING] + [
        pytest.param(None, kind, id=f"callable: {kind}") for kind in CALLABLES
    ]


def hides(one: ParameterSet) -> bool:
    return one.values[0] in SHAPES and SHAPES[str(one.values[0])].hides


def staying(scene: Scene, name: str | None, kind: str | None) -> dict[str, object]:
    if name is not None:
        return shapes.job(scene, SHAPES[name], STAY)
    assert kind is not None
    return leaving(kind, "stay")


@pytest.mark.parametrize(("name", "kind"), jobs_that_stay())
def test_a_run_that_is_stopped_requeues_the_job_and_leaves_nothing(
    scene: Scene, name: str | None, kind: str | None
) -> None:
    process = started(scene, staying(scene, name, kind), "--grace", "50ms")
    process.send_signal(signal.SIGTERM)

    assert ended(process) == 143
    assert scene.survivors() == []
    assert scene.attempts() == [("interrupted",)]
    assert scene.jobs(COSTS) == [("queued", 1, 0, 0, 1)]


@pytest.mark.parametrize(("name", "kind"), jobs_that_stay())
def test_kill_9_of_the_runner_leaves_nothing_and_is_rescued(scene: Scene, name: str | None, kind: str | None) -> None:
    process = started(scene, staying(scene, name, kind))
    end(scene.runner())

    assert ended(process) == 137
    assert scene.survivors() == []
    rescued(scene)


@pytest.mark.parametrize(("name", "kind"), jobs_that_stay())
def test_kill_9_of_the_guardian_ends_the_run_and_gives_the_job_back(
    scene: Scene, name: str | None, kind: str | None
) -> None:
    process = started(scene, staying(scene, name, kind))
    runner = scene.runner()
    process.kill()

    assert ended(process) == -signal.SIGKILL
    eventually(lambda: is_gone(runner))
    assert scene.survivors() == []
    assert scene.attempts() == [("interrupted",)]
    assert scene.jobs(COSTS) == [("queued", 1, 0, 0, 1)]


@pytest.mark.parametrize(("name", "kind"), [one for one in jobs_that_stay() if not hides(one)])
def test_kill_9_of_both_leaves_nothing_once_the_next_run_has_begun(
    scene: Scene, name: str | None, kind: str | None
) -> None:
    process = started(scene, staying(scene, name, kind))
    runner = scene.runner()
    process.send_signal(signal.SIGSTOP)  # so that the guardian does nothing when the runner dies
    eventually(lambda: is_stopped(process.pid))
    end(runner)
    eventually(lambda: is_gone(runner))
    process.kill()
    ended(process)

    rescued(scene)
    assert scene.survivors() == []


# --- leftovers that are wanted -----------------------------------------------------------------------------------------


def test_processes_that_a_job_leaves_on_purpose_outlive_the_run(scene: Scene) -> None:
    wanted = {"command": "setsid ./rest >/dev/null 2>&1 & until [ -s pids ]; do sleep 0.01; done"}
    scene.add(wanted | {"leftovers": "keep"})
    scene.run()

    (pid,) = map(int, scene.pids.read_text().split())
    assert [line.split()[0] for line in scene.survivors()] == [str(pid)]
    end(pid)
    eventually(lambda: scene.survivors() == [])


def test_only_what_the_job_with_that_wish_left_stays(scene: Scene) -> None:
    wanted = {"command": "setsid ./rest >/dev/null 2>&1 & until [ -s pids ]; do sleep 0.01; done; cp pids kept"}
    scene.add(wanted | {"leftovers": "keep"}, *({"command": "./rest & setsid ./rest & sleep 0.05"} for _ in range(3)))
    scene.run("-j", "1")

    kept = (scene.folder / "kept").read_text().split()
    assert [line.split()[0] for line in scene.survivors()] == kept
    assert scene.attempts("leftovers > 0") == [(0,), (1,), (1,), (1,)]
    end(int(kept[0]))
    eventually(lambda: scene.survivors() == [])
