"""Durations, instants and how both are shown; local time is that of central Europe, given by rule and not by name."""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq import clock, spoken


@pytest.fixture(autouse=True)
def central_europe() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ms"),
    [("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000), ("1.5s", 1_500),
     (".5s", 500), ("90", 90_000), ("0", 0), ("0.4ms", 0), (" 5m ", 300_000), ("36500d", 3_153_600_000_000),
     ("1w", 604_800_000), ("10min", 600_000), ("5 minutes", 300_000), ("1hour", 3_600_000), ("2hrs", 7_200_000),
     ("1h30m", 5_400_000), ("1h 30m 5s", 5_405_000), ("1 d 12 h", 129_600_000), ("30m1.5h", 7_200_000),
     ("1:30:00", 5_400_000), ("0:00:01.5", 1_500), ("100:00:00", 360_000_000)],
)  # fmt: skip
def test_a_duration_is_numbers_with_units_and_seconds_without_one(text: str, ms: int) -> None:
    assert clock.duration(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", ".", "-1s", "+1s", "1e3", "1_000", "0x10", "5sm", "5mm", "1.2.3s", "1h30", "1h1h", "1h2hours", "nan",
     "inf", "٣s", "½h", "5\ns", "five", "5S", "1M", "5 fortnights", "1:30", "1:60:00", "1:00:60", "1:5:00", "1.5:00:00",
     "1:00:0٣", ":", "::", "1h,30m", "1h-30m"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        ValueError, match="is not a duration: write a number and one of ms, s, m, h, d, w, as in 90s, 1h30m"
    ):
        clock.duration(text)


@pytest.mark.parametrize("text", ["36501d", "9" * 400, "9" * 5000 + "ms"])
def test_a_duration_of_more_than_a_century_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is longer than 100 years"):
        clock.duration(text)


@given(st.integers(0, 10**9))
def test_whole_milliseconds_survive_every_unit(ms: int) -> None:
    assert clock.duration(f"{ms}ms") == ms
    assert clock.duration(f"{ms // 1000}.{ms % 1000:03d}s") == ms


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert clock.duration(text) >= 0


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23T18:00Z", "2026-11-23T18:00:00.000Z"),
        ("2026-11-23T18:00:00.250+05:30", "2026-11-23T12:30:00.250Z"),
        (" 2026-11-23 18:00 ", "2026-11-23T17:00:00.000Z"),
        ("2026-07-01", "2026-06-30T22:00:00.000Z"),
        ("2026-03-29T01:59:59", "2026-03-29T00:59:59.000Z"),
        ("2026-03-29T03:00", "2026-03-29T01:00:00.000Z"),
        ("2026-03-29T02:30+01:00", "2026-03-29T01:30:00.000Z"),
    ],
)
def test_a_time_without_an_offset_is_local(text: str, utc: str) -> None:
    assert clock.iso(clock.instant(text)) == utc


@pytest.mark.parametrize("text", ["2026-03-29T02:00", "2026-03-29T02:30", "2026-03-29T02:59:59.999"])
def test_a_local_time_over_which_the_clock_is_set_forward_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not exist in local time"):
        clock.instant(text)


def test_a_local_time_that_comes_twice_means_its_first_coming() -> None:
    assert clock.iso(clock.instant("2026-10-25T02:30")) == "2026-10-25T00:30:00.000Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-30",
        "2026-11-23T25:00",
        "23.11.2026",
        "1795456800",
        "24:00",
        "9:60",
        "13pm",
        "0am",
        "9",
        "9:5",
        "fr",
        "friday monday",
        "9:00 10:00",
        "next friday",
        "may",
        "10-11-12",
        "٣:00",
        "9:00:00:00",
        "pm",
        "today now",
        "soon",
    ],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time: write 2026-11-23T18:00, 18:00, tomorrow 9:00 or fri 22:30"):
        clock.instant(text)


@given(st.integers(-(10**12), 10**14))
def test_an_instant_survives_being_printed_and_read(ms: int) -> None:
    assert clock.instant(clock.iso(ms) or "") == ms


def test_an_instant_is_shown_in_utc_for_programs_and_in_local_time_for_people() -> None:
    assert clock.iso(None) is None
    assert clock.iso(0) == "1970-01-01T00:00:00.000Z"
    assert clock.iso(-1) == "1969-12-31T23:59:59.999Z"
    assert clock.local(0) == "1970-01-01 01:00:00 +0100"
    assert clock.local(1782864000000) == "2026-07-01 02:00:00 +0200"


def test_a_period_has_its_offset_once_if_it_is_the_same() -> None:
    summer = clock.instant("2027-10-30T22:00Z")

    assert clock.period(0, 5000) == "1970-01-01 01:00:00 to 1970-01-01 01:00:05 +0100"
    assert clock.period(summer, summer + 86_400_000) == "2027-10-31 00:00:00 +0200 to 2027-10-31 23:00:00 +0100"


@given(st.integers(-(10**10), 10**11))
def test_what_tables_print_is_read_as_the_same_time(seconds: int) -> None:
    assert clock.instant(clock.local(seconds * 1000)) == seconds * 1000


@pytest.mark.parametrize(
    ("ms", "text"),
    [(-5, "0 s"), (999, "0 s"), (59_999, "59 s"), (60_000, "1 m"), (7_199_999, "1 h"), (86_400_000 * 400, "400 d")],
)
def test_an_age_is_one_number_with_one_unit(ms: int, text: str) -> None:
    assert clock.show_age(ms) == text


