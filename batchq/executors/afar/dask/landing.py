"""What comes back of a claim at a worker, as reports."""

import json
from collections.abc import Iterable, Mapping, Sequence

from batchq import clock
from batchq.executors.afar import protocol
from batchq.executors.afar.dask import task
from batchq.executors.afar.dask.workers import Flight
from batchq.executors.afar.unfit import in_one_line, is_of_setup
from batchq.executors.afar.wording import unconfirmed
from batchq.executors.seam import Left, Lost, Refused, Report, Started
from batchq.jobs.attempt import INTERRUPTED, Ended, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.processes.link import Message


def begun(flight: Flight, at: int) -> list[Report]:
    """Report the start of a claim ahead, once."""
    if flight.has_begun:
        return []
    flight.has_begun = True
    return [Started(flight.claim, at)]


def news(flights: Mapping[str, Flight], messages: "Iterable[Message]") -> list[Report]:
    """Report what a worker says of running attempts."""
    claims = {token: flight.claim for token, flight in flights.items()}
    return [report for message in messages if (report := protocol.report(message, claims)) is not None]


def refused(flights: Mapping[str, Flight], fates: Mapping[str, str]) -> list[Flight]:
    """Return those of the claims to stop that had not begun: their worker will not begin them."""
    found = [flights[token] for token, fate in fates.items() if fate == "refused" and token in flights]
    return [flight for flight in found if flight.claim.started_at is None]


def is_of_a_lost_worker(result: "Any") -> bool:
    """Whether this says not what came of a claim, but that its worker is gone; another one may have its address."""
    return result == task.ANOTHER or type(_error(result)).__name__ == "KilledWorker"


def came_back(flight: Flight, result: "Any") -> list[Report]:
    """Report what came back of a claim: what its task returned, or what it raised."""
    return _landed(flight, result) if isinstance(result, str) else _failed(flight, _error(result))


def _error(result: "Any") -> "Any":
    return result[1] if isinstance(result, tuple) else result


def _landed(flight: Flight, answer: str) -> list[Report]:
    *logged, end = json.loads(answer)
    protocol.name_host(end, flight.worker.host)
    claims = {flight.claim.token: flight.claim}
    reports = [report for one in (*logged, end) if (report := protocol.report(one, claims)) is not None]
    last = reports[-1] if reports else None
    if isinstance(last, Ended) and last.outcome.started_at is not None:
        return [*begun(flight, last.outcome.started_at), *reports]
    return reports


def _failed(flight: Flight, error: BaseException) -> list[Report]:
    """Report a claim that no worker can run, or whose site ends at once."""
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


def left(flights: Sequence[Flight]) -> list[Report]:
    """Report claims that are left to the next run, because their workers do not answer."""
    reports: list[Report] = [Left(one.claim) for one in flights]
    for host in sorted({one.worker.host for one in flights}):
        number = sum(one.worker.host == host for one in flights)
        reports.append(unconfirmed(host, number))
    return reports
