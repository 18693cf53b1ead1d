"""The causes of attempts that have just ended. Successes cost nothing here, not even the import of the rules."""

from collections.abc import Sequence

from batchq.jobs.attempt import CRASHED, FAILED, TIMED_OUT, Ended

REMEMBERED = 256  #: causes that are kept, because many jobs often fail alike at the same time

_EXPLAINED = (FAILED, TIMED_OUT, CRASHED)
_causes: dict[int, str] = {}  # by the hash of the evidence, which itself may be long


def explained(ended: Sequence[Ended]) -> Sequence[Ended]:
    """Fill in the cause of each attempt that failed, timed out or crashed."""
    if not any(one.outcome.status in _EXPLAINED for one in ended):
        return ended
    return [_explained(one) if one.outcome.status in _EXPLAINED else one for one in ended]


def _explained(one: Ended) -> Ended:
    try:
        cause = _cause(one)
    except (Exception, SystemExit):  # a failure is recorded in any case; an upgrade may just have replaced the rules
        cause = None
    return one._replace(outcome=one.outcome._replace(cause=cause))


def _cause(one: Ended) -> str:
    from batchq.jobs.causes.evidence import of_outcome
    from batchq.jobs.causes.signature import signature

    evidence = of_outcome(one.claim.kind, one.claim.work, one.outcome)
    mark = hash(evidence)
    cause = _causes.get(mark)
    if cause is None:
        if len(_causes) >= REMEMBERED:
            _causes.clear()
        cause = _causes[mark] = signature(evidence).cause
    return cause
