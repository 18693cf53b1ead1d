"""The mail that cron sends: which jobs failed, why, and how to run them again."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batchq.jobs.selection import Range, Selection
from batchq.report.aftermath import Aftermath, is_news
from batchq.report.digest import digest, last_lines
from batchq.report.reasons import Reason
from batchq.store.looking.change import Change
from batchq.store.looking.rows import End, Failure, Job, Log


def a_failure(id: int = 3, log: bytes | None = b"boom\n", end: End | None = None, **facts: Any) -> Failure:
    known = {"kind": "shell", "work": '["make all"]', "attempt": 1, "max_attempts": 1, "failures": 1, "seconds": 1.25}
    ended = end or End("failed", 3)
    job = Job(**(dict.fromkeys(Job._fields) | known | {"id": id, "end": ended} | facts))  # type: ignore[arg-type]
    return Failure(job, None if log is None else Log("stderr", log, False))


def of(*failures: Failure, failed: int | None = None, retry: str = "batchq retry 3", **facts: Any) -> Aftermath:
    """What is left of a run whose failures have no reasons."""
    known = {"reasons": [], "lost": 0, "cancelled": 0, "change": None, "since": "", "is_news": True}
    return Aftermath(
        **known | {"failures": [*failures], "failed": failed or len(failures), "retry": retry} | facts  # type: ignore[arg-type]
    )


def a_reason(jobs: int, first: int, retry: str = "batchq retry 1-9", **facts: Any) -> Reason:
    ids: tuple[Range, ...] = ((first, first + jobs - 1),)
    known = {
        "causes": ("23d8c864",), "ending": "exit 3", "title": "error: boom", "where": "", "jobs": jobs, "ids": ids,
        "first": 1, "last": 2, "queues": {"cpu": jobs}, "before": None, "examples": [a_failure(first)], "retry": retry,
    }  # fmt: skip
    return Reason(**known | facts)  # type: ignore[arg-type]


def by_reasons(*reasons: Reason, retry: str = "batchq retry 1-900 --failed", **facts: Any) -> Aftermath:
    return of(reasons=[*reasons], retry=retry, **{"failed": sum(one.jobs for one in reasons)} | facts)


def test_a_digest_says_what_failed_why_and_what_to_do() -> None:
    text = digest(of(a_failure(name="build", attempt=2, max_attempts=2)))

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
    text = digest(of(a_failure(end=End("failed", None, None, "KeyError", "'x'"), traceback=trace)))

    assert "attempt 1 of 1: KeyError: 'x', after 1.2 s" in text
    assert "    traceback:\n      Traceback (most recent call last):\n        File ...\n      KeyError: 'x'\n" in text
    assert "boom" not in text


def test_a_crash_says_how_often() -> None:
    end = End("crashed", None, None, "RunnerDied", "its runner (pid 7) died while it ran")
    text = digest(of(a_failure(end=end, why="crashed 3 times", attempt=3, failures=0)))

    assert "job 3, attempt 3: crashed 3 times: its runner (pid 7) died while it ran, after 1.2 s" in text


def test_only_the_last_ten_lines_are_shown_and_the_digest_says_so() -> None:
    text = digest(of(a_failure(log=b"".join(b"line %d\n" % number for number in range(50)))))

    assert "last lines of stderr:\n      line 40\n" in text
    assert "line 39" not in text


def test_without_reasons_the_first_failures_are_shown_and_the_rest_is_counted() -> None:
    text = digest(of(*map(a_failure, range(1, 11)), failed=1000, retry="batchq retry 1-1000"))

    assert text.count("    $ make all") == 10
    assert "\n\nand 990 more\n\nRun them again:  batchq retry 1-1000\n" in text


def test_reasons_are_shown_with_their_commands_and_an_example_of_each() -> None:
    trace = "Traceback (most recent call last):\n  File ...\nKeyError: 'x'\n"
    failure = a_failure(4, name="sync", end=End("failed", None, None, "KeyError", "'x'"), traceback=trace)
    key = a_reason(
        3, 4, "batchq retry 4-6", ending="exception", title="KeyError: 'x'", where="at work.py:14", before=0,
        examples=[failure],
    )  # fmt: skip
    text = digest(
        by_reasons(key, a_reason(2, 1, "batchq retry 1-2", before=40), since="since last time, then: 3 newly failed")
    )

    assert text == (
        "batchq: 5 jobs failed for 2 reasons\n"
        "since last time, then: 3 newly failed\n"
        "\n"
        "3 jobs: KeyError: 'x', at work.py:14 (new)\n"
        "    again: batchq retry 4-6\n"
        "    like job 4 (sync), attempt 1 of 1, after 1.2 s\n"
        "    $ make all\n"
        "      Traceback (most recent call last):\n"
        "        File ...\n"
        "      KeyError: 'x'\n"
        "\n"
        "2 jobs: exit 3: error: boom (last time 40)\n"
        "    again: batchq retry 1-2\n"
        "    like job 1, attempt 1 of 1, after 1.2 s\n"
        "    $ make all\n"
        "      boom\n"
        "\n"
        "Run them again:  batchq retry 1-900 --failed\n"
    )


def test_a_reason_of_one_job_reads_as_if_that_job_had_failed_alone() -> None:
    text = digest(by_reasons(a_reason(1, 3, "batchq retry 3", where="at work.py:14", before=0), a_reason(2, 8)))

    assert (
        "job 3, attempt 1 of 1: exit code 3, after 1.2 s, at work.py:14 (new)\n"
        "    again: batchq retry 3\n"
        "    $ make all\n"
        "    stderr:\n"
        "      boom\n"
    ) in text


def test_of_many_reasons_some_are_in_full_others_in_a_line_and_the_rest_is_counted() -> None:
    reasons = [a_reason(1, number, f"batchq retry {number}", title=f"error {number}") for number in range(1, 31)]
    text = digest(by_reasons(*reasons, retry="batchq retry 1-30"))

    assert text.startswith("batchq: 30 jobs failed for 30 reasons\n")
    shown = text.count("    $ make all")
    assert 5 <= shown <= 10
    assert f"\n\n1 job: exit 3: error {shown + 1}; again: batchq retry {shown + 1}\n1 job: " in text
    assert f"again: batchq retry {shown + 15}\nand {30 - shown - 15} jobs for {30 - shown - 15} more reasons\n" in text
    assert text.endswith("\n\nRun them again:  batchq retry 1-30\n")
    assert len(text.splitlines()) <= 70


def test_a_long_example_leaves_room_for_the_next_reasons() -> None:
    long = a_failure(1, b"".join(b"line %d\n" % number for number in range(50)))
    text = digest(by_reasons(*(a_reason(20, 1, examples=[long], title=f"error {n}") for n in range(20))))

    assert "    like job 1, attempt 1 of 1, after 1.2 s; its last lines:\n    $ make all\n      line 43\n" in text
    assert len(text.splitlines()) <= 70


def test_a_crash_in_a_reason_says_how_often() -> None:
    end = End("crashed", None, None, "RunnerDied", "its runner died while it ran")
    crash = a_failure(end=end, why="crashed 3 times", attempt=3, failures=0)

    assert "    like job 3, attempt 3: crashed 3 times: its runner died while it ran, after 1.2 s\n" in digest(
        by_reasons(a_reason(2, 3, examples=[crash]))
    )


def test_what_was_retried_or_removed_since_is_counted() -> None:
    assert "\n3 of them were retried or removed since\n\nRun them" in digest(
        by_reasons(a_reason(2, 3), failed=5, lost=3)
    )


def test_failures_are_news_unless_each_of_them_failed_last_time() -> None:
    same = Change((), (), 1, [], [3, 4, 5], [], [], [], [], (0, 0), {}, 30, Selection())

    assert not is_news([3, 5], same)
    assert is_news([3, 6], same), "6 has no counterpart"
    assert is_news([3], same._replace(recovered=[4]))
    assert is_news([3], None), "there is no last time"


def test_a_job_that_printed_nothing_has_no_empty_heading() -> None:
    assert "stderr" not in digest(of(a_failure(log=None)))


@given(st.binary(), st.text(st.characters()), st.text(st.characters()))
def test_nothing_that_a_job_prints_can_harm_the_reader(log: bytes, name: str, error: str) -> None:
    failure = a_failure(log=log, name=name or None, end=End("failed", None, None, "Error", error))
    text = digest(of(failure))

    assert "\x1b" not in text
    assert "\r" not in text
    assert "\u202e" not in text
    text.encode("utf-8")


def test_a_line_that_no_mail_could_carry_is_shortened() -> None:
    lines, _ = last_lines(b"x" * 5000)

    assert lines == ["x" * 500 + "… (4,500 characters more)"]


def test_only_the_last_state_of_a_progress_bar_is_shown() -> None:
    assert last_lines(b"10%\r50%\r100%\r\ndone\r\n") == (["100%", "done"], False)
