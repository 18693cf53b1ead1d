"""The picture of ``batchq top``: a function from what was read to lines, at any size and whatever jobs are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_top_keys import a_job, contents

from batchq.report.layout import Look, cropped
from batchq.report.reasons import Reason
from batchq.report.top import pager, picture, rates
from batchq.report.top.contents import Contents, Row, last_line
from batchq.report.top.focus import CONFIRM, SORTS, Focus, ordered, settled
from batchq.report.widths import width
from batchq.store.changing.queues import Queue
from batchq.store.looking.activity import Run
from batchq.store.looking.rows import End

HOSTILE = "\x1b[2J\x1b]0;title\x07 日本語 🎉 e\u0301 \u202e evil\r\n\t"
RUN = Run(1, 4711, "here", 4, 1_000, "b", "n", False, False, 3)
REASON = Reason(
    ("12345678",), "exit 3", "checksum mismatch", "", 12, ((1, 12),), 1, 9_000, {}, None, [], "batchq retry 1"
)


def drawn(found: Contents, focus: Focus, columns: int, rows: int) -> list[str]:
    """The lines as they are in the terminal."""
    lines = picture.picture(found, settled(found, focus), columns, rows)
    return ["".join(piece for piece, _ in cropped(line, columns)).rstrip() for line in lines]


def a_busy_store(name: str = "load") -> Contents:
    jobs = [a_job(id, name=f"{name}-{id}", queue=name) for id in range(1, 60)]
    rows = [Row(job, cpu=1.5, memory=120_000_000, line=f"row 5 of {name}") for job in jobs]
    queues = [Queue(f"{name}{number}", number == 1, number, 10.0, {"queued": 7, "running": 2}) for number in range(12)]
    return contents(*jobs)._replace(
        jobs=rows, queues=queues, runs=[RUN] * 3, reasons=[REASON] * 4, per_second=3.2, open=640
    )


def test_a_terminal_of_the_usual_size_has_all_parts() -> None:
    lines = drawn(a_busy_store(), Focus(), 80, 24)

    assert lines[0].startswith("batchq top  3.2 jobs/s, about 3 m 20 s left  ")
    assert lines[0].endswith(":10  /srv/batchq.db")
    assert any(line.split() == ["QUEUE", "LIMIT", "RATE", "QUEUED", "RUNNING"] for line in lines)
    assert any(line.startswith("  1  4711  here    3/4") for line in lines)
    assert any(line.startswith("[running 59]") for line in lines)
    assert "> 1 8.0 s 150 % 120 MB load load-1 row 5 of load" in [" ".join(line.split()) for line in lines]
    assert any("exit 3: checksum mismatch" in line for line in lines)
    assert lines[-1].startswith("? help  q quit")
    assert len(lines) == 24


@pytest.mark.parametrize(("columns", "rows"), [(20, 4), (40, 10), (80, 24), (120, 40), (300, 100)])
@pytest.mark.parametrize("name", ["load", HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("state", ["running", "queued", "scheduled", "blocked", "held", "failed", ""])
def test_no_line_is_too_long_and_the_last_one_is_at_the_bottom(columns: int, rows: int, name: str, state: str) -> None:
    for focus in (Focus(state=state), Focus(state=state, text=name), Focus(mode=CONFIRM, verb="cancel", target=1)):
        lines = drawn(a_busy_store(name), focus, columns, rows)
        assert len(lines) == rows
        assert all(width(line) <= columns and line.isprintable() for line in lines), lines
        assert any(line.startswith(">") for line in lines), "the selected job is always seen"


def test_the_check_would_notice_a_line_that_is_too_long() -> None:
    lines = picture.picture(a_busy_store(HOSTILE), Focus(), 40, 24)
    assert any(width("".join(text for text, _ in line.parts)) > 40 for line in lines)


def test_the_selected_job_is_in_the_window_wherever_it_is_in_the_list() -> None:
    found = a_busy_store()
    for id in range(1, 60):
        (marked,) = [line for line in drawn(found, Focus(selected=id), 80, 24) if line.startswith(">")]
        assert marked.split()[1] == str(id)


def test_a_window_that_is_too_low_for_everything_keeps_the_jobs() -> None:
    lines = drawn(a_busy_store(), Focus(), 40, 10)
    assert not any("RUN  PID" in line for line in lines)
    assert sum(" load-" in line for line in lines) >= 3


@given(st.integers(-5, 60), st.lists(st.integers(0, 40), max_size=4))
def test_parts_share_the_room_and_none_gets_a_heading_alone(room: int, wanted: list[int]) -> None:
    given_lines = picture.shares(room, wanted)
    assert sum(given_lines) <= max(0, room)
    assert all(got == 0 or 2 <= got <= max(2, lines) for got, lines in zip(given_lines, wanted, strict=True))


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("", [1, 2, 3]),
        ("id", [1, 2, 3]),
        ("cpu", [2, 1, 3]),
        ("memory", [1, 2, 3]),
        ("queue", [3, 1, 2]),
        ("name", [3, 1, 2]),
    ],
)
def test_a_list_is_sorted_by_what_was_asked_for(sort: str, ids: list[int]) -> None:
    rows = [Row(a_job(1), 0.1, 5), Row(a_job(2), 3.0, 1), Row(a_job(3, queue="a", name="b"), None, None)]
    found = contents()._replace(jobs=rows)
    assert [row.job.id for row in ordered(found, Focus(sort=sort))] == ids
    assert any(line.split()[:2] == [">", str(ids[0])] for line in drawn(found, Focus(sort=sort), 80, 24))


def test_each_order_is_tested() -> None:
    assert {*SORTS} == {"", "id", "cpu", "memory", "queue", "name"}


def test_a_failed_job_shows_how_it_ended_and_what_it_said_last() -> None:
    job = a_job(4, "failed", end=End("failed", exit_code=3))
    assert any("exit code 3: no such table" in line for line in drawn(
        contents(job)._replace(jobs=[Row(job, line="no such table")]), Focus(state="failed"), 80, 24
    ))  # fmt: skip


def test_a_job_that_waits_for_a_retry_shows_why_it_failed() -> None:
    job = a_job(4, "scheduled", why="retry", due_at=70_000, end=End("failed", exit_code=7))
    found = contents(job)._replace(jobs=[Row(job, line="no route to host")])
    lines = drawn(found, Focus(state="scheduled"), 100, 24)
    assert any("1 m 00 s" in line and "retry after exit code 7: no route to host" in line for line in lines)


def test_what_has_no_room_is_counted() -> None:
    queues = [Queue(f"q{number:03}", False, None, None, {"queued": 1}) for number in range(500)]
    lines = drawn(contents()._replace(queues=queues), Focus(), 80, 24)
    shown = sum(line.startswith("q") for line in lines)
    assert f"… {500 - shown} more" in lines
    assert "…" not in picture.whole(contents()._replace(queues=queues), "running", Look())


def test_off_a_terminal_everything_is_whole() -> None:
    text = picture.whole(a_busy_store("n" * 300), "running", Look())
    assert text.count(f"{'n' * 300}-") == 59 and "…" not in text and "\x1b" not in text
    assert text.count("checksum mismatch") == 4
    assert "3.2 jobs/s" in text.splitlines()[0] and "59 running" in text.splitlines()[1]


def test_a_dead_run_and_lost_jobs_are_named() -> None:
    found = contents(a_job(1, is_lost=True))._replace(runs=[RUN._replace(is_dead=True)])
    text = "\n".join(drawn(found, Focus(), 120, 24))
    assert "died; the next run takes its jobs back" in text and "the run died" in text and "no run at work" in text


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", ""),
        (b"one\ntwo\n\n", "two"),
        (b"  5 %\r 50 %\r100 %", "100 %"),
        (b"a\nb\r\n", "b"),
        (b"\n\n", ""),
        (b"\xff\xfe\n", "\\xff\\xfe"),
        (b"\x1b[31mred\x1b[0m\n", "red"),
    ],
)
def test_the_last_line_is_the_one_that_a_terminal_would_show(data: bytes, line: str) -> None:
    assert last_line(data) == line


def test_a_rate_counts_the_jobs_of_the_last_minute() -> None:
    ended = rates.EndedJobs()
    for second in range(0, 200):
        ended.count(2 * second if second < 150 else 300, float(second))
        if second == 5:
            assert ended.per_second() is None, "too soon"
        if second == 100:
            assert ended.per_second() == 2.0
    assert ended.per_second() == pytest.approx(2 * 11 / 60, abs=0.1)


def test_few_jobs_are_no_rate_before_a_minute_has_passed() -> None:
    ended = rates.EndedJobs()
    for second in range(0, 100):
        ended.count(second // 20, float(second))
        assert (ended.per_second() is None) == (second < 60)
    assert ended.per_second() == pytest.approx(3 / 60, abs=0.02)


def test_a_retry_or_a_prune_makes_no_rate_negative() -> None:
    ended = rates.EndedJobs()
    for second, finished in enumerate([100, 110, 20, 30, *[30] * 16]):
        ended.count(finished, float(second))
    assert ended.per_second() == pytest.approx(20 / 19)


@pytest.mark.parametrize(
    ("ended", "most", "rate"),
    [
        ([], 10, 0.0),
        ([99_000] * 30, 100, 0.5),  # of a minute
        ([50_000, 99_000, 100_000, 20_000], 100, 3 / 60),  # one is older
        ([98_000, 99_000, 99_500, 100_000], 4, 2.0),  # more than were read: those in the last two seconds
        ([200_000], 10, 0.0),  # the clock was set back
    ],
)
def test_a_rate_is_estimated_from_the_newest_attempts(ended: list[int], most: int, rate: float) -> None:
    assert rates.estimated(ended, 1_000, 100_000, most) == pytest.approx(rate)


def test_a_run_of_a_few_seconds_is_not_measured_by_the_minute() -> None:
    assert rates.estimated([9_000, 9_500], 8_000, 10_000, 100) == 1.0


def test_a_pager_shows_the_end_and_scrolls_to_the_beginning() -> None:
    text = [*map(str, range(100))]
    end = pager.Page("title", text, "keys", 0, 80, 12)
    assert ["".join(text for text, _ in line.parts) for line in end.lines] == [
        "title", *map(str, range(90, 100)), "end  keys",
    ]  # fmt: skip
    top = pager.Page("title", text, "keys", pager.TOP, 80, 12)
    assert "".join(text for text, _ in top.lines[1].parts) == "0" and top.below == 90
    assert "".join(text for text, _ in top.lines[-1].parts) == "10 %  keys"


@given(
    st.lists(st.text(st.sampled_from("ab \t日🎉e\u0301\x1b\r"), max_size=40), max_size=9),
    st.integers(1, 30),
    st.integers(3, 12),
)
def test_a_pager_loses_no_character_and_no_line_is_too_long(text: list[str], columns: int, rows: int) -> None:
    page = pager.Page("t", text, "k", 0, columns, rows)
    assert len(page.lines) == rows
    seen = set()
    for below in range(200):
        page = pager.Page("t", text, "k", below, columns, rows)
        body = ["".join(text for text, _ in line.parts) for line in page.lines[1:-1]]
        assert all(width(line) <= max(2, columns) for line in body)
        seen |= set("".join(body))
        if page.below < below:
            break
    assert {*"ab日🎉"} & {*"".join(text)} <= seen
