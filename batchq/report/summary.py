"""The report on the selected jobs as one value: read from the store in one snapshot, rendered elsewhere."""

from batchq.jobs.lifecycle import FINAL
from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.report.digest import failed_of, program, retry_command
from batchq.store.file.connection import Store
from batchq.store.looking import outputs, queries, tallies
from batchq.store.looking.rows import Failure, Job, Timing
from batchq.store.snapshots import snapshot

SLOWEST = 5
RUNNING = 10
_LISTED_IDS = 10_000  #: with more failed jobs than that the retry command names the selection, not the jobs


def standings(counts: dict[str, int], lost: int) -> dict[str, int]:
    """The jobs by state; ``lost`` of those that are ``running`` in the store belong to a dead run."""
    if not lost:
        return counts
    parted = counts | {"running": counts["running"] - lost, "lost": lost}
    return {state: jobs for state, jobs in parted.items() if jobs}


class Report(NamedTuple):
    """The selected jobs at ``at`` (ms): how many in each state, when they ran, which failed and why.

    ``failures`` are the first ones, ``counts["failed"]`` is how many there are. ``running`` and ``slowest`` are a few
    of those; ``next_due`` is when the first waiting job is due, in milliseconds; ``lost`` counts the running jobs whose
    run died. ``program``, ``retry`` and ``all_failed`` are commands to continue with.
    """

    at: int
    store: str
    counts: dict[str, int]
    timing: Timing
    failures: list[Failure]
    program: str
    retry: str | None
    all_failed: str
    slowest: list[Job]
    running: list[Job]
    next_due: int | None
    lost: int = 0

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
        return max(0, (self.at if self.running or last is None else last) - first)

    @property
    def per_second(self) -> float | None:
        """Jobs that succeeded or failed per second of ``span``; None if there were none, or no span."""
        ended = self.counts.get("succeeded", 0) + self.counts.get("failed", 0)
        return ended * 1000 / self.span if ended and self.span else None


def build(store: Store, selection: Selection, *, at: int, failures: int, db: str | None = None) -> Report:
    """The report on the selected jobs, with the first ``failures`` failed ones in full.

    ``db`` is put into the retry command. Raises MissingError for an id that does not exist.
    """
    with snapshot(store):
        queries.require(store, selection)
        counts = tallies.counts(store, selection)
        failed = counts.get("failed", 0)
        ids = queries.failed_ids(store, selection) if failed <= _LISTED_IDS else ()
        return Report(
            at=at,
            store=store.path,
            counts=counts,
            timing=tallies.timing(store, selection),
            failures=outputs.failures(store, selection, failures) if failed else [],
            program=program(db),
            retry=retry_command(ids, selection, db) if failed else None,
            all_failed=f"{program(db)} list {failed_of(selection)}",
            slowest=tallies.slowest(store, selection, SLOWEST),
            running=queries.jobs(store, selection.in_state("running"), RUNNING) if counts.get("running") else [],
            lost=queries.lost(store, selection) if counts.get("running") else 0,
            next_due=tallies.next_due(store, selection) if counts.get("scheduled") else None,
        )
