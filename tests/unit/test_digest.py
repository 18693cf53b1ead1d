"""The mail that cron sends: which jobs failed, why, and how to run them again."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batchq.report.digest import digest, last_lines
from batchq.store.looking.rows import End, Failure, Job, Log


def a_failure(id: int = 3, log: bytes | None = b"boom\n", end: End | None = None, **facts: Any) -> Failure:
    known = {"kind": "shell", "work": '["make all"]', "attempt": 1, "max_attempts": 1, "failures": 1, "seconds": 1.25}
    ended = end or End("failed", 3)
    job = Job(**(dict.fromkeys(Job._fields) | known | {"id": id, "end": ended} | facts))  # type: ignore[arg-type]
    return Failure(job, None if log is None else Log("stderr", log, False))


def test_a_digest_says_what_failed_why_and_what_to_do() -> None:
    text = digest([a_failure(name="build", attempt=2, max_attempts=2)], 1, "batchq retry 3")

    assert text == (
        "batchq: 1 job failed\n"
        "\n"
        "job 3 (build), attempt 2 of 2: exit code 3, after 1.2 s\n"
        "    $ make all\n"
        "    stderr:\n"
        "      boom\n"
        "\n"
        "Run it again:  batchq retry 3\n"
    )


def test_a_traceback_is_shown_instead_of_output() -> None:
    trace = "Traceback (most recent call last):\n  File ...\nKeyError: 'x'\n"
    text = digest([a_failure(end=End("failed", None, None, "KeyError", "'x'"), traceback=trace)], 1, "batchq retry 3")

    assert "attempt 1 of 1: KeyError: 'x', after 1.2 s" in text
    assert "    traceback:\n      Traceback (most recent call last):\n        File ...\n      KeyError: 'x'\n" in text
    assert "boom" not in text


def test_a_crash_says_how_often() -> None:
    end = End("crashed", None, None, "RunnerDied", "its runner (pid 7) died while it ran")
    text = digest([a_failure(end=end, why="crashed 3 times", attempt=3, failures=0)], 1, "batchq retry 3")

    assert "job 3, attempt 3: crashed 3 times: its runner (pid 7) died while it ran, after 1.2 s" in text


def test_only_the_last_ten_lines_are_shown_and_the_digest_says_so() -> None:
    text = digest([a_failure(log=b"".join(b"line %d\n" % number for number in range(50)))], 1, "batchq retry 3")

    assert "last lines of stderr:\n      line 40\n" in text
    assert "line 39" not in text


def test_ten_failures_are_shown_in_full_and_the_rest_in_one_line() -> None:
    failures = [a_failure(id) for id in range(1, 13)] + [a_failure(13, end=End("timed_out", timeout=2000))]
    text = digest(failures, 13, "batchq retry 1-13")

    assert text.count("    $ make all") == 10
    assert "and 3 more: 2 × exit code 3, 1 × timed out after 2 s\n" in text
    assert "and 990 more\n" in digest(failures[:10], 1000, "batchq retry --failed")


def test_a_job_that_printed_nothing_has_no_empty_heading() -> None:
    assert "stderr" not in digest([a_failure(log=None)], 1, "batchq retry 3")


@given(st.binary(), st.text(st.characters()), st.text(st.characters()))
def test_nothing_that_a_job_prints_can_harm_the_reader(log: bytes, name: str, error: str) -> None:
    failure = a_failure(log=log, name=name or None, end=End("failed", None, None, "Error", error))
    text = digest([failure], 1, "batchq retry 3")

    assert "\x1b" not in text
    assert "\r" not in text
    assert "\u202e" not in text
    text.encode("utf-8")


def test_a_line_that_no_mail_could_carry_is_shortened() -> None:
    lines, _ = last_lines(b"x" * 5000)

    assert lines == ["x" * 500 + "… (4,500 characters more)"]


def test_only_the_last_state_of_a_progress_bar_is_shown() -> None:
    assert last_lines(b"10%\r50%\r100%\r\ndone\r\n") == (["100%", "done"], False)
