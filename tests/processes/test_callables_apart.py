"""Callables share workers and nothing else: each has its own result, output and surroundings, and fails alone."""

import json
import os
import signal

import pytest
from scene import TRIES, Row, Scene, ended, python

pytest_plugins = ("scene",)

MINE = """
import json, os, signal, sys, time
import batchq, ready

def ran():
    with open("ran", "a") as file: file.write(os.environ["BATCHQ_JOB_ID"] + "\\n")
def number(n):
    ran()
    return [n, int(os.environ["BATCHQ_JOB_ID"])]
def say(n):
    ran()
    print("out", n); print("err", n, file=sys.stderr)
def say_raw(n): os.write(1, b"out %d\\n" % n); os.write(2, b"err %d\\n" % n)
def vanish(): os._exit(7)
def last_words(n):
    print("out", n, flush=True); print("err", n, file=sys.stderr, flush=True)
    os.kill(os.getpid(), 9)
def nap(seconds):
    ran()
    time.sleep(seconds)
def speak_and_nap(n, seconds):
    if ready.is_over(): return
    print("out", n, flush=True); print("err", n, file=sys.stderr, flush=True)
    ready.ready()
    time.sleep(seconds)
def stubborn(seconds):
    heard = []
    signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    if ready.is_over(): return
    ran()
    ready.ready()
    while not heard: time.sleep(0.01)
    time.sleep(seconds)
def size(text): return len(text)
def pid(): return os.getpid()
def retry(delay=None): raise batchq.Retry("not yet", delay=delay) if delay else batchq.Retry("not yet")
def discard(): raise batchq.Discard("no use")
def retry_once():
    if batchq.current_job().attempt == 1: raise batchq.Retry(delay="10ms")
    return "second"
def current():
    job = batchq.current_job()
    job.log.info("told")
    left = None if job.deadline is None else job.deadline - time.time()
    return [job.id, job.attempt, job.batch, job.queue, job.key, left]
def text(n, letter="x"): return letter * n
def leave(code): sys.exit(code)
"""


@pytest.fixture
def mine(scene: Scene) -> Scene:
    """A scene with the module ``mine``."""
    (scene.folder / "mine.py").write_text(MINE)
    return scene


def call(function: str, *, times: int = 1, **args: object) -> list[dict[str, object]]:
    return [{"call": f"mine:{function}", "args": args}] * times


def results(scene: Scene) -> list[object]:
    return [None if value is None else json.loads(str(value)) for (value,) in scene.attempts("result")]


def ran(scene: Scene) -> list[int]:
    """The jobs that ran, as often as they did."""
    return sorted(map(int, (scene.folder / "ran").read_text().split()))


def texts(scene: Scene, stream: str) -> list[Row]:
    return scene.rows(f"SELECT job, CAST(head || tail AS TEXT) FROM outputs WHERE stream = '{stream}' ORDER BY job")


# --- many of them ------------------------------------------------------------------------------------------------------

MANY = 2000


def test_of_two_thousand_short_callables_each_has_its_own_result_and_runs_once(mine: Scene) -> None:
    mine.add(*({"call": "mine:number", "args": {"n": 7 * n}} for n in range(1, MANY + 1)))
    mine.run()

    assert results(mine) == [[7 * n, n] for n in range(1, MANY + 1)]
    assert mine.attempts("outcome, number") == [("succeeded", 1)] * MANY
    assert ran(mine) == list(range(1, MANY + 1))


