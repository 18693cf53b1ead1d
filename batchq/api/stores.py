"""``batchq.open``: a store to add jobs to and to look at."""

import os
import warnings
from _contextvars import ContextVar  # contextvars and threading take longer
from _thread import get_ident  # all of threading takes 5 ms
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from batchq.api.described import described, missing
from batchq.api.options import seconds
from batchq.errors import InputError
from batchq.store.adding import intake
from batchq.store.file import connection, opening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Unpack

    from batchq.api.choosing import Choice, Which
    from batchq.api.found import JobInfo, Logs
    from batchq.api.options import Duration
    from batchq.api.waiting import Waited
    from batchq.jobs.selection import Selection
    from batchq.store.changing.control import Changed

_FAILURES = 100  #: that a report has in full, as with --json
_in_use: "ContextVar[Store | None]" = ContextVar("batchq_store", default=None)  #: that of the innermost with block


def open(path: str | os.PathLike[str] | None = None, *, create: bool = True) -> "Store":
    """Open a store by the rules of the command line, as a context manager that closes it.

    Without a ``path`` it is that of ``$BATCHQ_DB``, the nearest ``batchq.db`` here or above, or the user's own. A
    missing one is made, readable by its owner alone; with ``create=False`` it is MissingError. A store that others could
    write, or that is none, is StoreError; see ``batchq.errors``. What deserves a warning is told by ``warnings``.
    """
    return open_with_warnings(path, create=create, stacklevel=3)


def usual(stacklevel: int) -> "AbstractContextManager[Store]":
    """The store for functions that are added: that of the ``with`` block around, else that of the command's lookup.

    A thread or a forked child has no part in the block of another one.
    """
    from contextlib import nullcontext

    around = _in_use.get()
    if around is not None:
        return (
            nullcontext(around)
            if around.is_ours
            else open_with_warnings(around.path, create=True, stacklevel=stacklevel)
        )
    return open_with_warnings(None, create=True, stacklevel=stacklevel)


def open_with_warnings(path: str | os.PathLike[str] | None, *, create: bool, stacklevel: int) -> "Store":
    """As ``open``; ``stacklevel`` says whose line the warnings name, as in ``warnings.warn``."""
    opened = opening.open_store(None if path is None else os.fsdecode(path), create=create, trust_owner=False)
    try:
        for warning in opened.warnings:
            warnings.warn(warning, stacklevel=stacklevel)
    except Warning:  # where warnings are errors
        opened.close()
        raise
    return Store(opened)


