"""The exchange of a runner with the store: record the results of attempts, claim more jobs. One short transaction each.

A claim gives each job a fresh token. A result is accepted only with the current token, so a runner that was taken for
dead cannot overwrite what happened since.
"""

import _sqlite3 as sqlite3
from collections.abc import Callable, Sequence

from batchq import clock, failpoints
from batchq.errors import LedgerError
from batchq.jobs.attempt import FAILED, Claim, Ended, Failure, Leader, Logged, Outcome, Printed
from batchq.jobs.causes.recent import explained
from batchq.jobs.vacancy import Vacancy
from batchq.named import NamedTuple
from batchq.store import order, states
from batchq.store.file.connection import Store
from batchq.store.running import claiming, news, parents, recording, runners
from batchq.store.running.recording import Settled
from batchq.store.running.runners import Runner

PROMOTED_AT_ONCE = 1000  #: due jobs that one exchange makes claimable, so that no transaction grows long


class Exchange(NamedTuple):
    """What one exchange brought: accepted outcomes, refused ones (rescued meanwhile), and new claims.

    ``again_at`` (milliseconds) is when the rate of a queue lets the next job start. ``is_unfinished``: some jobs have
    not been notified that a parent has finished, so the next exchange should come at once.
    """

    settled: list[Settled]
    refused: list[Ended]
    claims: list[Claim]
    again_at: int | None = None
    is_unfinished: bool = False


def exchange(
    store: Store,
    runner: Runner,
    ended: Sequence[Ended],
    free: int,
    now: int | None = None,
    *,
    at_most: int | None = None,
    ahead: int = 0,
    started: Sequence[Claim] = (),
    printed: Sequence[Printed] = (),
    logged: Sequence[Logged] = (),
    closing: bool = False,
    resized: bool = False,
    leaders: Sequence[Leader] = (),
    over: Sequence[Claim] = (),
    rooms: Callable[[], list[int] | None] = lambda: None,
) -> Exchange:
    """Record results, make due jobs claimable, and claim jobs for ``free`` slots, in one transaction.

    At most ``at_most`` are claimed, in the order in which they should start. Work may begin only after this returns:
    then the claims are on disk. Up to ``ahead`` further jobs are claimed that will start soon; until such a job is among
    ``started`` of a later exchange, the death of the runner costs it nothing. Jobs with ``on_crash = "hold"`` are not
    claimed ahead. A job that cannot be run as it is stored is settled as failed at once.

    ``printed`` is output of jobs that still run; ``logged`` are files with output, also of attempts that ended;
    ``leaders`` are processes of running attempts, to be stored, and ``over`` are ended attempts whose stored processes
    are to be removed; ``closing`` records that the runner claims no more, ``resized`` how many slots a job can have in it.

    ``rooms`` returns how many of the free slots each place has, as for a Vacancy: a wide job needs them at one.

    ``now`` (milliseconds) defaults to the time when the transaction begins: with a time from before the wait for the
    store, a rate would be charged for starts that it does not allow yet.

    Raises BusyError or LedgerError; then nothing happened and the same call may be repeated.
    """
    ended = explained(ended)
    recording.get_ready(store, ended)
    try:
        with store.writing() as db:
            now = clock.now() if now is None else now
            if logged:
                news.log(db, logged)
            settled, refused = recording.record(db, runner.id, ended, now)
            news.begin(db, started, now)
            news.print(db, printed)
            if is_unfinished := order.is_unfinished(db):
                order.proceed(db, now)
                is_unfinished = order.is_unfinished(db)
            claims: list[Claim] = []
            again_at = None
            if free > 0:
                _promote(db, now)
                claims, again_at = claiming.claim(store, runner, Vacancy(free, rooms), now, at_most)
            if ahead > 0 and len(claims) == free:
                claims += claiming.claim_ahead(store, runner, ahead, now)
            if unfit := [_unfit(claim, now) for claim in claims if not claim.cwd]:
                settled += recording.record(db, runner.id, explained(unfit), now)[0]
                claims = [claim for claim in claims if claim.cwd]
            claims = parents.attached(store, claims)
            if leaders:
                news.note(db, leaders)
            if over:
                news.forget(db, over)
            if closing:
                runners.stop_claiming(db, runner)
            if resized:
                runners.resize(db, runner)
            if ended:
                failpoints.hit("before_finish")
    except (ValueError, TypeError, ArithmeticError, LedgerError) as error:
        tame = list(ended) if isinstance(error, LedgerError) else recording.tamed(store.db, ended)
        if tame == list(ended) and not _is_set_aside(store, runner, error):
            raise
        return exchange(
            store, runner, tame, free, now, at_most=at_most, ahead=ahead, started=started, printed=printed,
            logged=logged, closing=closing, resized=resized, leaders=leaders, over=over, rooms=rooms,
        )  # fmt: skip
    if claims:
        failpoints.hit("after_claim")
    if ended:
        failpoints.hit("after_finish")
    return Exchange(settled, refused, claims, again_at, is_unfinished)


def _is_set_aside(store: Store, runner: Runner, error: Exception) -> bool:
    """Whether the exchange failed because of invalid values in the store, and they were set aside."""
    from batchq.store.running import unfit

    return unfit.is_met(error) and unfit.set_aside(store, runner.id, clock.now())


def _unfit(claim: Claim, now: int) -> Ended:
    """Fail only the job that cannot be run as it is stored: a runner that died of it would do so each time."""
    why = "the store has lost the folder in which it is to run, or its work is not valid JSON"
    failure = Failure("Unreadable", f"{why}; add it again")
    return Ended(claim, Outcome(FAILED, failure=failure, started_at=now, finished_at=now))


_BEGIN_ANEW = """
UPDATE jobs SET due_at = :now + due_at - due_from, due_from = :now
WHERE id IN (SELECT id FROM jobs WHERE state = 'scheduled' AND due_from > :now LIMIT :most)"""


def _promote(db: sqlite3.Connection, now: int) -> None:
    db.execute(_BEGIN_ANEW, {"now": now, "most": PROMOTED_AT_ONCE})  # a clock that was set back makes no delay longer
    for why in ("retry", "delay"):
        where = (
            f"id IN (SELECT id FROM jobs WHERE state = 'scheduled' AND why = '{why}' AND due_at <= :now"
            " ORDER BY due_at LIMIT :most)"
        )
        states.move(
            db, "scheduled", "queued", where, {"now": now, "most": PROMOTED_AT_ONCE}, also="due_at = NULL, why = NULL"
        )