@pytest.mark.parametrize("options", [(), ("-j", "1"), ("--log-dir", "logs"), ("--worker-jobs", "7")], ids=" ".join)
@pytest.mark.parametrize("function", ["say", "say_raw"])
def test_what_short_callables_print_is_attributed_to_the_one_that_printed_it(
    mine: Scene, function: str, options: tuple[str, ...]
) -> None:
    many = MANY if "--worker-jobs" not in options else 100
    mine.add(*({"call": f"mine:{function}", "args": {"n": n}} for n in range(1, many + 1)))
    mine.run(*options)

    wrong = [row for row in texts(mine, "stdout") if row[1] != f"out {row[0]}\n"]
    wrong += [row for row in texts(mine, "stderr") if row[1] != f"err {row[0]}\n"]
    assert wrong == []
    assert len(texts(mine, "stdout")) == len(texts(mine, "stderr")) == many
    if "--log-dir" in options:
        found = {
            path.name.rpartition("-")[0]: sorted(path.read_text().split("\n"))
            for path in (mine.folder / "logs").iterdir()
        }
        assert found == {f"{n}-1": sorted(["", f"err {n}", f"out {n}"]) for n in range(1, many + 1)}


def test_a_few_that_print_between_many_that_do_not(mine: Scene) -> None:
    jobs = [(call("say", n=n) if n % 50 == 0 else call("number", n=n))[0] for n in range(1, MANY + 1)]
    mine.add(*jobs)
    mine.run()

    assert texts(mine, "stdout") == [(n, f"out {n}\n") for n in range(50, MANY + 1, 50)]


def test_commands_and_callables_in_turn_keep_their_output_apart(mine: Scene) -> None:
    jobs: list[dict[str, object]] = []
    for n in range(1, 201):
        jobs += [{"command": f"echo out {n}; echo err {n} >&2"}] if n % 2 else call("say", n=n)
    mine.add(*jobs)
    mine.run("-j", "2")

    assert texts(mine, "stdout") == [(n, f"out {n}\n") for n in range(1, 201)]
    assert texts(mine, "stderr") == [(n, f"err {n}\n") for n in range(1, 201)]


@pytest.mark.parametrize("function", ["vanish", "last_words"])
def test_a_crash_among_short_callables_costs_only_the_one_that_crashed(mine: Scene, function: str) -> None:
    bad = {500, 501, 900}
    args = {"last_words": {"n": 0}}.get(function, {})
    jobs = [
        {"call": f"mine:{function}", "args": args, "max_crashes": 1} if n in bad else call("number", n=n)[0]
        for n in range(1, 1001)
    ]
    mine.add(*jobs)
    mine.run("-q", code=1)

    assert mine.attempts("outcome, number") == [("crashed" if n in bad else "succeeded", 1) for n in range(1, 1001)]
    assert ran(mine) == [n for n in range(1, 1001) if n not in bad]
    if function == "last_words":
        assert texts(mine, "stdout") == [(n, "out 0\n") for n in sorted(bad)]


def test_a_timeout_among_short_callables_costs_only_the_one_that_was_over_its_time(mine: Scene) -> None:
    late = {"call": "mine:speak_and_nap", "args": {"n": 0, "seconds": 600}} | TRIES
    mine.add(*(late if n == 500 else call("number", n=n)[0] for n in range(1, 1001)))
    mine.run("-q", "--grace", "100ms")

    others = mine.rows("SELECT job, outcome, number FROM attempts WHERE job != 500 ORDER BY job")
    assert others == [(n, "succeeded", 1) for n in range(1, 1001) if n != 500]
    assert ran(mine) == [n for n in range(1, 1001) if n != 500]
    outcome, number = mine.attempt_that_was_ready("outcome, number", 500)
    assert outcome == "timed_out"
    said = mine.rows(
        f"SELECT job, stream, CAST(head AS TEXT) FROM outputs WHERE (job, number) != (500, {int(str(number)) - 1})"
    )
    assert {row for row in said if row[0] == 500} == {(500, "stdout", "out 0\n"), (500, "stderr", "err 0\n")}
    assert {row[0] for row in said} == {500}


