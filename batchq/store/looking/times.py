"""When the selected jobs ran and how long that took: read from all of them, or estimated from an even sample of many."""

import json
from collections.abc import Iterable, Mapping

from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.store.looking.rows import Spread, Timing
from batchq.store.selecting import condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST = 20_000  #: selected jobs that are all read; of more a sample is
SAMPLE = 10_000  #: jobs of a sample
_PICKS = 100_000  #: ids that are tried at most to find these, if others lie between them
_ENDS = 500  #: jobs that are also read at each end of a sample, where the first start and the last end are likely
_GOLDEN = 0.618_033_988_749_895  # its multiples spread evenly, so no pattern in the ids is met again and again
_COLUMNS = """
jobs.id, jobs.state = 'succeeded' AND jobs.attempt > 1, jobs.created_at, a.number, a.started_at, a.finished_at, a.seconds,
coalesce(a.cpu_seconds, 0.0), a.runner"""


Stretch = tuple[int, int | None]  #: from one time to another; None: to now


class Times(NamedTuple):
    """``took`` is how long attempts took, ``waited`` how long jobs waited from their add to their first start, and
    ``flaky`` how many succeeded after an attempt that did not. ``runs`` has the stretch of time from the first start to the
    last end of these attempts, for each run.

    ``sample`` is how many jobs were read if all numbers are estimated from these, else 0.
    """

    timing: Timing
    took: Spread | None
    waited: Spread | None
    flaky: int
    sample: int = 0
    runs: dict[int, Stretch] = {}  # noqa: RUF012 - a field of a tuple


def times(store: Store, selection: Selection, counts: Mapping[str, int]) -> Times:
    """The times of the selected jobs, of which ``counts`` are in each state; with ``since``, only attempts that ended after
    it count."""
    jobs = sum(counts.values())
    where, named = condition(selection)
    window = " AND a.finished_at >= :since" if selection.since is not None else ""
    attempts = f"LEFT JOIN attempts AS a ON a.job = jobs.id{window}"
    running = _running(store, selection) if counts.get("running") else {}
    if jobs <= MOST:
        return _summed_up(store.fetch(f"SELECT {_COLUMNS} FROM jobs {attempts} WHERE {where}", named), running)
    picked = {"picks": json.dumps(_picks(store, selection, jobs))}
    rows = store.fetch(
        f"SELECT {_COLUMNS} FROM json_each(:picks) AS pick CROSS JOIN jobs ON jobs.id = pick.value {attempts}"
        f" WHERE {where}",
        named | picked,
    )
    ends = [
        row
        for order in ("", " DESC")
        for row in store.fetch(
            f"SELECT {_COLUMNS} FROM (SELECT * FROM jobs WHERE {where} ORDER BY jobs.id{order} LIMIT {_ENDS}) AS jobs"
            f" {attempts}",
            named,
        )
    ]
    return _estimated(_summed_up(rows, running), _summed_up(ends, running), jobs, len({row[0] for row in rows}))


def _running(store: Store, selection: Selection) -> dict[int, int]:
    """When the first of the selected jobs that run now started, by run."""
    where, named = condition(selection.in_state("running"))
    return dict(
        store.fetch(f"SELECT runner, min(started_at) FROM jobs WHERE {where} AND started_at > 0 GROUP BY runner", named)
    )


def _picks(store: Store, selection: Selection, jobs: int) -> list[int]:
    """Ids that lie evenly between the first and the last selected job, so many that about ``SAMPLE`` are selected."""
    where, named = condition(selection)
    one = f"SELECT id FROM jobs WHERE {where} ORDER BY id"
    ((first, last),) = store.fetch(f"SELECT ({one} LIMIT 1), ({one} DESC LIMIT 1)", named)
    span = last - first + 1
    number = min(_PICKS, max(SAMPLE, SAMPLE * span // jobs))
    step = span / number
    return sorted({first + int((place + place * _GOLDEN % 1) * step) for place in range(number)})


def _summed_up(rows: "Iterable[tuple[Any, ...]]", running: Mapping[int, int]) -> Times:
    took, waited, starts, flaky = [], [], [*running.values()], set()
    runs: dict[int, Stretch] = {}
    last, retries, cpu = None, 0, 0.0
    for id, is_flaky, created_at, number, started_at, finished_at, seconds, cpu_seconds, run in rows:
        if is_flaky:
            flaky.add(id)
        if number is None:
            continue
        took.append(seconds)
        starts.append(started_at)
        last = finished_at if last is None else max(last, finished_at)
        cpu += cpu_seconds
        runs[run] = _longer(runs.get(run), started_at, finished_at)
        if number == 1:
            waited.append(max(0, started_at - created_at) / 1000)
        else:
            retries += 1
    for run, started_at in running.items():
        runs[run] = _longer(runs.get(run), started_at, None)
    timing = Timing(min(starts, default=None), last, len(took), retries, sum(took), cpu)
    return Times(timing, Spread.of(took), Spread.of(waited), len(flaky), runs=runs)


def _longer(known: Stretch | None, first: int, last: int | None) -> Stretch:
    """A stretch that also reaches from ``first`` to ``last``."""
    if known is None:
        return first, last
    return min(first, known[0]), None if last is None or known[1] is None else max(last, known[1])


def _estimated(found: Times, at_ends: Times, jobs: int, sample: int) -> Times:
    """Scale what a sample of jobs came to up to all of them."""
    one, ends, factor = found.timing, at_ends.timing, jobs / max(1, sample)
    timing = Timing(
        min((at for at in (one.first_started, ends.first_started) if at is not None), default=None),
        max((at for at in (one.last_finished, ends.last_finished) if at is not None), default=None),
        _rounded(one.attempts * factor),
        _rounded(one.retries * factor),
        one.busy_seconds * factor,
        one.cpu_seconds * factor,
    )
    runs = found.runs | {run: _longer(found.runs.get(run), *stretch) for run, stretch in at_ends.runs.items()}
    return found._replace(timing=timing, flaky=_rounded(found.flaky * factor), sample=sample, runs=runs)


def _rounded(number: float) -> int:
    """Two digits: an estimate is not better than that."""
    return int(round(number, 2 - len(str(round(number)))))
