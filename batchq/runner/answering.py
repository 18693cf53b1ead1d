"""What a run answers for at its end: how the jobs stand by then, whoever ran them, and what it leaves undone."""

from batchq.runner.tally import Tally
from batchq.store.answering import answers
from batchq.store.file.connection import Store
from batchq.store.running import outlook
from batchq.store.running.runners import Runner, Wanted


def answer(store: Store, me: Runner, tally: Tally) -> None:
    """Enter it into ``tally``. Raises BusyError, LedgerError."""
    tally.left_alone = outlook.left_alone(store, me)
    if tally.asked is None:
        if me.wanted.is_selective:
            tally.failed |= dict.fromkeys(outlook.failed_since(store, me.wanted))
        tally.too_wide = answers.too_wide(store, me)
    else:
        tally.failed = dict.fromkeys(answers.failed(store, tally.asked)) | tally.failed
        tally.before = answers.unsuccessful_before(store, tally.asked)
    _forgive(store, tally)
    tally.on_hold = [id for id in answers.on_hold(store, _seen(me, tally)) if id not in tally.held]
    if tally.asked is not None:
        left = (one.without(tally.held) for one in answers.not_run(store, me, tally.asked, is_stuck=tally.is_stuck))
        tally.not_run = [one for one in left if one.jobs]
        told = {id for one in tally.not_run if one.reason == "on hold" for id in one.jobs}
        tally.on_hold = [id for id in tally.on_hold if id not in told]
        tally.left_open = answers.left_open(store, me, tally.asked)


def _forgive(store: Store, tally: Tally) -> None:
    """How a job ended counts: somebody may have retried it meanwhile, or let it go."""
    if tally.failed:
        told = {one.id for one in tally.before}
        for id in told.union(answers.ended_as(store, tally.failed, "succeeded")):
            tally.failed.pop(id, None)
    if tally.held:
        tally.held = dict.fromkeys(sorted(answers.ended_as(store, tally.held, "held")))


def _seen(me: Runner, tally: Tally) -> Wanted:
    """Where it looks for what waits for a person: a run of files has other jobs each night, so it looks everywhere."""
    return me.wanted if tally.asked is None else Wanted()