def test_no_callable_within_its_time_is_reported_as_timed_out(mine: Scene) -> None:
    # The first ones are so short that many go into one message; the others then share one, and take longer.
    quick, slow = 400, 30
    mine.add(
        *call("number", n=1, times=quick), *({"call": "mine:nap", "args": {"seconds": 0.01}, "timeout": "40ms"},) * slow
    )
    mine.run("-q", "-j", "1", code=None)

    over = mine.rows("SELECT job, seconds FROM attempts WHERE outcome = 'timed_out' AND seconds < 0.04")
    assert over == []
    # On a busy machine one may really take four times as long as it sleeps, or has not even begun by then.
    late = {int(str(job)) for (job,) in mine.rows("SELECT job FROM attempts WHERE outcome = 'timed_out'")}
    assert sorted({*ran(mine)}) == ran(mine), "none has run twice"
    assert {*ran(mine)} | late == set(range(1, quick + slow + 1))


def test_what_ran_after_a_callable_that_outlived_its_timeout_is_not_run_again(mine: Scene) -> None:
    late = {"call": "mine:stubborn", "args": {"seconds": 0.3}} | TRIES
    mine.add(*call("number", n=1, times=400), late, *call("number", n=2, times=100))
    mine.run("-q", "-j", "1", "--grace", "60s")

    assert mine.attempt_that_was_ready(job=401) == ("timed_out",)
    others = mine.rows("SELECT job, outcome, number FROM attempts WHERE job != 401 ORDER BY job")
    assert others == [(n, "succeeded", 1) for n in range(1, 502) if n != 401]
    assert [n for n in ran(mine) if n != 401] == [n for n in range(1, 502) if n != 401]


def test_large_arguments_after_a_callable_that_hangs_do_not_keep_the_run_from_killing_it(mine: Scene) -> None:
    text = "x" * 30_000
    late = {"call": "mine:nap", "args": {"seconds": 60}, "timeout": "500ms"}
    sizes: list[dict[str, object]] = [{"call": "mine:size", "args": {"text": text}}]
    mine.add(*sizes * 400, late, *sizes * 400)

    assert ended(mine.start("-q", "-j", "1", "--grace", "100ms")) == 1
    assert mine.rows("SELECT outcome, count(*) FROM attempts GROUP BY 1") == [("succeeded", 800), ("timed_out", 1)]


SMALL_PIPES = """
import fcntl, os, sys

def small_pipe(pipe=os.pipe):
    ends = pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)  # no more has a user who holds very many pipes
    return ends

os.pipe = small_pipe
sys.argv = ["batchq", "run", "-q", "-j", "1"]
from batchq.__main__ import main
main()
"""


@pytest.mark.parametrize("large", ["result", "message", "output"])
def test_a_large_answer_gets_through_where_the_kernel_grants_little(mine: Scene, large: str) -> None:
    (mine.folder / "loud.py").write_text(
        "import sys\n"
        "def result(): return 'x' * (1024 * 1024 - 2)\n"
        "def message(): raise ValueError('\\x01' * 70_000)\n"
        "def output(): print('x' * 200_000); print('y' * 200_000, file=sys.stderr); raise ValueError('\\x01' * 70_000)\n"
    )
    (mine.folder / "launch.py").write_text(SMALL_PIPES)
    mine.add({"call": f"loud:{large}"}, *[{"call": "os:getpid"}] * 300, {"call": f"loud:{large}"})

    assert ended(mine.start_program(*python("launch.py"))) == (0 if large == "result" else 1)
    assert mine.rows("SELECT count(*) FROM attempts WHERE number = 1") == [(302,)]


def test_a_worker_is_kept_and_with_worker_jobs_replaced_in_time(mine: Scene) -> None:
    mine.add(*call("pid", times=60))
    mine.run("-j", "1")
    assert len(set(mine.attempts("result"))) == 1

    mine.add(*call("pid", times=60))
    mine.run("-j", "1", "--worker-jobs", "20")
    again = results(mine)[60:]
    assert 2 <= len(set(map(str, again))) <= 60
    assert mine.attempts() == [("succeeded",)] * 120


def test_with_worker_jobs_1_no_two_callables_share_a_process(mine: Scene) -> None:
    mine.add(*call("pid", times=12))
    mine.run("-j", "2", "--worker-jobs", "1")

    assert len({str(pid) for pid in results(mine)}) == 12


