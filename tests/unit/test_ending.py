"""The words for how an attempt ended."""

import pytest

from batchq.report.ending import ending, nth
from batchq.store.looking.rows import End, Job


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (End("succeeded", 0), "succeeded"),
        (End("failed", 3), "exit code 3"),
        (End("failed", 126), "exit code 126 (not executable)"),
        (End("failed", 127), "exit code 127 (command not found)"),
        (End("failed", 137), "exit code 137 (128 + 9: SIGKILL)"),
        (End("failed", 255), "exit code 255"),
        (End("failed", None, 9), "killed by signal 9 (SIGKILL)"),
        (End("failed", None, 11), "killed by signal 11 (SIGSEGV)"),
        (End("failed", None, 50), "killed by signal 50"),
        (End("failed", None, None, "KeyError", "'x'"), "KeyError: 'x'"),
        (End("failed", None, None, "ValueError", ""), "ValueError"),
        (End("failed", 0, None, "ResultNotJSON", "it is not JSON"), "ResultNotJSON: it is not JSON"),
        (End("failed", 3, None, "SystemExit", "3"), "exit code 3 (SystemExit: 3)"),
        (End("failed", None, None, "Error", "first\n\nsecond"), "Error: first …"),
        (End("failed"), "failed"),
        (End("timed_out", None, 15, "TimedOut", "…", 2000), "timed out after 2 s"),
        (End("timed_out", None, 15, None, None, 90_000), "timed out after 1 m 30 s"),
        (End("timed_out"), "timed out"),
        (End("crashed", None, None, "RunnerDied", "its runner (pid 7) died"), "crashed: its runner (pid 7) died"),
        (End("crashed"), "crashed"),
        (End("interrupted"), "interrupted: requeued, no attempt used"),
        (End("cancelled"), "cancelled while it ran"),
    ],
)
def test_an_end_in_words(end: End, words: str) -> None:
    assert ending(end) == words


def test_a_long_message_is_shortened() -> None:
    words = ending(End("failed", None, None, "Error", "x" * 10_000))

    assert len(words) < 400
    assert words.endswith("…")


@pytest.mark.parametrize(
    ("attempt", "failures", "max_attempts", "words"),
    [
        (1, 1, 1, "attempt 1 of 1"),
        (2, 2, 3, "attempt 2 of 3"),
        (4, 3, 3, "attempt 4, failure 3 of 3"),
        (3, 0, 1, "attempt 3"),
    ],
)
def test_which_attempt_it_was(attempt: int, failures: int, max_attempts: int, words: str) -> None:
    nothing: dict[str, object] = dict.fromkeys(Job._fields)
    job = Job(**(nothing | {"attempt": attempt, "failures": failures, "max_attempts": max_attempts}))  # type: ignore[arg-type]

    assert nth(job) == words
