"""`batchq run` with real processes."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from conftest import Shell, eventually, finish, send
from gate import Gate

TESTS = Path(__file__).parent.parent


def call(shell: Shell, target: str, *options: str, expect: int = 0, **args: object) -> None:
    """Add one callable of tests/scripted.py and run it."""
    if not (shell.folder / "scripted.py").exists():
        shutil.copy(TESTS / "scripted.py", shell.folder)
    shell("add", "--call", f"scripted:{target}", "--args", json.dumps(args), *options)
    shell("run", code=expect)


def attempts(shell: Shell, columns: str = "outcome") -> list[tuple[object, ...]]:
    return shell.rows(f"SELECT {columns} FROM attempts ORDER BY job, number")


def output(shell: Shell, stream: str) -> bytes:
    rows = shell.rows(f"SELECT head, tail FROM outputs WHERE stream = '{stream}' ORDER BY job, number")
    return b"".join(part for row in rows for part in row if isinstance(part, bytes))


def test_a_run_that_succeeds_is_silent_and_exits_0(batchq: Shell) -> None:
    batchq("add", "-", stdin="true\necho hello\n")
    done = batchq("run")

    assert (done.out, done.err) == ("", "")
    assert output(batchq, "stdout") == b"hello\n"


def test_nothing_to_do_is_success(batchq: Shell) -> None:
    assert batchq("run").err == ""


def test_a_missing_store_is_66_and_is_not_made(folder: Path) -> None:
    done = Shell(folder)("run", "--db", "q.db", code=66)

    assert "there is no store at" in done.err
    assert list(folder.iterdir()) == []


def test_a_failed_job_exits_1_with_a_digest_that_names_the_retry(batchq: Shell) -> None:
    batchq("add", "--name", "load", "-c", "echo begun; echo disk on fire >&2; exit 7")
    done = batchq("run", code=1)

    assert done.out == ""
    for part in ("load", "exit code 7", "disk on fire", "attempt 1 of 1", batchq.full("batchq retry 1")):
        assert part in done.err


@pytest.mark.parametrize("code", [1, 2, 77, 126, 127, 128, 137, 255])
def test_each_exit_code_is_recorded_as_it_is(batchq: Shell, code: int) -> None:
    batchq("add", "-c", f"exit {code}")
    batchq("run", code=1)

    assert attempts(batchq, "outcome, exit_code, signal") == [("failed", code, None)]


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV", "SIGPIPE", "SIGUSR1"])
def test_each_signal_is_recorded_as_a_signal(batchq: Shell, name: str) -> None:
    batchq("add", "-c", f"kill -{name[3:]} $$")
    batchq("run", code=1)

    assert attempts(batchq, "outcome, exit_code, signal") == [("failed", None, signal.Signals[name])]


def test_a_retry_waits_in_the_ledger_and_then_succeeds(batchq: Shell) -> None:
    batchq("add", "--max-attempts", "5", "--backoff", "20ms", "-c", "test $BATCHQ_ATTEMPT = 3")
    batchq("run")

    assert attempts(batchq) == [("failed",), ("failed",), ("succeeded",)]


def test_retries_are_bounded_by_max_attempts(batchq: Shell) -> None:
    batchq("add", "--max-attempts", "3", "--backoff", "10ms", "-c", "exit 1")
    done = batchq("run", code=1)

    assert len(attempts(batchq)) == 3
    assert "attempt 3 of 3" in done.err


def test_a_timeout_ends_the_whole_process_group(batchq: Shell) -> None:
    batchq("add", "--timeout", "200ms", "-c", "sleep 61 & sleep 62; echo never")
    batchq("run", code=1)

    assert attempts(batchq, "outcome, error_type") == [("timed_out", "TimedOut")]


def test_a_job_that_ignores_term_is_killed_after_the_grace(batchq: Shell) -> None:
    # TERM may come before the trap is set: then the next attempt has more time.
    script = "test -e begun && exit 0; trap '' TERM; touch begun; while :; do sleep 0.05; done"
    more_time = ("--max-attempts", "10", "--retry-on", "timeout", "--retry-timeout-factor", "2", "--backoff", "0s")
    batchq("add", "--timeout", "100ms", *more_time, "-c", script)
    batchq("run", "--grace", "200ms")

    *earlier, killed, last = attempts(batchq, "outcome, signal")
    assert (killed, last) == (("timed_out", 9), ("succeeded", None))
    assert {outcome for outcome, _ in earlier} <= {"timed_out"}


def test_what_a_job_left_behind_is_killed_when_it_ends_and_counted(batchq: Shell) -> None:
    batchq("add", "-c", "sleep 63 & setsid sleep 64 & (setsid sleep 65 &) ; exit 0")
    batchq("add", "-c", "env -i setsid sleep 66 & exit 0")
    batchq("run", "-j", "1")

    assert attempts(batchq, "outcome, leftovers") == [("succeeded", 3), ("succeeded", 1)]


def test_a_grandchild_that_holds_the_pipe_does_not_delay_the_end(batchq: Shell) -> None:
    batchq("add", "-c", "echo first; sleep 67 & exit 0")
    batchq("run")

    ((seconds,),) = attempts(batchq, "seconds")
    assert isinstance(seconds, float)
    assert seconds < 60, "the grandchild would have held it for 67 s"
    assert output(batchq, "stdout") == b"first\n"


def test_output_is_kept_as_bytes_head_and_tail_with_a_true_total(batchq: Shell) -> None:
    script = "import sys; b = sys.stdout.buffer; b.write(b'begin\\xff\\x00'); b.write(b'x' * 1000000); b.write(b'end')"
    batchq("add", "--", sys.executable, "-c", script)
    batchq("run")

    ((head, tail, total),) = batchq.rows("SELECT head, tail, total FROM outputs")
    assert isinstance(head, bytes)
    assert isinstance(tail, bytes)
    assert total == 1_000_010
    assert head.startswith(b"begin\xff\x00xxx")
    assert tail.endswith(b"xxxend")
    assert len(head) == len(tail) == 64 * 1024


def test_time_and_memory_of_an_attempt_are_recorded(batchq: Shell) -> None:
    batchq("add", "--", sys.executable, "-c", "x = bytearray(200_000_000)\nfor i in range(3_000_000): pass")
    batchq("run")

    ((cpu, peak, seconds),) = attempts(batchq, "cpu_seconds, peak_kib, seconds")
    assert isinstance(cpu, float)
    assert isinstance(peak, int)
    assert isinstance(seconds, float)
    assert 0 < cpu < seconds + 1
    assert 200_000_000 / 1024 < peak < 400_000_000 / 1024


def test_a_result_file_becomes_the_result(batchq: Shell) -> None:
    batchq("add", "-c", """echo '{"rows": 12}' > "$BATCHQ_RESULT_FILE" """)
    batchq("run")

    assert attempts(batchq, "outcome, result") == [("succeeded", '{"rows":12}')]


@pytest.mark.parametrize("text", ["{", "NaN", "[1, Infinity]", "1e999", "[-1e999]"])
def test_a_result_file_that_is_no_json_is_a_failed_attempt(batchq: Shell, text: str) -> None:
    batchq("add", "-c", f"echo '{text}' > $BATCHQ_RESULT_FILE")
    batchq("run", code=1)

    assert attempts(batchq, "outcome, error_type, exit_code") == [("failed", "ResultNotJSON", 0)]


def test_a_job_sees_what_it_is(batchq: Shell) -> None:
    names = "$BATCHQ_JOB_ID $BATCHQ_ATTEMPT $BATCHQ_BATCH $BATCHQ_QUEUE $BATCHQ_KEY $BATCHQ_DB"
    script = f'echo "{names}"; test -n "$BATCHQ_TOKEN"'
    batchq("add", "--batch", "b", "--queue", "q", "--key", "k", "-c", script)
    batchq("run")

    assert output(batchq, "stdout").decode() == f"1 1 b q k {batchq.db()}\n"


def test_stdin_is_empty_unless_the_job_has_one(batchq: Shell) -> None:
    batchq("add", "--", "cat")
    batchq("add", "--stdin", "from the job", "--", "cat")
    batchq("run")

    assert output(batchq, "stdout") == b"from the job"


def test_umask_of_a_job_is_its_own(batchq: Shell) -> None:
    batchq("add", "--umask", "077", "-c", "touch private")
    batchq("add", "-c", "touch usual")
    batchq("run", "-j", "1")

    assert (batchq.folder / "private").stat().st_mode & 0o777 == 0o600
    assert (batchq.folder / "usual").stat().st_mode & 0o777 != 0o600


def test_only_descriptors_0_to_2_reach_a_job(batchq: Shell) -> None:
    script = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd')))"
    batchq("add", "--", sys.executable, "-c", script)
    extra = os.open(batchq.folder, os.O_RDONLY)
    os.set_inheritable(extra, True)
    try:
        batchq("run")
    finally:
        os.close(extra)

    assert output(batchq, "stdout") == b"[0, 1, 2, 3]\n"  # 3 is the listing of the folder itself


@pytest.mark.parametrize(
    ("add", "kind", "says"),
    [
        (("--", "no-such-program-here"), "NoSuchProgram", "no-such-program-here"),
        (("--", "./plain"), "NotExecutable", "./plain"),
        (("--cwd", "gone", "--", "true"), "NoSuchFolder", "gone"),
        (("--", "./lost"), "NoSuchProgram", "interpreter"),
    ],
)
def test_what_cannot_start_is_a_failed_attempt_that_says_why(
    batchq: Shell, add: tuple[str, ...], kind: str, says: str
) -> None:
    (batchq.folder / "plain").write_text("#!/bin/sh\n")
    (batchq.folder / "lost").write_text("#!/no/such/interpreter\n")
    (batchq.folder / "lost").chmod(0o755)
    batchq("add", *add)
    done = batchq("run", code=1)

    ((found, message),) = attempts(batchq, "error_type, error")
    assert found == kind
    assert says in str(message)
    assert says in done.err


def test_a_script_without_a_first_line_is_run_by_the_shell(batchq: Shell) -> None:
    (batchq.folder / "plain").write_text("echo ran $1\n")
    (batchq.folder / "plain").chmod(0o755)
    batchq("add", "--", "./plain", "well")
    batchq("run")

    assert output(batchq, "stdout") == b"ran well\n"


# --- callables ---------------------------------------------------------------------------------------------------------


def test_a_callable_returns_its_result_as_json(batchq: Shell) -> None:
    call(batchq, "add", a=2, b=3)

    assert attempts(batchq, "outcome, result") == [("succeeded", "5")]


def test_what_a_callable_prints_is_captured_stream_by_stream(batchq: Shell) -> None:
    call(batchq, "shout", text="grüß")

    assert output(batchq, "stdout").decode() == "grüß\n"
    assert output(batchq, "stderr").decode() == "GRÜSS\n"


def test_an_exception_is_stored_as_type_message_and_traceback(batchq: Shell) -> None:
    call(batchq, "fail", message="customer 17", expect=1)

    ((kind, message, trace),) = attempts(batchq, "error_type, error, traceback")
    assert (kind, message) == ("KeyError", "'customer 17'")
    assert "in deeper" in str(trace)
    assert "worker.py" not in str(trace)


@pytest.mark.parametrize(
    ("target", "args", "kind"),
    [
        ("not_json", {}, "ResultNotJSON"),
        ("not_a_number", {}, "ResultNotJSON"),
        ("no_such_function", {}, "NoSuchFunction"),
        ("add", {"a": 1}, "TypeError"),
        ("leave", {"code": 4}, "SystemExit"),
        ("broken_str", {}, "Broken"),
    ],
)
def test_how_a_callable_can_fail(batchq: Shell, target: str, args: dict[str, object], kind: str) -> None:
    call(batchq, target, expect=1, **args)

    assert attempts(batchq, "outcome, error_type") == [("failed", kind)]


def test_a_module_that_is_not_there_is_a_failed_attempt(batchq: Shell) -> None:
    batchq("add", "--call", "no_such_module:f")
    done = batchq("run", code=1)

    assert attempts(batchq, "error_type") == [("ModuleNotFoundError",)]
    assert "no_such_module" in done.err


def test_a_callable_that_kills_its_worker_is_a_crash_with_its_own_budget(batchq: Shell) -> None:
    call(batchq, "vanish", "--backoff", "10ms", "--max-attempts", "9", expect=1, code=5)

    assert attempts(batchq, "outcome, error_type") == [("crashed", "WorkerDied")] * 3


def test_a_callable_over_its_time_is_ended_and_the_next_one_runs(batchq: Shell) -> None:
    shutil.copy(TESTS / "scripted.py", batchq.folder)
    batchq("add", "--call", "scripted:nap", "--args", '{"seconds": 60}', "--timeout", "200ms")
    batchq("add", "--call", "scripted:add", "--args", '{"a": 1, "b": 1}')
    batchq("run", "-j", "1", code=1)

    assert attempts(batchq) == [("timed_out",), ("succeeded",)]


def test_a_worker_is_resident(batchq: Shell) -> None:
    shutil.copy(TESTS / "scripted.py", batchq.folder)
    lines = '{"call": "scripted:worker_pid"}\n' * 5
    batchq("add", "--format", "jsonl", "-", stdin=lines)
    batchq("run", "-j", "1")

    assert len(set(attempts(batchq, "result"))) == 1


def test_payload_jobs_are_done_by_the_hook_that_run_is_given(batchq: Shell) -> None:
    shutil.copy(TESTS / "scripted.py", batchq.folder)
    batchq("add", "--format", "jsonl", "-", stdin='{"payload": {"customer": 17}}\n')
    batchq("run", "--perform", "scripted:perform")

    ((result,),) = attempts(batchq, "result")
    assert json.loads(str(result)) == {"id": 1, "attempt": 1, "saw": {"customer": 17}}


def test_payload_jobs_without_a_hook_are_left_alone_and_verbose_says_so(batchq: Shell) -> None:
    batchq("add", "--format", "jsonl", "-", stdin='{"payload": 1}\n{"command": "true"}\n')
    done = batchq("run", "-v")

    assert "1 job with a payload: run them with --perform" in done.err
    assert batchq.rows("SELECT state FROM jobs ORDER BY id") == [("queued",), ("succeeded",)]


# --- selection and limits ----------------------------------------------------------------------------------------------


def test_only_the_wanted_queue_or_batch_is_run(batchq: Shell) -> None:
    for queue, batch in (("a", "x"), ("a", "y"), ("b", "x")):
        batchq("add", "--queue", queue, "--batch", batch, "--", "true")
    batchq("run", "--queue", "a", "--batch", "x")
    assert batchq.rows("SELECT state FROM jobs ORDER BY id") == [("succeeded",), ("queued",), ("queued",)]
    batchq("run", "--batch", "x")
    assert batchq.rows("SELECT state FROM jobs ORDER BY id") == [("succeeded",), ("queued",), ("succeeded",)]
    batchq("run")
    assert batchq.rows("SELECT state FROM jobs ORDER BY id") == [("succeeded",)] * 3


def test_higher_priority_runs_first_and_equals_in_order(batchq: Shell) -> None:
    for priority, word in ((0, "c"), (5, "a"), (0, "d"), (5, "b")):
        batchq("add", "--priority", str(priority), "-c", f"echo {word} >> order")
    batchq("run", "-j", "1")

    assert (batchq.folder / "order").read_text().split() == ["a", "b", "c", "d"]


def test_max_jobs_stops_with_work_left_and_exits_0(batchq: Shell) -> None:
    batchq("add", "-", stdin="true\n" * 5)
    batchq("run", "--max-jobs", "2", "-j", "4")

    assert batchq.rows("SELECT state, jobs FROM counters ORDER BY state") == [("queued", 3), ("succeeded", 2)]


def test_slots_run_at_the_same_time(batchq: Shell) -> None:
    # Each job waits for the other: with one slot this would never end.
    batchq("add", "--timeout", "60s", "-c", "touch one; while [ ! -e two ]; do sleep 0.01; done")
    batchq("add", "--timeout", "60s", "-c", "touch two; while [ ! -e one ]; do sleep 0.01; done")
    batchq("run", "-j", "2")


def test_a_job_in_the_future_is_left_and_a_short_delay_is_not(batchq: Shell) -> None:
    batchq("add", "--delay", "1h", "--", "true")
    batchq("run")

    assert batchq.rows("SELECT state, why FROM jobs") == [("scheduled", "delay")]


def test_two_runs_at_once_run_each_job_once(batchq: Shell) -> None:
    jobs = 300
    batchq("add", "-q", "-", stdin="echo $BATCHQ_JOB_ID >> ran\n" * jobs)
    runs = [batchq.start("run", "-j", "2") for _ in range(2)]
    for process in runs:
        assert finish(process).code == 0

    ran = (batchq.folder / "ran").read_text().split()
    assert sorted(map(int, ran)) == list(range(1, jobs + 1))


# --- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_lets_running_jobs_finish_and_starts_no_more(
    batchq: Shell, gate: Gate, number: signal.Signals, code: int
) -> None:
    batchq("add", "-c", f"touch begun; {gate.wait}")
    batchq("add", "-c", "touch second")
    process = batchq.start("run", "-j", "1")
    eventually((batchq.folder / "begun").exists)
    send(process, number)
    eventually(lambda: batchq.rows("SELECT state FROM runners") == [("stopping",)])
    gate.open()

    assert finish(process).code == code
    assert batchq.rows("SELECT state FROM jobs ORDER BY id") == [("succeeded",), ("queued",)]


def test_a_job_that_outlasts_the_grace_is_given_back_at_no_cost(batchq: Shell) -> None:
    batchq("add", "-c", "touch begun; sleep 68")
    process = batchq.start("run", "--grace", "100ms")
    eventually((batchq.folder / "begun").exists)
    send(process, signal.SIGTERM)

    assert finish(process).code == 143
    assert batchq.rows("SELECT state, attempt, failures, crashes, interruptions FROM jobs") == [("queued", 1, 0, 0, 1)]
    assert attempts(batchq) == [("interrupted",)]


def test_the_second_signal_ends_at_once(batchq: Shell) -> None:
    batchq("add", "-c", "trap '' TERM; touch begun; while :; do sleep 0.05; done")
    process = batchq.start("run", "--grace", "1h")
    eventually((batchq.folder / "begun").exists)
    send(process, signal.SIGINT)
    eventually(lambda: batchq.rows("SELECT state FROM runners") == [("stopping",)])
    send(process, signal.SIGTERM)

    assert finish(process).code == 130
    assert batchq.rows("SELECT state FROM jobs") == [("queued",)]


def test_after_kill_9_of_the_runner_nothing_is_left_and_the_next_run_rescues(batchq: Shell) -> None:
    batchq("add", "--backoff", "10ms", "-c",
           "echo x >> begun; [ $BATCHQ_ATTEMPT = 2 ] && exit 0; setsid sleep 69 & sleep 70")  # fmt: skip
    process = batchq.start("run")
    eventually((batchq.folder / "begun").exists)
    ((runner,),) = batchq.rows("SELECT pid FROM runners")
    assert isinstance(runner, int)
    os.kill(runner, signal.SIGKILL)

    assert finish(process).code == 137
    batchq("run")
    assert attempts(batchq) == [("crashed",), ("succeeded",)]


def test_after_kill_9_of_the_guardian_the_runner_ends_its_jobs(batchq: Shell) -> None:
    batchq("add", "-c", "touch begun; setsid sleep 71 & sleep 72")
    process = batchq.start("run")
    eventually((batchq.folder / "begun").exists)
    ((runner,),) = batchq.rows("SELECT pid FROM runners")
    send(process, signal.SIGKILL)

    finish(process)
    eventually(lambda: not Path(f"/proc/{runner}").exists())
    assert batchq.rows("SELECT state FROM jobs") == [("queued",)]