# --- surroundings ------------------------------------------------------------------------------------------------------


CHANGES = [
    "change_folder",
    "change_into_a_folder_that_vanishes",
    "change_umask",
    "change_environment",
    "clear_environment",
    "set_an_alarm",
    "ignore_signals",
    "block_signals",
    "close_stdout",
    "close_descriptors",
    "replace_stdout",
    "exchange_descriptors",
    "leave_buffered_words",
    "say_words_that_cannot_be_written",
    "close_streams",
    "detach_stdout",
    "close_all_descriptors_that_are_near",
    "leave_a_thread_that_speaks",
    "leave_an_alarm_that_raises",
    "fork_a_child_that_comes_back",
    "lower_limits",
    "change_interpreter",
    "change_scheduling",
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_callable_changes_of_its_process_is_as_before_for_the_next(scene: Scene, change: str) -> None:
    describe: dict[str, object] = {"call": "mischief:describe"}
    scene.add(describe, {"call": f"mischief:{change}"}, describe, describe)
    scene.run("-j", "1")

    assert scene.attempts("outcome, number") == [("succeeded", 1)] * 4
    first, _, *others = results(scene)
    assert others == [first, first]
    for job in (1, 3, 4):
        assert sorted(scene.output(job).splitlines()) == [b"out", b"raw out"]
        assert sorted(scene.output(job, "stderr").splitlines()) == [b"err", b"raw err"]


def test_what_short_callables_change_is_reset_for_those_after_them(scene: Scene) -> None:
    describe: dict[str, object] = {"call": "mischief:describe", "args": {"seconds": 0}}
    jobs = [describe] * 100
    for change in CHANGES:
        jobs += [{"call": f"mischief:{change}"}, *[describe] * 40]
    scene.add(*jobs)
    scene.run("-j", "1")

    assert set(scene.attempts("outcome, number")) == {("succeeded", 1)}
    calls = [job["call"] for job in jobs]
    first, *others = ((n, result) for n, result in enumerate(results(scene)) if calls[n] == "mischief:describe")
    assert [(n, result) for n, result in others if result != first[1]] == []
    outs = {
        job: text for job, text in scene.rows("SELECT job, CAST(head AS TEXT) FROM outputs WHERE stream = 'stdout'")
    }
    assert {tuple(sorted(str(outs[n + 1]).splitlines())) for n, _ in others} == {("out", "raw out")}


def test_streams_that_were_made_anew_among_short_callables_can_be_wrapped_by_one_that_prints_into_pipes(
    scene: Scene,
) -> None:
    describe: dict[str, object] = {"call": "mischief:describe", "args": {"seconds": 0}}
    closing: dict[str, object] = {"call": "mischief:close_streams"}
    slow: dict[str, object] = {"call": "mischief:describe", "args": {"seconds": 0.1}}
    scene.add(*[describe] * 100, closing, *[describe] * 20, *[slow] * 10, {"call": "mischief:detach_stdout"})
    scene.run("-j", "1")

    assert set(scene.attempts()) == {("succeeded",)}
    assert scene.output(132) == b"words of its own\n"


def test_named_variables_and_umask_are_of_one_callable_alone(scene: Scene) -> None:
    describe: dict[str, object] = {"call": "mischief:describe", "args": {"seconds": 0}}
    scene.add(describe, describe | {"env": {"MINE": "1", "PATH": "/bin"}, "umask": "077"}, describe)
    scene.run("-j", "1")

    first, second, third = results(scene)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first == third
    assert "MINE" not in first["environment"]
    assert second["environment"]["MINE"] == "1"
    assert second["environment"]["PATH"] == "/bin"
    assert second["umask"] == 0o077


def test_children_that_nobody_waited_for_do_not_pile_up_in_a_worker(scene: Scene) -> None:
    scene.add(*[{"call": "mischief:forked_and_done"}] * 50, {"call": "mischief:children"})
    scene.run("-j", "1")

    assert results(scene)[-1] == 0
    assert scene.rows("SELECT sum(leftovers) FROM attempts") == [(0,)]


def test_two_projects_with_modules_of_one_name_never_meet(scene: Scene) -> None:
    jobs: list[dict[str, object]] = []
    for project in ("a", "b"):
        folder = scene.folder / project
        folder.mkdir()
        (folder / "jobs.py").write_text(f"import helper\ndef who(): return ['{project}', helper.NAME]\n")
        (folder / "helper.py").write_text(f"NAME = 'helper of {project}'\n")
        jobs.append({"call": "jobs:who", "cwd": str(folder)})
    scene.add(*jobs * 20)
    scene.run("-j", "2")

    assert results(scene) == [["a", "helper of a"], ["b", "helper of b"]] * 20


def test_a_module_in_the_folder_of_a_job_does_not_break_its_worker(scene: Scene) -> None:
    project = scene.folder / "project"
    project.mkdir()
    for name in ("socket", "tempfile", "traceback", "worker", "resource"):
        (project / f"{name}.py").write_text("raise RuntimeError('not me')\n")
    (project / "mine.py").write_text("def well(): return 'well'\n")
    scene.add({"call": "mine:well", "cwd": str(project)})
    scene.run()

    assert results(scene) == ["well"]


# --- how they fail -----------------------------------------------------------------------------------------------------

FAILURES = r"""
import sys
class Broken(Exception):
    def __str__(self): raise RuntimeError("no message")
    def __repr__(self): raise RuntimeError("no repr")
class Odd(BaseException): pass
class BrokenName(type):
    @property
    def __name__(cls): raise RuntimeError("no name")
class Nameless(Exception, metaclass=BrokenName): pass
class Quits(Exception):
    def __str__(self): sys.exit(5)
class Sly(dict):
    def items(self): raise AttributeError("no items")
def group(): raise ExceptionGroup("several", [ValueError("one"), ExceptionGroup("inner", [KeyError("two")])])
def cyclic():
    error = ValueError("first"); other = ValueError("second")
    error.__cause__ = other; other.__cause__ = error
    raise error
def chain():
    try:
        try: raise ValueError("root")
        except ValueError as error: raise KeyError("middle") from error
    except KeyError: raise RuntimeError("top")
def huge(): raise ValueError("x" * 50_000_000)
def many(): raise ExceptionGroup("g", [ValueError(str(n)) for n in range(100_000)])
def broken(): raise Broken
def nameless(): raise Nameless("x")
def quits(): raise Quits
def odd(): raise Odd("odd")
def interrupt(): raise KeyboardInterrupt
def generator_exit(): raise GeneratorExit
def stop(): raise StopIteration
def recursion(): return recursion()
def deep():
    value = []
    for _ in range(100_000): value = [value]
    return value
def generator(): yield 1
def lazy(): return map(str, range(3))
def nan(): return {"x": [float("nan")]}
def infinity(): return float("inf")
def a_set(): return {1}
def sly(): return Sly(a=1)
def keys(): return {(1, 2): 3}
def cycle():
    value = []; value.append(value); return value
def bytes_(): return b"x"
def surrogate(): raise ValueError("\ud800 \0 \x1b")
def no_memory(): raise MemoryError
def leave(code): sys.exit(code)
def leave_nothing(): sys.exit()
def syntax(): exec("a b")
class Eq:
    __hash__ = None
    def __eq__(self, other): raise RuntimeError
class Exit(SystemExit): code = property(lambda self: 1 / 0)
class Nobody(Exception): __class__ = property(lambda self: 1 / 0)
class Closed(dict):
    def __iter__(self): raise RuntimeError("closed")
class Silent:
    def __repr__(self): raise RuntimeError("silent")
def exit_odd(): sys.exit(Eq())
def exit_worse(): raise Exit
def nobody(): raise Nobody
def closed(): return {"a": Closed(b=1)}
def silent(): return {Silent(): 1}
def note():
    error = ValueError("x"); error.add_note("a note"); raise error
"""


FAILED: list[tuple[str, str | None, str | None]] = [  # the function, the type of its exception, a word of the traceback
    ("group", "ExceptionGroup", "two"),
    ("cyclic", "ValueError", "second"),
    ("chain", "RuntimeError", "root"),
    ("huge", "ValueError", "xxx"),
    ("many", "ExceptionGroup", "ValueError"),
    ("broken", "Broken", ""),
    ("nameless", None, ""),
    ("quits", "Quits", ""),
    ("odd", "Odd", "odd"),
    ("interrupt", "KeyboardInterrupt", "KeyboardInterrupt"),
    ("generator_exit", "GeneratorExit", "GeneratorExit"),
    ("stop", "StopIteration", "StopIteration"),
    ("recursion", "RecursionError", "recursion"),
    ("deep", "ResultNotJSON", None),
    ("generator", "NotCallable", None),
    ("lazy", "ResultNotJSON", None),
    ("nan", "ResultNotJSON", None),
    ("infinity", "ResultNotJSON", None),
    ("a_set", "ResultNotJSON", None),
    ("keys", "ResultNotJSON", None),
    ("cycle", "ResultNotJSON", None),
    ("bytes_", "ResultNotJSON", None),
    ("sly", None, None),
    ("surrogate", "ValueError", "ValueError"),
    ("no_memory", "MemoryError", "MemoryError"),
    ("syntax", "SyntaxError", "SyntaxError"),
    ("note", "ValueError", "a note"),
    ("exit_odd", "SystemExit", "sys.exit"),
    ("exit_worse", "Exit", None),
    ("nobody", "Nobody", None),
    ("closed", "ResultNotJSON", None),
    ("silent", "ResultNotJSON", None),
]


def test_every_failure_is_reported_and_the_worker_lives_on(scene: Scene) -> None:
    (scene.folder / "failing.py").write_text(FAILURES)
    who: dict[str, object] = {"call": "os:getpid"}
    scene.add(who, *(job for function, _, _ in FAILED for job in ({"call": f"failing:{function}"}, who)))
    scene.run("-q", "-j", "1", code=1)

    assert scene.attempts() == [("succeeded",), *[("failed",), ("succeeded",)] * len(FAILED)]
    assert len(set(map(str, results(scene)[::2]))) == 1, "one worker did all of it"
    told = scene.attempts("error_type, error, traceback")[1::2]
    for (function, kind, said), (found, message, trace) in zip(FAILED, told, strict=True):
        assert kind is None or found == kind, function
        assert isinstance(message, str)
        assert len(message) <= 64 * 1024, function
        if said is not None:
            assert isinstance(trace, str)
            assert said in trace, function
            assert len(trace) <= 65 * 1024, function


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (None, ("succeeded", 0)),
        (0, ("succeeded", 0)),
        (3, ("failed", 3)),
        (-1, ("failed", 255)),
        (2**70, ("failed", 255)),
        (0.0, ("failed", 1)),
        (256, ("failed", 0)),
        ("a text", ("failed", 1)),
        ([1], ("failed", 1)),
        (False, ("succeeded", 0)),
    ],
)
def test_sys_exit_is_an_exit_code(mine: Scene, code: object, outcome: tuple[object, ...]) -> None:
    mine.add(*call("leave", code=code))
    mine.run("-q", code=None)

    assert mine.attempts("outcome, exit_code") == [outcome]


