"""``run --pass-exit-code``: the code of the only job, as ``timeout`` and a shell report it, and never 0 for less."""

import json
import signal

import pytest
from conftest import Shell, eventually, finish

from batchq.runner.status import passed
from batchq.store.answering.answers import Last


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--", "true"), 0),
        (("-c", "exit 3"), 3),
        (("-c", "exit 255"), 255),
        (("-c", "kill -KILL $$"), 137),
        (("-c", "kill -TERM $$"), 143),
        (("--timeout", "100ms", "--", "sleep", "60"), 124),
        (("--", "no-such-program"), 127),
        (("-c", "no-such-program"), 127),
        (("--", "/"), 126),
        (("--cwd", "/no/such/folder", "--", "true"), 1),
        (("--success-codes", "24", "-c", "exit 24"), 24),
        (("--success-codes", "24", "--", "true"), 1),  # 0 is a failure here
        (("-c", 'echo "{" > "$BATCHQ_RESULT_FILE"'), 1),  # it exits with 0, and its result is not JSON
        (("--max-attempts", "2", "--backoff", "1ms", "-c", 'exit "$((2 + BATCHQ_ATTEMPT))"'), 4),  # the last attempt
        (("--max-attempts", "2", "--backoff", "1ms", "-c", 'test "$BATCHQ_ATTEMPT" = 2'), 0),
        (("--hold", "--", "true"), 3),
    ],
)
def test_the_code_is_that_of_the_job(batchq: Shell, words: tuple[str, ...], code: int) -> None:
    batchq("run", "-q", "--pass-exit-code", *words, code=code)


def test_a_callable_passes_what_python_would(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text("import sys\ndef leave(n): sys.exit(n)\ndef fail(): raise KeyError\n")

    batchq("run", "-q", "--pass-exit-code", "--call", "mine:leave", "--args", '{"n": 5}', code=5)
    batchq("run", "-q", "--pass-exit-code", "--call", "mine:fail", code=1)


def test_it_needs_exactly_one_job(batchq: Shell) -> None:
    (batchq.folder / "two.jsonl").write_text('{"command": "true"}\n' * 2)
    (batchq.folder / "one.jsonl").write_text('{"command": "exit 9"}\n')

    assert "is for a run of one job: put a command after --" in batchq("run", "--pass-exit-code", code=2).err
    done = batchq("run", "--pass-exit-code", "two.jsonl", code=2)
    assert done.err == "batchq: --pass-exit-code is for a run of one job, and this one would add 2\n"
    assert batchq.rows("SELECT id FROM jobs") == []
    batchq("run", "-q", "--pass-exit-code", "one.jsonl", code=9)


def test_json_and_events_have_the_same_status(batchq: Shell) -> None:
    done = batchq("run", "--pass-exit-code", "--json", "--events", "events", "-c", "exit 9", code=9)

    assert json.loads(done.out)["status"] == 9
    assert json.loads((batchq.folder / "events").read_text().splitlines()[-1])["status"] == 9


def test_a_key_that_is_known_counts_with_the_code_that_it_had(batchq: Shell) -> None:
    batchq("run", "-q", "--key", "k", "-c", "exit 6", code=1)

    assert "job 1 failed before" in batchq("run", "--pass-exit-code", "--key", "k", "-c", "exit 6", code=6).err
    batchq("prune", "--older-than", "0s")
    batchq("run", "-q", "--pass-exit-code", "--key", "k", "-c", "exit 6", code=1)


def test_a_signal_to_the_run_and_another_run_at_work_keep_their_codes(batchq: Shell) -> None:
    words = ("run", "--grace", "0s", "--pass-exit-code", "--key", "k", "-c", "echo x > begun; exec sleep 60")
    with batchq.start(*words) as first:
        eventually((batchq.folder / "begun").exists)
        batchq(*words, code=75)
        first.send_signal(signal.SIGTERM)
        assert finish(first).code == 143
    assert batchq.rows("SELECT state FROM jobs") == [("queued",)]


@pytest.mark.parametrize("state", ["queued", "held", "cancelled", "running", "blocked", "scheduled"])
def test_a_job_that_is_not_over_passes_nothing(state: str) -> None:
    assert passed(Last(state, "failed", 5)) is None
