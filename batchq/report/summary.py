"""The summary of the selected jobs as one value: read from the store in one snapshot, rendered elsewhere."""

from batchq.jobs.lifecycle import FINAL
from batchq.jobs.selection import Selection, merged
from batchq.named import NamedTuple
from batchq.report import reasons
from batchq.report.again import Failed
from batchq.report.program import program
from batchq.report.reasons import Reason
from batchq.report.states import standings
from batchq.store.file.connection import Store
from batchq.store.looking import change, outputs, queries, tallies, times
from batchq.store.looking.change import Change
from batchq.store.looking.rows import Failure, Job, Spread, Timing
from batchq.store.looking.times import Stretch, Times
from batchq.store.snapshots import snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.report.flow import Flow
    from batchq.store.looking.briefs import Briefs

SLOWEST = 5
RUNNING = 10


class Summary(NamedTuple):
    """The selected jobs at ``at`` (ms): how many in each state, when they ran, which failed and why.

    ``failures`` are the first ones, ``counts["failed"]`` is how many there are. ``running`` and ``slowest`` are a few
    of those; ``next_due`` is when the first waiting job is due, in milliseconds; ``lost`` counts the running jobs whose
    run died. ``program``, ``retry`` and ``all_failed`` are commands to continue with, the last two only if jobs failed.
    ``reasons`` are those of all failures. ``took`` is how long attempts took, ``waited`` how long jobs waited from their
    add to their first start; ``unneeded`` counts the cancelled jobs that were for a failure which did not come, ``flaky``
    the jobs that succeeded after an attempt that did not. ``change`` is what is different from last time; None if there is
    no last time. ``sample`` is how many jobs ``took`` and ``waited`` were
    computed from if not from all, else 0; if ``is_estimated``, ``timing`` and ``flaky`` are scaled up from these, too, and
    there are no ``slowest``. ``runs`` has the stretch of time in which each run worked on the jobs. Only there if they were
    asked for: ``flow``, the course of the attempts (None if none has ended); ``briefs``, the jobs in brief; and ``names``
    of the jobs that got slower.
    """

    at: int
    store: str
    counts: dict[str, int]
    timing: Timing
    failures: list[Failure]
    program: str
    retry: str | None
    all_failed: str | None
    slowest: list[Job]
    running: list[Job]
    next_due: int | None
    lost: int = 0
    unneeded: int = 0
    reasons: list[Reason] = []  # noqa: RUF012 - a field of a tuple
    took: Spread | None = None
    waited: Spread | None = None
    flaky: int = 0
    sample: int = 0
    is_estimated: bool = False
    change: Change | None = None
    flow: "Flow | None" = None
    briefs: "Briefs | None" = None
    names: dict[int, str] = {}  # noqa: RUF012
    runs: dict[int, Stretch] = {}  # noqa: RUF012

    @property
    def jobs(self) -> int:
        """The number of selected jobs."""
        return sum(self.counts.values())

    @property
    def open(self) -> dict[str, int]:
        """The unfinished jobs by state."""
        return {state: jobs for state, jobs in self.standings.items() if state not in FINAL}

    @property
    def standings(self) -> dict[str, int]:
        """The jobs by state; ``lost`` are those that were running when their run died."""
        return standings(self.counts, self.lost)

    @property
    def span(self) -> int | None:
        """Milliseconds from the first start to the last end, or to now while something runs; None if nothing ran."""
        first, last = self.timing.first_started, self.timing.last_finished
        if first is None:
            return None
        return max(0, (self.at if self._is_running or last is None else last) - first)

    @property
    def worked(self) -> int | None:
        """Milliseconds in which runs worked on these jobs, without the time between runs; None if nothing ran."""
        if not self.runs:
            return self.span
        now = self.at if self._is_running else self.timing.last_finished
        total, until = 0, 0
        for first, last in sorted((first, now if last is None else last) for first, last in self.runs.values()):
            total += max(0, (last or first) - max(first, until))
            until = max(until, last or first)
        return total

    @property
    def per_second(self) -> float | None:
        """Jobs that succeeded or failed per second in which runs ``worked``; None if there were none, or no time."""
        ended = self.counts.get("succeeded", 0) + self.counts.get("failed", 0)
        return ended * 1000 / self.worked if ended and self.worked else None

    @property
    def _is_running(self) -> bool:
        return "running" in self.standings


def build(
    store: Store,
    selection: Selection,
    *,
    at: int,
    failures: int,
    db: str | None = None,
    drawn: bool = False,
    estimated: bool = False,
) -> Summary:
    """The summary of the selected jobs, with the first ``failures`` failed ones in full.

    ``db`` is put into the commands. ``drawn`` is for a page: with ``flow``, ``briefs`` and ``names``. ``estimated``: the
    times of very many jobs may be scaled up from a sample, which takes a tenth of a second instead of some. Raises
    MissingError for an id that does not exist.
    """
    with snapshot(store):
        queries.require(store, selection)
        counts = tallies.counts(store, selection)
        changed = change.change(store, selection) if counts else None
        past = changed and changed.compared
        found = reasons.find(store, selection, past=past, db=db) if counts.get("failed") else []
        failed = Failed(store, selection, [*merged(ids for one in found for ids in one.ids)], db) if found else None
        ran = _ran(store, selection, counts, estimated=estimated)
        return Summary(
            at=at,
            store=store.path,
            counts=counts,
            timing=ran.timing,
            failures=outputs.failures(store, selection, failures) if found else [],
            program=program(db),
            retry=failed.all() if failed else None,
            all_failed=failed.all("list") if failed else None,
            slowest=[] if ran.sample and estimated else tallies.slowest(store, selection, SLOWEST),
            running=queries.jobs(store, selection.in_state("running"), RUNNING) if counts.get("running") else [],
            lost=queries.lost(store, selection) if counts.get("running") else 0,
            unneeded=tallies.unneeded(store, selection.in_state("cancelled")) if counts.get("cancelled") else 0,
            next_due=tallies.next_due(store, selection) if counts.get("scheduled") else None,
            reasons=found,
            took=ran.took,
            waited=ran.waited,
            flaky=ran.flaky,
            sample=ran.sample,
            is_estimated=bool(ran.sample and estimated),
            change=changed,
            flow=_flow(store, selection, ran.timing.attempts) if drawn else None,
            briefs=_briefs(store, selection, counts) if drawn else None,
            runs=ran.runs,
            names=queries.names(store, [id for id, _, _ in changed.slower]) if drawn and changed else {},
        )


def _ran(store: Store, selection: Selection, counts: dict[str, int], *, estimated: bool) -> Times:
    ran = times.times(store, selection, counts)
    if not ran.sample or estimated:
        return ran
    return ran._replace(timing=tallies.timing(store, selection), flaky=tallies.flaky(store, selection))


def _flow(store: Store, selection: Selection, attempts: int) -> "Flow | None":
    from batchq.report.flow import flow
    from batchq.store.looking.sample import sample

    return flow(sample(store, selection, attempts))


def _briefs(store: Store, selection: Selection, counts: dict[str, int]) -> "Briefs":
    from batchq.store.looking.briefs import briefs

    return briefs(store, selection, counts)
