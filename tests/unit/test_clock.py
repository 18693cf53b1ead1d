"""Durations, instants and how both are shown; local time is that of central Europe, given by rule and not by name."""

import contextlib
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq import clock


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
     (".5s", 500), ("90", 90_000), ("0", 0), ("0.4ms", 0), (" 5m ", 300_000), ("36500d", 3_153_600_000_000)],
)  # fmt: skip
def test_a_duration_is_a_number_and_a_unit_and_seconds_without_one(text: str, ms: int) -> None:
    assert clock.duration(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", ".", "5 m", "-1s", "+1s", "1e3", "1_000", "0x10", "5w", "5sm", "5mm", "1.2.3s", "1h30m", "nan",
     "inf", "٣s", "½h", "5\ns", "five", "5S"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write a number and one of ms, s, m, h, d, as in 90s"):
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


@pytest.mark.parametrize("text", ["", "now", "18:00", "2026-02-30", "2026-11-23T25:00", "23.11.2026", "1795456800"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not an ISO 8601 time, as in 2026-11-23T18:00"):
        clock.instant(text)


@given(st.integers(-(10**12), 10**14))
def test_an_instant_survives_being_printed_and_read(ms: int) -> None:
    assert clock.instant(clock.iso(ms) or "") == ms


def test_an_instant_is_shown_in_utc_for_programs_and_in_local_time_for_people() -> None:
    assert clock.iso(None) is None
    assert clock.iso(0) == "1970-01-01T00:00:00.000Z"
    assert clock.iso(-1) == "1969-12-31T23:59:59.999Z"
    assert clock.local(0) == "1970-01-01 01:00:00"
    assert clock.local(1782864000000) == "2026-07-01 02:00:00"


def test_in_the_hour_that_comes_twice_the_offset_is_shown() -> None:
    first = clock.instant("2027-10-31T00:30Z")
    half_an_hour = 1_800_000

    assert [clock.local(first + number * half_an_hour) for number in range(-2, 5)] == [
        "2027-10-31 01:30:00",
        "2027-10-31 02:00:00 +0200",
        "2027-10-31 02:30:00 +0200",
        "2027-10-31 02:00:00 +0100",
        "2027-10-31 02:30:00 +0100",
        "2027-10-31 03:00:00",
        "2027-10-31 03:30:00",
    ]
    assert clock.local(clock.instant("2027-03-28T01:30Z")) == "2027-03-28 03:30:00"


def test_now_is_the_wall_clock_in_milliseconds() -> None:
    before = time.time()

    now = clock.now()

    assert int(before * 1000) <= now <= time.time() * 1000


def test_since_takes_a_length_back_from_now_a_time_or_today() -> None:
    before = clock.now()

    back = clock.since("2h")

    assert before - 7_200_000 <= back <= clock.now() - 7_200_000
    assert clock.iso(clock.since("2026-11-23T18:00")) == "2026-11-23T17:00:00.000Z"
    today = clock.since("today")
    assert clock.local(today).endswith(" 00:00:00") and 0 <= clock.now() - today <= 25 * 3_600_000
    with pytest.raises(ValueError, match="'yesterday' is not an ISO 8601 time"):
        clock.since("yesterday")


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(0, "0 ms"), (12.4, "12 ms"), (999, "999 ms"), (1_000, "1.0 s"), (3_449, "3.4 s"), (59_949, "59.9 s"),
     (59_950, "1 m 00 s"), (125_000, "2 m 05 s"), (3_599_499, "59 m 59 s"), (3_599_500, "1 h 00 m"),
     (3_720_000, "1 h 02 m"), (86_399_000, "23 h 59 m"), (86_400_000, "1 d 00 h"), (273_600_000, "3 d 04 h")],
)  # fmt: skip
def test_a_duration_is_shown_in_the_two_units_that_matter(ms: float, shown: str) -> None:
    assert clock.show_duration(ms) == shown
