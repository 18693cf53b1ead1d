"""The course of attempts in bins: nothing is lost or counted twice, failures stay visible, and it never grows."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq.report.flow import LANES, Bar, Flow, flow
from batchq.store.looking.sample import Sample, Try

START = 1_764_000_000_000
OUTCOMES = ("succeeded", "failed", "timed_out", "crashed", "interrupted", "cancelled")

tries = st.lists(
    st.builds(
        Try, st.integers(1, 3), st.integers(START, START + 90_000), st.floats(0, 200), st.sampled_from(OUTCOMES)
    ),
    min_size=1, max_size=60,
)  # fmt: skip

afar = st.lists(
    st.builds(
        Try, st.integers(1, 3), st.integers(START, START + 90_000), st.floats(3, 200), st.just("succeeded"),
        st.sampled_from(("alpha", "beta/w1", "beta/w2", None)),
    ),
    min_size=1, max_size=40,
)  # fmt: skip
"""Each fills a whole bin (at most 1.2 s here): of successes, unlike failures, a lane does not show a moment."""


def flow_of(attempts: list[Try], step: int = 1, slots: int = 4) -> Flow:
    ordered = sorted(attempts, key=lambda one: one.started_at)
    found = flow(Sample(step, ordered, dict.fromkeys((1, 2, 3), slots)))
    assert found is not None
    return found


def total(bars: list[Bar], *, by_width: bool = False) -> list[float]:
    return [sum(bar[kind] * (bar.end - bar.start if by_width else 1) for bar in bars) for kind in (2, 3, 4)]


def test_nothing_ran_is_no_flow() -> None:
    assert flow(Sample(1, [], {})) is None


@given(tries, st.integers(1, 50))
def test_each_attempt_is_counted_once_as_what_it_was_and_stands_for_those_left_out(
    attempts: list[Try], step: int
) -> None:
    found = flow_of(attempts, step)
    failed = sum(one.outcome in ("failed", "timed_out", "crashed") for one in attempts)
    succeeded = sum(one.outcome == "succeeded" for one in attempts)
    counts = [step * n for n in (succeeded, failed, len(attempts) - failed - succeeded)]

    assert total(found.durations) == pytest.approx(counts)
    assert total(found.ended, by_width=True) == pytest.approx(counts)
    work = sum(max(one.seconds, 1e-4) for one in attempts) * step
    assert sum(total(found.busy, by_width=True)) == pytest.approx(work, rel=1e-3, abs=1e-3 * step * len(attempts))


@given(tries)
def test_the_pieces_of_a_lane_are_in_order_and_within_the_time(attempts: list[Try]) -> None:
    found = flow_of(attempts)

    for lane in found.lanes:
        assert all(0 <= piece.start < piece.end <= found.span * 1.000001 for piece in lane)
        assert all(one.end <= two.start + 1e-9 for one, two in pairwise(lane))
    assert any(bar.bad for lane in found.lanes for bar in lane) == any(total(found.durations)[1:2])


def test_a_failure_of_a_moment_is_seen_in_the_lane_of_a_long_day() -> None:
    day = [Try(1, START, 80_000.0, "succeeded"), Try(1, START + 40_000_000, 0.001, "failed")]

    assert [[bar.bad > 0 for bar in lane] for lane in flow_of(day).lanes] == [[False], [True]]


def test_runs_one_after_another_share_slots_and_runs_at_once_do_not() -> None:
    one_after_another = [Try(run, START + run * 10_000, 5.0, "succeeded") for run in (1, 2, 3)]
    at_once = [Try(run, START + run, 5.0, "succeeded") for run in (1, 2, 3)]

    assert len(flow_of(one_after_another).lanes) == 1
    assert len(flow_of(at_once).lanes) == 3


def test_more_slots_than_can_be_drawn_are_counted() -> None:
    many = [Try(1, START + n, 5.0, "succeeded") for n in range(50)]

    found = flow_of(many, slots=50)

    assert (len(found.lanes), found.hidden) == (LANES, 50 - LANES)
    assert max(bar.ok for bar in found.busy) == pytest.approx(50, abs=1)


@settings(max_examples=30)
@given(afar)
def test_a_lane_has_attempts_of_one_host_only(attempts: list[Try]) -> None:
    """All of one host failed, and nothing else did: so lanes that were mixed up have both colours."""
    attempts.append(Try(1, START, 3.0, "succeeded", "alpha"))
    for bad in sorted({one.host or "local" for one in attempts}):
        mixed = [one._replace(outcome="failed") if (one.host or "local") == bad else one for one in attempts]
        found = flow_of(mixed)

        hosts = [host or "local" for host in sorted({one.host or "" for one in attempts})]
        assert [host for host, _ in found.hosts] == hosts or found.hidden
        owners = [host for host, lanes in found.hosts for _ in range(lanes)]
        assert len(owners) == len(found.lanes)
        for owner, lane in zip(owners, found.lanes, strict=True):
            assert {bool(bar.ok) for bar in lane} == {owner != bad}
            assert {bool(bar.bad) for bar in lane} == {owner == bad}


def test_a_host_has_as_many_lanes_as_it_used_at_once() -> None:
    def attempts(host: str, *starts: int) -> list[Try]:
        return [Try(1, START + start, 1.0, "succeeded", host) for start in starts]

    one = attempts("alpha", 0, 1000, 2000)  # one after the other
    two = attempts("beta", 0, 500, 1000, 1500)
    assert flow_of([*one, *two]).hosts == [("alpha", 1), ("beta", 2)]


def test_lanes_of_hosts_that_do_not_fit_are_counted() -> None:
    many = [Try(1, START, 5.0, "succeeded", f"node{n // 10}") for n in range(50)]

    found = flow_of(many)

    assert (len(found.lanes), found.hidden) == (LANES, 50 - LANES)
    assert found.hosts == [("node0", 10), ("node1", 10), ("node2", 10), ("node3", 2)]


def test_a_sample_has_no_lanes_because_missing_attempts_would_look_like_idle_slots() -> None:
    found = flow_of([Try(1, START, 5.0, "succeeded")], step=3)

    assert (found.lanes, found.hidden, found.step) == ([], 0, 3)
    assert found.busy[10].ok == pytest.approx(3)
