"""What comes back of a claim at a worker, as reports."""

import json

from batchq import clock
from batchq.executors.afar import protocol
from batchq.executors.afar.dask.workers import Flight
from batchq.executors.afar.unfit import in_one_line, is_of_setup
from batchq.executors.seam import Lost, Refused, Report, Started
from batchq.jobs.attempt import INTERRUPTED, Ended, Outcome


def begun(flight: Flight, at: int) -> list[Report]:
    """Report the start of a claim ahead, once."""
    if flight.has_begun:
        return []
    flight.has_begun = True
    return [Started(flight.claim, at)]


def landed(flight: Flight, answer: str) -> list[Report]:
    """Report what the task of a claim returned."""
    *logged, end = json.loads(answer)
    protocol.name_host(end, flight.worker.host)
    claims = {flight.claim.token: flight.claim}
    reports = [report for one in (*logged, end) if (report := protocol.report(one, claims)) is not None]
    last = reports[-1] if reports else None
    if isinstance(last, Ended) and last.outcome.started_at is not None:
        return [*begun(flight, last.outcome.started_at), *reports]
    return reports


def failed(flight: Flight, error: BaseException) -> list[Report]:
    """Report a claim whose task has raised: no worker can run it, or its site ends at once."""
    if is_of_setup(error):
        why = f"the workers cannot run jobs: {in_one_line(error)}"
        return [Lost(flight.claim, started=False), Refused(why)]
    return [Lost(flight.claim, flight.has_begun, flight.worker.host)]


def left_over(flight: Flight, *, is_expected: bool) -> Report:
    """Report a claim whose worker is gone; if that ``is_expected``, somebody took it from the cluster."""
    if not (flight.has_begun and is_expected):
        return Lost(flight.claim, flight.has_begun, flight.worker.host)
    now = clock.now()
    started_at = flight.claim.started_at or now
    outcome = Outcome(INTERRUPTED, started_at=started_at, finished_at=now, host=flight.worker.host)
    return Ended(flight.claim, outcome)