@pytest.mark.parametrize("letter", ["x", "ü"])
def test_a_result_may_be_a_mebibyte_of_json_and_no_more(mine: Scene, letter: str) -> None:
    most = (1024 * 1024 - 2) // len(json.dumps(letter)[1:-1])
    mine.add(*call("text", n=most, letter=letter), *call("text", n=most + 1, letter=letter))
    mine.run("-q", "-j", "1", code=1)

    assert mine.attempts("outcome, error_type, result IS NULL") == [
        ("succeeded", None, 0), ("failed", "ResultTooLarge", 1),
    ]  # fmt: skip
    assert results(mine)[0] == letter * most


# --- what they may ask -------------------------------------------------------------------------------------------------


def test_a_callable_may_ask_for_a_retry_with_its_own_delay(mine: Scene) -> None:
    once: dict[str, object] = {"call": "mine:retry_once", "max_attempts": 2, "backoff": "1h"}
    mine.add(once)
    mine.run()

    assert mine.attempts("outcome, error_type, result") == [("failed", "Retry", None), ("succeeded", None, '"second"')]


def test_a_retry_is_bounded_by_max_attempts_and_a_discard_is_the_end(mine: Scene) -> None:
    mine.add(
        {"call": "mine:retry", "args": {"delay": "1ms"}, "max_attempts": 3, "backoff": "1h"},
        {"call": "mine:discard", "max_attempts": 3},
        {"call": "mine:retry", "args": {"delay": "nonsense"}, "max_attempts": 1},
    )
    mine.run("-q", code=1)

    assert mine.attempts("job, outcome, error_type") == [
        (1, "failed", "Retry"), (1, "failed", "Retry"), (1, "failed", "Retry"), (2, "failed", "Discard"),
        (3, "failed", "ValueError"),
    ]  # fmt: skip


