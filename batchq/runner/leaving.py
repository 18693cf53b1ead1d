"""The end of a run: complete its tally, tidy its store, and record its end."""

import contextlib
import time
from collections.abc import Sequence

from batchq import clock
from batchq.errors import BatchqError
from batchq.jobs.attempt import Ended
from batchq.notes import note
from batchq.runner.tally import Plan, Tally
from batchq.store.answering import answers
from batchq.store.file.connection import Store
from batchq.store.keeping import retention
from batchq.store.running import forecast, runners
from batchq.store.running.runners import Runner
from batchq.store.running.wanted import RunSelection

TIDY = 1.0  #: seconds that a run may spend at its end on removing old jobs


def leave(store: Store, me: Runner, plan: Plan, tally: Tally, *, is_stopped: bool) -> None:
    """End a run in order; if it ``is_stopped``, without tidying."""
    try:
        if tally.stopped_at == "--max-time" and not tally.left and not forecast.look(store, me).is_work_left:
            tally.stopped_at = None
        _answer(store, me, tally)
        if plan.is_passing and tally.asked is not None:
            tally.last = answers.last_of(store, tally.asked)
        store.check_references(on=True)
        if not is_stopped:
            _tidy(store)
        runners.leave(store, me, clock.now())
    except BatchqError as error:
        note(f"{error}; the end of this run could not be recorded")


def _answer(store: Store, me: Runner, tally: Tally) -> None:
    """Enter into ``tally`` the states of the jobs now, whichever run ran them, and the jobs that were not run."""
    tally.left_alone = forecast.left_alone(store, me)
    if tally.asked is None:
        if me.wanted.is_selective:
            tally.failed |= dict.fromkeys(forecast.failed_since(store, me.wanted))
        tally.too_wide, tally.slots = answers.too_wide(store, me), me.widest
    else:
        tally.failed = dict.fromkeys(answers.failed(store, tally.asked)) | tally.failed
        tally.before = answers.unsuccessful_before(store, tally.asked)
    _drop_resolved(store, tally)
    tally.on_hold = [id for id in answers.on_hold(store, _seen(me, tally)) if id not in tally.held]
    if tally.asked is not None:
        left = (one.without(tally.held) for one in answers.not_run(store, me, tally.asked, is_stuck=tally.is_stuck))
        tally.not_run = [one for one in left if one.jobs]
        listed = {id for one in tally.not_run if one.reason == "on hold" for id in one.jobs}
        tally.on_hold = [id for id in tally.on_hold if id not in listed]
        tally.left_open = answers.left_open(store, me, tally.asked)


def _drop_resolved(store: Store, tally: Tally) -> None:
    """Drop failed jobs that have succeeded and held jobs that were released since: only their last state counts."""
    if tally.failed:
        known = {one.id for one in tally.before}
        for id in known.union(answers.ended_as(store, tally.failed, "succeeded")):
            tally.failed.pop(id, None)
    if tally.held:
        tally.held = dict.fromkeys(sorted(answers.ended_as(store, tally.held, "held")))


def _seen(me: Runner, tally: Tally) -> RunSelection:
    """The selection searched for jobs on hold: everything for a run of files, because its jobs differ each night."""
    return me.wanted if tally.asked is None else RunSelection()


def _tidy(store: Store) -> None:
    """Apply the store's retention for a moment, so that a store used by cron stops growing."""
    until = time.monotonic() + TIDY
    with contextlib.suppress(BatchqError):  # a later run removes the rest
        while retention.tidy(store, clock.now()) and time.monotonic() < until:
            continue


def abandon(tally: Tally, unrecorded: Sequence[Ended], trouble: BatchqError | None) -> None:
    """Give up on a store that does not answer, and report the results that could not be recorded."""
    tally.trouble = trouble
    tally.unrecorded = list(unrecorded)
    for claim, outcome in unrecorded:
        code = "" if outcome.exit_code is None else f", exit code {outcome.exit_code}"
        note(f"job {claim.id} attempt {claim.attempt} {outcome.status}{code}: could not be recorded")
