"""When a run does what: the rules of ``runner/pacing.py`` for any state, and a whole run of them on a made-up clock."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchq.named import NamedTuple
from batchq.runner import pacing
from batchq.runner.pacing import CROWD, GROUP, LOOK, NEVER, RESCUE, Pace, Room, State, due, timeout

NOW = 1000.0
moments = st.floats(NOW - 100, NOW + 100)
perhaps = st.none() | moments
slots = st.integers(0, 64)
rooms = st.builds(
    lambda idle, ahead, left, is_open, is_careful, is_in_doubt: pacing.room(
        idle, ahead, left, is_open=is_open, is_careful=is_careful, is_in_doubt=is_in_doubt
    ),
    slots,
    slots,
    st.none() | slots,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
states = st.builds(
    State,
    now=st.just(NOW),
    room=rooms,
    is_running=st.booleans(),
    results=st.integers(0, 2 * CROWD),
    since=st.floats(NOW - 0.1, NOW) | st.floats(NOW - 100, NOW),
    has_output=st.booleans(),
    has_begun=st.booleans(),
    is_urgent=st.booleans(),
    idle=slots,
    retry_at=perhaps,
    report_at=moments | st.just(NEVER),
    wake_at=moments | st.just(NEVER),
    stop_at=perhaps | st.just(NEVER),
    is_hurried=st.booleans(),
)
paces = st.builds(Pace, moments, moments, moments, st.floats(*GROUP))
answering = states.map(lambda state: state._replace(retry_at=None))


def has_something_to_do(state: State, pace: Pace) -> bool:
    return due(state, pace) or state.now >= min(state.wake_at, pacing.rescue_at(state, pace))


# --- waiting -----------------------------------------------------------------------------------------------------------


@given(states, paces)
def test_a_run_waits_exactly_as_long_as_there_is_nothing_to_do(state: State, pace: Pace) -> None:
    assert (timeout(state, pace) == 0) == has_something_to_do(state, pace)


@given(states, paces, st.floats(0, 1, exclude_max=True))
def test_a_run_does_not_sleep_past_anything_that_becomes_due(state: State, pace: Pace, part: float) -> None:
    pause = timeout(state, pace)
    while_asleep = state._replace(now=state.now + pause * part)
    if while_asleep.now < state.now + pause:  # both are floats
        assert not has_something_to_do(while_asleep, pace)


@given(states, paces)
def test_a_run_wakes_up_only_when_something_is_due_or_for_the_next_rescue(state: State, pace: Pace) -> None:
    pause = timeout(state, pace)
    assert 0 <= pause <= RESCUE <= 1
    awake = state._replace(now=state.now + pause + 1e-9)  # a sleep may not end before its time
    assert pause == pytest.approx(RESCUE) or has_something_to_do(awake, pace)


@given(answering, st.floats(0, 10), st.none() | st.floats(-10, 10))
def test_a_run_with_free_slots_looks_again_within_a_quarter_of_a_second(
    state: State, took: float, again_in: float | None
) -> None:
    pace = Pace().exchanged(state, state.now + took, [], again_in)
    later = state._replace(now=state.now + took)
    if state.room.free:
        assert timeout(later, pace) <= LOOK
    if again_in is not None:
        assert pace.look_at <= state.now + max(0.0, again_in), "a rate lets the next job through before"


@given(states, paces, moments)
def test_what_others_write_never_puts_a_look_off(state: State, pace: Pace, moment: float) -> None:
    sooner = pace.looking_by(moment)
    assert sooner.look_at <= min(pace.look_at, moment)
    assert pacing.exchange_at(state, sooner) <= pacing.exchange_at(state, pace)


# --- claiming ----------------------------------------------------------------------------------------------------------


@given(slots, slots, st.none() | slots, st.booleans(), st.booleans(), st.booleans())
def test_a_run_claims_no_more_than_it_has_slots_and_may_start(
    idle: int, ahead: int, left: int | None, is_open: bool, is_careful: bool, is_in_doubt: bool
) -> None:
    room = pacing.room(idle, ahead, left, is_open=is_open, is_careful=is_careful, is_in_doubt=is_in_doubt)

    assert room.most <= idle
    assert room.free in (0, idle)
    assert room.ahead in (0, ahead)
    if left is not None:
        assert room.most + room.ahead <= left
    if not is_open or (is_careful and is_in_doubt):
        assert room == (0, 0, 0)
    elif left != 0:
        assert room.most == (idle if left is None else min(idle, left)), "what may start, starts"
    if is_careful:
        assert not room.ahead, "a failure could still prevent it"


@given(answering, paces)
def test_a_run_without_room_or_news_leaves_the_store_alone(state: State, pace: Pace) -> None:
    quiet = state._replace(
        room=Room(0, 0, 0), results=0, has_output=False, has_begun=False, is_urgent=False, report_at=NEVER
    )
    assert pacing.exchange_at(quiet, pace) == math.inf


# --- recording ---------------------------------------------------------------------------------------------------------


@given(answering, paces, st.integers(1, 2 * CROWD))
def test_a_result_is_not_kept_for_longer_than_the_bound(state: State, pace: Pace, results: int) -> None:
    state = state._replace(results=results)
    assert pacing.exchange_at(state, pace) <= max(NOW, state.since + GROUP[1])
    if results >= CROWD or state.idle or state.is_urgent:
        assert due(state, pace)
    alone = state._replace(since=NOW, idle=0, is_urgent=False, report_at=NEVER)  # nothing else makes it due
    assert pacing.exchange_at(alone, pace) <= NOW + pace.group <= NOW + GROUP[1]


@given(answering, st.floats(0, 1000))
def test_results_wait_the_longer_the_slower_the_store_is_within_bounds(state: State, took: float) -> None:
    quick, slow = (Pace().exchanged(state, NOW + spent, [], None).group for spent in (took, took + 1))
    assert GROUP[0] <= quick <= slow <= GROUP[1]


# --- a store out of reach, and a stop ----------------------------------------------------------------------------------


@given(states, paces, st.booleans())
def test_a_store_that_does_not_answer_is_tried_again_soon_but_not_at_once(
    state: State, pace: Pace, is_busy: bool
) -> None:
    state = state._replace(retry_at=pacing.next_try(NOW, is_busy=is_busy))
    assert not due(state, pace)
    assert due(state._replace(now=NOW + pacing.AGAIN), pace)


@given(moments, perhaps | st.just(NEVER))
def test_a_run_gives_up_a_minute_after_its_last_job_or_a_second_after_the_grace(
    since: float, stop_at: float | None
) -> None:
    assert not pacing.gives_up(since + 0.99, since, stop_at)
    assert pacing.gives_up(since + 60, since, stop_at)
    if stop_at is None or stop_at == NEVER:
        assert not pacing.gives_up(since + 59, since, stop_at)
    else:
        assert pacing.gives_up(max(since, stop_at) + 1, since, stop_at)


@given(states)
@example(State(NOW, Room(0, 0, 0), is_running=True, stop_at=NEVER))
def test_what_outlives_its_grace_does_not_wait_for_the_store(state: State) -> None:
    seconds = pacing.patience(state)
    assert pacing.HASTE <= seconds <= pacing.PATIENCE
    if state.stop_at is not None and state.is_running:
        assert seconds <= max(pacing.HASTE, state.stop_at - NOW)
    if state.stop_at is not None and state.is_hurried:
        assert seconds == pacing.HASTE
    if state.stop_at is None:
        assert seconds == pacing.PATIENCE
        assert not pacing.hurries(state)


@given(states, paces)
def test_a_run_that_stops_does_not_look_for_dead_runners(state: State, pace: Pace) -> None:
    assert (pacing.rescue_at(state, pace) == NEVER) == (state.stop_at is not None)


# --- a whole run -------------------------------------------------------------------------------------------------------


class Job(NamedTuple):
    slots: int
    ends_at: float


class Simulated:
    """A run of so many jobs on a made-up clock: its store takes ``slow`` seconds, and is away for a while."""

    def __init__(self, durations: list[float], slots: int, slow: float, away: tuple[float, float]) -> None:
        self.now = 0.0
        self.waiting = durations
        self.slots = slots
        self.slow = slow
        self.away = away
        self.running: list[Job] = []
        self.results: list[float] = []
        self.kept: list[tuple[float, float]] = []
        self.retry_at: float | None = None
        self.pace = Pace()
        self.steps = 0

    def state(self) -> State:
        idle = self.slots - len(self.running)
        return State(
            self.now,
            pacing.room(idle, 0, None, is_open=True, is_careful=False, is_in_doubt=False),
            is_running=bool(self.running),
            results=len(self.results),
            since=min(self.results, default=NEVER),
            idle=idle,
            retry_at=self.retry_at,
        )

    def step(self) -> None:
        self.steps += 1
        if self.now >= pacing.rescue_at(self.state(), self.pace):
            self.pace = self.pace.rescued(self.now)
        state = self.state()
        if due(state, self.pace):
            self.exchange(state)
        pause = timeout(self.state(), self.pace)
        first = min((job.ends_at for job in self.running), default=NEVER)
        self.now = max(self.now, min(self.now + pause + 1e-9, first))
        self.results += [self.now for job in self.running if job.ends_at <= self.now]
        self.running = [job for job in self.running if job.ends_at > self.now]

    def exchange(self, state: State) -> None:
        if self.away[0] <= self.now < self.away[1]:
            self.retry_at = pacing.next_try(self.now, is_busy=False)
            return
        self.retry_at = None
        self.kept += [(since, self.now) for since in self.results]
        self.results = []
        self.now += self.slow
        taken, self.waiting = self.waiting[: state.room.most], self.waiting[state.room.most :]
        jobs = [Job(1, self.now + seconds) for seconds in taken]
        self.pace = self.pace.exchanged(state, self.now, jobs, None)  # type: ignore[arg-type]
        self.running += jobs


@given(
    st.lists(st.floats(0.001, 2), max_size=16),
    st.integers(1, 8),
    st.floats(0.0001, 0.2),
    st.tuples(st.floats(0, 10), st.floats(0, 5)),
)
def test_a_run_neither_spins_nor_keeps_results_nor_leaves_slots_empty(
    durations: list[float], slots: int, slow: float, outage: tuple[float, float]
) -> None:
    start, length = outage
    run = Simulated(list(durations), slots, slow, (start, start + length))
    while (run.waiting or run.running or run.results) and run.steps < 10_000:
        run.step()

    assert len(run.kept) == len(durations), "every job was run and recorded"
    for since, recorded in run.kept:
        is_out = since < start + length + pacing.AGAIN and recorded >= start  # it is tried again that soon
        assert recorded - since <= GROUP[1] + slow + 1e-6 + (length + pacing.AGAIN if is_out else 0)
    longest = sum(durations) / slots + max(durations, default=0)
    overhead = (len(durations) + 2) * (2 * slow + GROUP[1]) + length + 2 * pacing.AGAIN + LOOK
    assert run.now <= longest + overhead + RESCUE
    assert run.steps <= 3 * len(durations) + run.now / min(LOOK, pacing.AGAIN) + run.now / RESCUE + 10, (
        "it does not spin"
    )