def test_the_hours_that_come_twice_have_different_offsets() -> None:
    first = clock.instant("2027-10-31T00:30Z")
    half_an_hour = 1_800_000

    assert [clock.local(first + number * half_an_hour) for number in range(-2, 5)] == [
        "2027-10-31 01:30:00 +0200",
        "2027-10-31 02:00:00 +0200",
        "2027-10-31 02:30:00 +0200",
        "2027-10-31 02:00:00 +0100",
        "2027-10-31 02:30:00 +0100",
        "2027-10-31 03:00:00 +0100",
        "2027-10-31 03:30:00 +0100",
    ]
    assert clock.local(clock.instant("2027-03-28T01:30Z")) == "2027-03-28 03:30:00 +0200"


def test_now_is_the_wall_clock_in_milliseconds() -> None:
    before = time.time_ns()

    now = clock.now()

    assert before // 1_000_000 <= now <= time.time_ns() // 1_000_000


def test_since_takes_a_length_back_from_now_a_time_or_today() -> None:
    before = clock.now()

    back = clock.since("2h")

    assert before - 7_200_000 <= back <= clock.now() - 7_200_000
    assert clock.iso(clock.since("2026-11-23T18:00")) == "2026-11-23T17:00:00.000Z"
    today = clock.since("today")
    assert " 00:00:00 " in clock.local(today) and 0 <= clock.now() - today < 26 * 3_600_000
    yesterday = clock.since("yesterday")  # of another today, if it is midnight now
    assert " 00:00:00 " in clock.local(yesterday) and 23 * 3_600_000 <= clock.now() - yesterday < 50 * 3_600_000
    assert before - 3_600_000 <= clock.since("-1h") <= clock.now() - 3_600_000
    assert clock.since("9:00:00") <= clock.now()  # a time of day, not nine hours ago
    with pytest.raises(ValueError, match="'soon' is not a time"):
        clock.since("soon")


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(0, "0 ms"), (12.4, "12 ms"), (999, "999 ms"), (1_000, "1.0 s"), (3_449, "3.4 s"), (59_949, "59.9 s"),
     (59_950, "1 m 00 s"), (125_000, "2 m 05 s"), (3_599_499, "59 m 59 s"), (3_599_500, "1 h 00 m"),
     (3_720_000, "1 h 02 m"), (86_399_000, "23 h 59 m"), (86_400_000, "1 d 00 h"), (273_600_000, "3 d 04 h")],
)  # fmt: skip
def test_a_duration_is_shown_in_the_two_units_that_matter(ms: float, shown: str) -> None:
    assert clock.show_duration(ms) == shown


SATURDAY = datetime(2026, 11, 28, 12, 30)


@pytest.mark.parametrize(
    ("text", "next_one", "last_one"),
    [
        ("09:00", "2026-11-29 09:00", "2026-11-28 09:00"),
        ("12:30", "2026-11-29 12:30", "2026-11-28 12:30"),
        ("23:15:10", "2026-11-28 23:15:10", "2026-11-27 23:15:10"),
        ("9pm", "2026-11-28 21:00", "2026-11-27 21:00"),
        ("12:05 AM", "2026-11-29 00:05", "2026-11-28 00:05"),
        ("12pm", "2026-11-29 12:00", "2026-11-28 12:00"),
        ("noon", "2026-11-29 12:00", "2026-11-28 12:00"),
        ("midnight", "2026-11-29 00:00", "2026-11-28 00:00"),
        ("fri 22:30", "2026-12-04 22:30", "2026-11-27 22:30"),
        ("22:30 Friday", "2026-12-04 22:30", "2026-11-27 22:30"),
        ("sat", "2026-12-05 00:00", "2026-11-28 00:00"),
        ("sat 13:00", "2026-11-28 13:00", "2026-11-21 13:00"),
        ("sat 12:30", "2026-12-05 12:30", "2026-11-28 12:30"),
        ("sunday", "2026-11-29 00:00", "2026-11-22 00:00"),
    ],
)
def test_of_a_time_without_a_date_the_next_or_the_last_one_is_meant(text: str, next_one: str, last_one: str) -> None:
    assert spoken.moment(text, SATURDAY, is_past=False) == datetime.fromisoformat(next_one)
    assert spoken.moment(text, SATURDAY, is_past=True) == datetime.fromisoformat(last_one)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("tomorrow 9:00", "2026-11-29 09:00"),
        ("9:00 tomorrow", "2026-11-29 09:00"),
        ("tomorrow", "2026-11-29 00:00"),
        ("today 9am", "2026-11-28 09:00"),
        ("Yesterday", "2026-11-27 00:00"),
        ("2026-12-24 9:00", "2026-12-24 09:00"),
        ("now", "2026-11-28 12:30"),
    ],
)
def test_a_day_that_is_named_is_that_day(text: str, meant: str) -> None:
    assert {spoken.moment(text, SATURDAY, is_past=is_past) for is_past in (False, True)} == {
        datetime.fromisoformat(meant)
    }


WORDS = st.sampled_from(["sat", "9:00", "9pm", "noon", "today", "-", "2026-11-28", "am", "now", "24:00", "0:00"])


@given(st.text() | st.lists(WORDS).map(" ".join))
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        clock.since(text)
        clock.instant(text)
