"""``batchq.map``: one job for each item, and a handle for their results in the order of the items."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from batchq.api import stores, using
from batchq.api.functions import Job
from batchq.errors import ResultError

if TYPE_CHECKING:
    from typing import Unpack

    from batchq.api.found import JobInfo
    from batchq.api.options import Duration, Options
    from batchq.api.waiting import Waited

T = TypeVar("T")
R = TypeVar("R")


def map(function: "Callable[[T], R] | Job[[T], R]", items: Iterable[T], **options: "Unpack[Options]") -> "Jobs[R]":
    """Store one job for each item, which calls ``function(item)``: all of them in one transaction, or none.

    ``function`` is a plain function at the top level of a module, or one decorated with ``@batchq.job``; the options are
    those of that decorator. Jobs go to the store of the enclosing ``with batchq.open(…)`` block in this thread, or else
    to the store that the command line would use. Nothing runs yet: ``batchq.run`` runs the jobs, or a run at work does.
    Raises TypeError, InputError and other BatchqErrors as ``Job.add`` does.
    """
    job: Job[..., R] = function if isinstance(function, Job) else Job(function, {})
    called = job.options(**options)
    calls = [called.job(item) for item in items]
    with using.usual(stacklevel=4) as store:
        return Jobs(store.path, stores.add_calls(store, calls))


class Jobs(Generic[R]):
    """The jobs that ``batchq.map`` has added to the store at ``path``; ``ids`` is in the order of the items.

    Each method opens the store itself, so the handle also works after the ``with`` block and in any thread. All methods
    raise MissingError if the store is gone, and other BatchqErrors if it cannot be read.
    """

    def __init__(self, path: str, ids: Iterable[int]) -> None:
        self.path = path
        self.ids = tuple(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<batchq.Jobs {len(self.ids)} in {self.path}>"

    def wait(self, timeout: "Duration | None" = None) -> "Waited":
        """Block until all jobs have finished, or the timeout has passed, and return how many are in each state.

        ``timeout`` is seconds, text such as ``"10m"``, or a timedelta; by default there is none.
        """
        with using.open(self.path, create=False) as store:
            return store.wait(self.ids, timeout=timeout)

    def jobs(self) -> "list[JobInfo]":
        """Return each job as it is now, in the order of the items. Raises MissingError if one was pruned."""
        with using.open(self.path, create=False) as store:
            found = {job.id: job for job in store.jobs(self.ids)}
            return [found[id] if id in found else store.job(id) for id in self.ids]

    def results(self) -> list[R]:
        """Return what each call returned, in the order of the items.

        It does not wait. Raises ResultError, which names the first job without a result, unless all jobs have succeeded.
        """
        jobs = self.jobs()
        without = [job for job in jobs if job.state != "succeeded"]
        if without:
            more = f", and {len(without) - 1:,} more have no result" if len(without) > 1 else ""
            raise ResultError(f"job {without[0].id}: {_why(without[0])}{more}")
        results: list[Any] = [job.result for job in jobs]
        return results

    def failures(self) -> "list[JobInfo]":
        """Return the jobs that failed or were cancelled."""
        return [job for job in self.jobs() if job.state in ("failed", "cancelled")]


def _why(job: "JobInfo") -> str:
    return f"{job.state}: {job.error or job.why}" if job.error or job.why else job.state
