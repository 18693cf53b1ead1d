"""settle against the table of docs/semantics.md, written a second time as the simplest model that could be right."""

from hypothesis import given
from hypothesis import strategies as st

from batchq.jobs.attempt import CANCELLED, CRASHED, FAILED, INTERRUPTED, SUCCEEDED, TIMED_OUT, Budget, Outcome
from batchq.jobs.lifecycle import FINAL, LONGEST_DELAY, STATES, full_jitter, settle

NOW = 1_700_000_000_000
OUTCOMES = [SUCCEEDED, FAILED, TIMED_OUT, CRASHED, INTERRUPTED, CANCELLED]


FRESH = Budget(max_attempts=1, failures=0, max_crashes=3, crashes=0, on_crash="retry", interruptions=0, backoff=1000)


def expected(job: Budget, status: str) -> str:
    if status in (FAILED, TIMED_OUT):
        return "scheduled" if job.failures + 1 < job.max_attempts else "failed"
    if status == CRASHED:
        if job.on_crash == "hold":
            return "held"
        return "scheduled" if job.crashes + 1 < job.max_crashes else "failed"
    if status == INTERRUPTED:
        return "held" if job.interruptions + 1 >= 10 else "queued"
    return {SUCCEEDED: "succeeded", CANCELLED: "cancelled"}[status]


standings = st.builds(
    lambda max_attempts, failures, max_crashes, crashes, on_crash, interruptions: FRESH._replace(
        max_attempts=max_attempts,
        failures=min(failures, max_attempts - 1),
        max_crashes=max_crashes,
        crashes=min(crashes, max_crashes - 1),
        on_crash=on_crash,
        interruptions=interruptions,
    ),
    st.integers(1, 5),
    st.integers(0, 4),
    st.integers(1, 5),
    st.integers(0, 4),
    st.sampled_from(["retry", "hold"]),
    st.integers(0, 9),
)


@given(standings, st.sampled_from(OUTCOMES))
def test_the_next_state_is_the_one_of_the_table(job: Budget, status: str) -> None:
    settled = settle(job, Outcome(status), NOW)

    assert settled.state == expected(job, status)
    assert settled.state in STATES
    assert (settled.due_at is not None) == (settled.state == "scheduled")


@given(standings, st.sampled_from(OUTCOMES))
def test_each_outcome_charges_its_own_budget_and_no_other(job: Budget, status: str) -> None:
    settled = settle(job, Outcome(status), NOW)

    if status == SUCCEEDED:
        assert settled.failures is settled.crashes is None
    else:
        assert settled.failures == job.failures + (status in (FAILED, TIMED_OUT))
        assert settled.crashes == job.crashes + (status == CRASHED)
    assert settled.interruptions == (job.interruptions + 1 if status == INTERRUPTED else 0)


@given(st.integers(1, 20), st.lists(st.sampled_from([FAILED, TIMED_OUT, CRASHED, INTERRUPTED]), max_size=200))
def test_no_sequence_of_bad_luck_runs_a_job_for_ever(max_attempts: int, luck: list[str]) -> None:
    job = FRESH._replace(max_attempts=max_attempts)

    for attempt, status in enumerate(luck, 1):
        settled = settle(job, Outcome(status), NOW)
        if settled.state in (*FINAL, "held"):
            break
        assert settled.failures is not None
        assert settled.crashes is not None
        job = job._replace(failures=settled.failures, crashes=settled.crashes, interruptions=settled.interruptions)
        assert attempt <= 10 * (max_attempts + job.max_crashes)


@given(st.integers(0, 10_000_000), st.integers(1, 1000))
def test_a_delay_is_full_jitter_below_the_doubled_base_and_an_hour(base: int, nth: int) -> None:
    delay = full_jitter(base, nth)

    assert 0 <= delay <= min(base * 2 ** (nth - 1), LONGEST_DELAY)


def test_delays_of_one_base_spread_over_the_whole_range() -> None:
    delays = sorted(full_jitter(1000, 4) for _ in range(400))

    assert delays[0] < 2000
    assert delays[-1] > 6000
    assert len(set(delays)) > 100