def test_a_job_knows_itself_as_a_callable_and_as_a_program(mine: Scene) -> None:
    program = "import json, mine; print(json.dumps(mine.current()))"
    fields = {"batch": "b", "queue": "q", "timeout": "60s"}
    environment = {"PYTHONPATH": f"{mine.folder}:{mine.shell.env['PYTHONPATH']}"}
    mine.add(
        {"call": "mine:current", "key": "k", **fields},
        {"command": python("-c", program), "key": "l", "env": environment, **fields},
        {"call": "mine:current"},
    )
    mine.run("-j", "1")

    first, _, third = results(mine)
    second = json.loads(mine.output(2))
    assert isinstance(first, list)
    assert isinstance(third, list)
    assert first[:5] == [1, 1, "b", "q", "k"]
    assert second[:5] == [2, 1, "b", "q", "l"]
    assert third == [3, 1, "default", "default", None, None]
    assert 0 < first[5] <= 60
    assert 0 < second[5] <= 60
    for job in (1, 2, 3):
        assert b"told" in mine.output(job, "stderr")
        assert mine.output(job, "stderr").count(b"told") == 1


def test_outside_of_a_job_there_is_no_current_job() -> None:
    import batchq

    assert "BATCHQ_JOB_ID" not in os.environ
    with pytest.raises(RuntimeError):
        batchq.current_job()


