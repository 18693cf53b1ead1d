"""The timing of a run: when its loop does what, and how much. Pure: a state goes in, a decision comes out.

Times are in monotonic seconds; ``NEVER`` does not come. What is due and how long to wait follow from the same times, so
the loop neither spins while nothing is due nor sleeps past what is.
"""

import math

from batchq.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchq.jobs.attempt import Claim

NEVER = math.inf
GROUP = 0.01, 0.05  #: seconds for which results may wait for others, so that one commit records them all: least, most
SHARE = 0.05  #: of the time may go into recording: the slower the store, the longer results wait
CROWD = 512  #: results that are recorded without waiting for more
LOOK = 0.25  #: seconds between looks for new work while a slot is free
SOON = 0.01  #: seconds between looks at least, however often other processes write
LISTEN = 0.25  #: seconds after which a run opens a bell: closing it takes 10 ms, too long for short runs
RESCUE = 0.5  #: seconds between looks for dead runners
PATIENCE = 1.0  #: seconds that one exchange waits for the store, so that signals and timeouts are served meanwhile
HASTE = 0.1  #: seconds that it waits when running jobs get no grace: the user wants the run to end now
AGAIN_BUSY = 0.01  #: seconds between tries while another program has the lock: waiting for the lock takes long enough
AGAIN = 0.25  #: seconds between tries if the store does not answer for another reason
INSISTENCE = 60.0  #: seconds for which a run without running jobs tries a store that does not answer
STOPPED_INSISTENCE = 1.0  #: the same for a run that was stopped


class Pace(NamedTuple):
    """The times that a run has set for itself. Each method returns the pace from then on.

    ``look_at`` is when to look for new work, ``looked`` when the last exchange began, ``rescue_at`` when to look for dead
    runners; results wait for others for ``group`` seconds.
    """

    look_at: float = 0.0
    looked: float = 0.0
    rescue_at: float = 0.0
    group: float = GROUP[0]

    def exchanged(self, state: "State", now: float, claims: "Sequence[Claim]", again_in: float | None) -> "Pace":
        """The pace after an exchange that began with ``state`` and brought ``claims``. The rate of a queue allows the next
        start in ``again_in`` seconds.

        If there was room for more, the store has nothing for this run until something changes.
        """
        began = state.now
        is_short = sum(one.slots for one in claims) < state.room.free or len(claims) < state.room.ahead
        look_at = began + LOOK if is_short else began
        if again_in is not None:
            look_at = min(look_at, began + max(0.0, again_in))
        return Pace(look_at, began, self.rescue_at, min(max(GROUP[0], (now - began) / SHARE), GROUP[1]))

    def looking_by(self, moment: float) -> "Pace":
        """The pace with the next look not later than ``moment``."""
        return self._replace(look_at=min(self.look_at, moment))

    def rescued(self, now: float) -> "Pace":
        """The pace after looking for dead runners."""
        return self._replace(rescue_at=now + RESCUE)


class Room(NamedTuple):
    """The room for claims: jobs for ``free`` slots, at most ``most`` of them, and ``ahead`` more that will start soon."""

    free: int
    most: int
    ahead: int


class State(NamedTuple):
    """The state of a run ``now``, and what its parts wait for.

    ``results`` wait to be recorded, the first of them ``since`` then; ``has_output`` and ``has_begun`` are news of
    running attempts. The state ``is_urgent`` if something must be recorded or continued at once. ``idle`` slots are
    empty. ``retry_at`` is set while the store does not answer; ``report_at`` is when news become due for an exchange, and
    ``wake_at`` when the loop has something else to do. ``stop_at`` is when running jobs are killed, None without a stop;
    a stop ``is_hurried`` if it leaves no grace.
    """

    now: float
    room: Room
    is_running: bool = False
    results: int = 0
    since: float = NEVER
    has_output: bool = False
    has_begun: bool = False
    is_urgent: bool = False
    idle: int = 0
    retry_at: float | None = None
    report_at: float = NEVER
    wake_at: float = NEVER
    stop_at: float | None = None
    is_hurried: bool = False


def room(idle: int, ahead: int, left: int | None, *, is_open: bool, is_careful: bool, is_in_doubt: bool) -> Room:
    """How many jobs to claim when the executor has ``idle`` slots and would take ``ahead`` more claims.

    At most ``left`` may start (None: any number), and none unless the run ``is_open``. A run ``is_careful`` if failures end
    it: then it claims nothing ahead, because a failure could still prevent that, and nothing at all while it
    ``is_in_doubt`` whether an attempt has failed.
    """
    if not is_open or left == 0 or (is_careful and is_in_doubt):
        return Room(0, 0, 0)
    is_free = left is None and not is_careful
    return Room(idle, idle if left is None else min(idle, left), ahead if is_free else 0)


def exchange_at(state: State, pace: Pace) -> float:
    """When the next exchange with the ledger is due.

    Results wait for others, except while a slot is empty or when new work may be claimed anyway.
    """
    if state.retry_at is not None:
        return state.retry_at
    if state.is_urgent:
        return state.now
    if state.results:
        if state.results >= CROWD or state.idle:
            return state.now
        look_at = pace.look_at if state.room.ahead else NEVER
        return min(state.since + pace.group, look_at, state.report_at)
    if state.has_output:
        return state.now
    return min(pace.look_at if state.room.free or state.has_begun else NEVER, state.report_at)


def due(state: State, pace: Pace) -> bool:
    """Whether an exchange is due."""
    return state.now >= exchange_at(state, pace)


def rescue_at(state: State, pace: Pace) -> float:
    """When to look for dead runners: never during a stop."""
    return pace.rescue_at if state.stop_at is None else NEVER


def timeout(state: State, pace: Pace) -> float:
    """How many seconds to wait for the executor: until the next thing is due, and at most until the next rescue."""
    first = min(exchange_at(state, pace), rescue_at(state, pace), state.wake_at, state.now + RESCUE)
    return max(0.0, first - state.now)


def patience(state: State) -> float:
    """How many seconds an exchange may wait for the store: jobs at the end of their grace must not wait for that."""
    if state.stop_at is None or not (state.is_running or state.is_hurried):
        return PATIENCE
    return max(HASTE, min(PATIENCE, 0.0 if state.is_hurried else state.stop_at - state.now))


def hurries(state: State) -> bool:
    """Whether the run must end now, so that nothing may take long."""
    stop_at = state.stop_at
    return stop_at is not None and (stop_at <= state.now or (stop_at < NEVER and not state.is_running))


def next_try(now: float, *, is_busy: bool) -> float:
    """When to try a store again that did not answer, because it ``is_busy`` or for another reason."""
    return now + (AGAIN_BUSY if is_busy else AGAIN)


def gives_up(now: float, since: float, stop_at: float | None) -> bool:
    """Whether to give up on a store that has not answered ``since`` then, with nothing running."""
    until = since + INSISTENCE
    if stop_at is not None and stop_at < NEVER:
        until = min(until, max(since, stop_at) + STOPPED_INSISTENCE)
    return now >= until