class Store:
    """An open store. It belongs to the thread that opened it, and not to a forked child: open it again there.

    In its ``with`` block it is the store that ``f.add()`` and ``batchq.map`` use. Methods that take ``*jobs`` and a choice
    mean the same jobs as the command line: ids, texts such as ``"1-5,9"`` and ``"last"``, lists of ids, and ``batch``,
    ``queue``, ``state``, ``failed``, ``name``, ``since`` and ``all``.
    """

    def __init__(self, opened: connection.Store) -> None:
        self._store: connection.Store | None = opened
        self._owner = os.getpid(), get_ident()
        self._around: Store | None = None
        self.path = opened.path

    def add(self, jobs: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[int]:
        """Store one job or many, each a mapping with the fields of a job file; their ids, in order.

        One transaction: all or none. A ``matrix`` gives one id for each combination, a ``key`` that is known the id of
        the job that has it. The working directory and PATH of this process are stored with each. A ``call`` of what
        is not there is warned of. Raises InputError that names the job and the field.
        """
        specs = described(jobs)
        for warning in missing(specs):
            warnings.warn(warning, stacklevel=2)
        return intake.add(self._opened(), specs).ids if specs else []

    def job(self, id: int) -> "JobInfo":
        """One job as it is now. Raises MissingError."""
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
        """The jobs that pass all filters, in the order of their ids, read page by page; ``name`` may be a glob."""
        from batchq.api.found import infos
        from batchq.jobs.lifecycle import STATES
        from batchq.jobs.selection import Selection, of_ids

        if state is not None and state not in STATES:
            raise InputError(f"there is no state {state!r}: a job is {', '.join(STATES)}")
        chosen = Selection() if ids is None else of_ids(ids)
        return infos(
            self._opened, chosen._replace(batch=batch, queue=queue, states=() if state is None else (state,), name=name)
        )

    def retry(self, *jobs: "Which", **choice: "Unpack[Choice]") -> "Changed":
        """Queue jobs that are over once more, as ``batchq retry`` does. Raises UsageError, MissingError."""
        from batchq.store.changing import control

        return self._change("retry", control.retry, jobs, choice)

    def cancel(self, *jobs: "Which", **choice: "Unpack[Choice]") -> "Changed":
        """Cancel jobs that wait or run, as ``batchq cancel`` does. Raises UsageError, MissingError."""
        from batchq.runner.rescuing import take_back_cancelled
        from batchq.store.changing import control

        done = self._change("cancel", control.cancel, jobs, choice)
        take_back_cancelled(self._opened())
        return done

    def hold(self, *jobs: "Which", **choice: "Unpack[Choice]") -> "Changed":
        """Keep waiting jobs from being run until ``release``. Raises UsageError, MissingError."""
        from batchq.store.changing import control

        return self._change("hold", control.hold, jobs, choice)

    def release(self, *jobs: "Which", **choice: "Unpack[Choice]") -> "Changed":
        """Let held jobs go on. Raises UsageError, MissingError."""
        from batchq.store.changing import control

        return self._change("release", control.release, jobs, choice)

    def wait(self, *jobs: "Which", timeout: "Duration | None" = None, **choice: "Unpack[Choice]") -> "Waited":
        """Block until the jobs are over, or the timeout has passed; how they stand then.

        It does not start a run: another process must be at work, or nothing will move. Raises UsageError, MissingError.
        """
        import time

        from batchq.api import choosing, waiting
        from batchq.store.looking import queries

        chosen = self._chosen(choosing.some(jobs, choice, "wait"), stacklevel=3)
        queries.require(self._opened(), chosen)
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        return waiting.wait(self._opened(), chosen, until)

    def logs(self, *jobs: "Which", attempt: int | None = None, **choice: "Unpack[Choice]") -> "Iterator[Logs]":
        """What jobs printed, in the order of their ids: in this attempt, by default the last one.

        Raises UsageError, and MissingError for a job or an attempt that does not exist.
        """
        from batchq.api import choosing
        from batchq.api.found import printed
        from batchq.store.looking import queries

        chosen = self._chosen(choosing.some(jobs, choice, "logs"), stacklevel=3)
        queries.require(self._opened(), chosen)
        return printed(self._opened, chosen, attempt)

    def report(self, *jobs: "Which", **choice: "Unpack[Choice]") -> dict[str, Any]:
        """What happened to the chosen jobs, or to all: the document of ``batchq report --json`` as a value."""
        import json

        from batchq import clock
        from batchq.api import choosing
        from batchq.report import asjson, summary

        chosen = self._chosen(choosing.selection(jobs, choice), stacklevel=3)
        told = summary.build(self._opened(), chosen, at=clock.now(), failures=_FAILURES, db=self.path)
        found: dict[str, Any] = json.loads(asjson.report(told))
        return found

    @property
    def is_ours(self) -> bool:
        """Whether this process and thread have opened it, and not closed it."""
        return self._store is not None and self._owner == (os.getpid(), get_ident())

    def close(self) -> None:
        """Close the store; closing it again does nothing."""
        if self._store is not None:
            opened = self._opened()
            self._store = None
            opened.close()

    def __enter__(self) -> "Store":
        self._around = _in_use.get()
        _in_use.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _in_use.set(self._around)
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
        """The selection with ``last`` looked up; a queue or batch of which the store has never heard is warned of."""
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
    """As ``store.add``, of functions that are there: nobody looks for them."""
    specs = described(jobs)
    return intake.add(store._opened(), specs).ids if specs else []