def test_a_callable_that_hears_term_may_clean_up_within_the_grace(scene: Scene) -> None:
    (scene.folder / "mine.py").write_text(
        "import ready, signal, sys, time\n"
        "def tidy():\n"
        "    if ready.is_over(): return\n"
        "    def leave(number, frame): raise SystemExit(0)\n"
        "    signal.signal(signal.SIGTERM, leave)\n"
        "    try: ready.ready(); time.sleep(600)\n"
        "    finally: open('tidied', 'w').close()\n"
    )
    scene.add({"call": "mine:tidy"} | TRIES, {"call": "os:getpid"})
    scene.run("-q", "-j", "1", "--grace", "60s")

    assert (scene.folder / "tidied").exists()
    assert scene.attempt_that_was_ready() == ("timed_out",)
    assert scene.rows("SELECT outcome, number FROM attempts WHERE job = 2") == [("succeeded", 1)]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_pipe_that_was_made_non_blocking_blocks_again_for_the_next(scene: Scene) -> None:
    (scene.folder / "flags.py").write_text(
        "import os\ndef unblock(): os.set_blocking(1, False)\ndef is_blocking(): return os.get_blocking(1)\n"
    )
    scene.add({"call": "flags:unblock"}, {"call": "flags:is_blocking"})
    scene.run("-j", "1", "--log-dir", "logs")  # so that each writes into the pipes of the runner

    assert scene.attempts("result") == [("null",), ("true",)]
