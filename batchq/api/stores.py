"""An open store, to add jobs to, to change and to read."""

import os
import warnings
from _contextvars import ContextVar  # contextvars takes longer to import
from _thread import get_ident  # all of threading takes 5 ms
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from batchq.api.described import described, missing
from batchq.api.options import seconds
from batchq.errors import InputError
from batchq.store.adding import intake
from batchq.store.file import connection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from batchq.api.choosing import Choice, Which
    from batchq.api.found import JobInfo, Logs
    from batchq.api.options import Duration
    from batchq.api.waiting import Waited
    from batchq.jobs.selection import Selection
    from batchq.store.changing.control import Changed

_FAILURES = 100  #: failures that a report describes in full, as with --json
in_use: "ContextVar[Store | None]" = ContextVar("batchq_store", default=None)  #: the store of the innermost with block


class Store:
    """An open store, made by ``batchq.open``. Inside its ``with`` block, ``f.add()`` and ``batchq.map`` use it.

    It belongs to the thread that opened it, and not to a forked child: open it again there. Elsewhere, and after
    ``close``, its methods raise RuntimeError.

    Methods with ``*jobs`` and ``**choice`` select jobs as the command line does: by ids, texts such as ``"1-5,9"`` and
    ``"last"``, lists of ids, and by ``batch``, ``queue``, ``state``, ``failed``, ``name``, ``since``, ``cause`` and
    ``all=True``. A job must pass all of them. An empty list selects no job. They raise UsageError for a wrong choice and
    MissingError for an id that does not exist; all methods raise BusyError if the store is locked for too long, and
    LedgerError if it cannot be read or written.
    """

    def __init__(self, opened: connection.Store) -> None:
        self._store: connection.Store | None = opened
        self._owner = os.getpid(), get_ident()
        self._around: Store | None = None
        self.path = opened.path

    def add(self, jobs: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[int]:
        """Store one job or many, each a mapping with the fields of a job file, and return their ids in order.

        It is one transaction: all or none, and on disk when this returns. A ``matrix`` has one id for each combination; a
        ``key`` that is already stored has the id of its job. The working directory and PATH of this process are stored
        with each job. A ``call`` of a function that does not exist is a warning. Raises InputError, which names the job
        and the field.
        """
        specs = described(jobs)
        for warning in missing(specs):
            warnings.warn(warning, stacklevel=2)
        return intake.add(self._opened(), specs).ids if specs else []

    def job(self, id: int) -> "JobInfo":
        """Return one job as it is now. Raises MissingError if it does not exist."""
        from batchq.api import choosing
        from batchq.api.found import infos
        from batchq.store.looking import queries

        chosen = choosing.selection([[id]], {})
        queries.require(self._opened(), chosen)
        return next(infos(self._opened, chosen))

    def jobs(
        self,
        ids: Iterable[int] | None = None,
        *,
        batch: str | None = None,
        queue: str | None = None,
        state: str | None = None,
        name: str | None = None,
    ) -> "Iterator[JobInfo]":
        """Iterate over the jobs that pass all filters, in the order of their ids; without filters, over all jobs.

        ``name`` may be a glob. Jobs are read in pages while you iterate, so the store must stay open. Ids that do not
        exist are skipped. Raises InputError for an unknown state.
        """
        from batchq.api.found import infos
        from batchq.jobs.lifecycle import STATES
        from batchq.jobs.selection import Selection, of_ids

        if state is not None and state not in STATES:
            raise InputError(f"no state {state!r}: a job is {', '.join(STATES)}")
        chosen = Selection() if ids is None else of_ids(ids)
        return infos(
            self._opened, chosen._replace(batch=batch, queue=queue, states=() if state is None else (state,), name=name)
        )

    def retry(self, *jobs: "Which", **choice: "Unpack[Choice]") -> "Changed":
        """Queue finished jobs again, as ``batchq retry`` does; return how many changed, and which."""
        from batchq.store.changing import control

        return self._change("retry", control.retry, jobs, choice)

    def cancel(self, *jobs: "Which", **choice: "Unpack[Choice]") -> "Changed":
        """Cancel jobs that wait or run, as ``batchq cancel`` does; return how many changed, and which.

        A running job is killed by its run, soon after this returns.
        """
        from batchq.runner.rescuing import take_back_cancelled
        from batchq.store.changing import control

        done = self._change("cancel", control.cancel, jobs, choice)
        take_back_cancelled(self._opened())
        return done

    def hold(self, *jobs: "Which", **choice: "Unpack[Choice]") -> "Changed":
        """Hold waiting jobs: no run starts them until ``release``. Return how many changed, and which."""
        from batchq.store.changing import control

        return self._change("hold", control.hold, jobs, choice)

    def release(self, *jobs: "Which", **choice: "Unpack[Choice]") -> "Changed":
        """Release held jobs; return how many changed, and which."""
        from batchq.store.changing import control

        return self._change("release", control.release, jobs, choice)

    def wait(self, *jobs: "Which", timeout: "Duration | None" = None, **choice: "Unpack[Choice]") -> "Waited":
        """Block until the jobs have finished, or the timeout has passed, and return how many are in each state.

        ``timeout`` is seconds, text such as ``"10m"``, or a timedelta; by default there is none. A timeout is not an
        exception: ``open`` counts the jobs that have not finished. This starts no run: some other process must run the
        jobs. Raises UsageError if nothing is chosen, or if jobs wait for each other so that they can never finish.
        """
        import time

        from batchq.api import choosing, waiting
        from batchq.store.looking import queries

        chosen = self._chosen(choosing.some(jobs, choice, "wait"), stacklevel=3)
        queries.require(self._opened(), chosen)
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        return waiting.wait(self._opened(), chosen, until)

    def logs(self, *jobs: "Which", attempt: int | None = None, **choice: "Unpack[Choice]") -> "Iterator[Logs]":
        """Iterate over the output of jobs, in the order of their ids: of this attempt, by default the last one.

        Raises UsageError if nothing is chosen, and MissingError for a job or an attempt that does not exist.
        """
        from batchq.api import choosing
        from batchq.api.found import printed
        from batchq.store.looking import queries

        chosen = self._chosen(choosing.some(jobs, choice, "logs"), stacklevel=3)
        queries.require(self._opened(), chosen)
        return printed(self._opened, chosen, attempt)

    def report(self, *jobs: "Which", **choice: "Unpack[Choice]") -> dict[str, Any]:
        """Return the document of ``batchq report --json`` as a dict, for the chosen jobs or for all."""
        import json

        from batchq import clock
        from batchq.api import choosing
        from batchq.report import asjson, summary

        chosen = self._chosen(choosing.selection(jobs, choice), stacklevel=3)
        built = summary.build(self._opened(), chosen, at=clock.now(), failures=_FAILURES, db=self.path)
        found: dict[str, Any] = json.loads(asjson.report(built))
        return found

    @property
    def is_ours(self) -> bool:
        """Whether this process and thread opened the store and it is still open."""
        return self._store is not None and self._owner == (os.getpid(), get_ident())

    def close(self) -> None:
        """Close the store; closing it again does nothing."""
        if self._store is not None:
            opened = self._opened()
            self._store = None
            opened.close()

    def __enter__(self) -> "Store":
        self._around = in_use.get()
        in_use.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        in_use.set(self._around)
        self.close()

    def __repr__(self) -> str:
        return f"<batchq.Store {self.path}>"

    def _change(
        self, verb: str, change: "Callable[..., Changed]", jobs: "Sequence[Which]", choice: "Choice"
    ) -> "Changed":
        from batchq.api import choosing

        chosen = self._chosen(choosing.some(jobs, choice, verb), stacklevel=4)
        return change(self._opened(), chosen, list_ids=True)

    def _chosen(self, selection: "Selection", *, stacklevel: int) -> "Selection":
        """Return the selection with ``last`` looked up, and warn of a queue or batch that the store has never seen."""
        from batchq.store import names
        from batchq.store.selecting import resolved

        for one in names.never_seen(self._opened(), selection.queue, selection.batch):
            warnings.warn(one.sentence, stacklevel=stacklevel)
        return resolved(self._opened(), selection)

    def _opened(self) -> connection.Store:
        if self._store is None:
            raise RuntimeError(f"the store {self.path} is closed")
        if self._owner != (os.getpid(), get_ident()):
            raise RuntimeError("an open store belongs to the thread that opened it: open it again in this one")
        return self._store


def add_calls(store: Store, jobs: Iterable[Mapping[str, Any]]) -> list[int]:
    """Store jobs as ``store.add`` does, without looking for their functions: they exist."""
    specs = described(jobs)
    return intake.add(store._opened(), specs).ids if specs else []
