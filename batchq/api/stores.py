"""``batchq.open``: a store to add jobs to and to look at."""

import os
import warnings
from _thread import get_ident  # all of threading takes 5 ms
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from batchq.api.options import plain
from batchq.errors import InputError
from batchq.jobs import jobfile
from batchq.store import connection, intake

if TYPE_CHECKING:
    from batchq.api.found import JobInfo
    from batchq.jobs.selection import Selection

_PAGE = 100  #: jobs that are read at once; each may have a result of 1 MiB


def open(path: str | os.PathLike[str] | None = None, *, create: bool = True) -> "Store":
    """Open a store by the rules of the command line, as a context manager that closes it.

    Without a ``path`` it is that of ``$BATCHQ_DB``, the nearest ``batchq.db`` here or above, or the user's own. A
    missing one is made, readable by its owner alone; with ``create=False`` it is MissingError. A store that others could
    write, or that is none, is StoreError; see ``batchq.errors``. What deserves a warning is told by ``warnings``.
    """
    return open_with_warnings(path, create=create, stacklevel=3)


def open_with_warnings(path: str | os.PathLike[str] | None, *, create: bool, stacklevel: int) -> "Store":
    """As ``open``; ``stacklevel`` says whose line the warnings name, as in ``warnings.warn``."""
    opened = connection.open_store(None if path is None else os.fsdecode(path), create=create, trust_owner=False)
    try:
        for warning in opened.warnings:
            warnings.warn(warning, stacklevel=stacklevel)
    except Warning:  # where warnings are errors
        opened.close()
        raise
    return Store(opened)


class Store:
    """An open store. It belongs to the thread that opened it, and not to a forked child: open it again there."""

    def __init__(self, opened: connection.Store) -> None:
        self._store: connection.Store | None = opened
        self._owner = os.getpid(), get_ident()
        self.path = opened.path

    def add(self, jobs: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[int]:
        """Store one job or many, each a mapping with the fields of a job file; their ids, in order.

        One transaction: all or none. A ``matrix`` gives one id for each combination, a ``key`` that is known the id of
        the job that has it. The working directory and PATH of this process are stored with each. Raises InputError that
        names the job and the field.
        """
        given = [jobs] if isinstance(jobs, Mapping) else jobs
        specs = jobfile.described(map(_plain, given), _folder(), os.environ.get("PATH", os.defpath))
        return intake.add(self._opened(), specs).ids if specs else []

    def job(self, id: int) -> "JobInfo":
        """One job as it is now. Raises MissingError."""
        from batchq.jobs.selection import of_ids
        from batchq.store import queries

        queries.require(self._opened(), of_ids([id]))
        return next(self._found(of_ids([id])))

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
        from batchq.jobs.lifecycle import STATES
        from batchq.jobs.selection import Selection, of_ids

        if state is not None and state not in STATES:
            raise InputError(f"there is no state {state!r}: a job is {', '.join(STATES)}")
        chosen = Selection() if ids is None else of_ids(ids)
        return self._found(
            chosen._replace(batch=batch, queue=queue, states=() if state is None else (state,), name=name)
        )

    def close(self) -> None:
        """Close the store; closing it again does nothing."""
        if self._store is not None:
            opened = self._opened()
            self._store = None
            opened.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<batchq.Store {self.path}>"

    def _found(self, chosen: "Selection") -> "Iterator[JobInfo]":
        from batchq.api.found import job_info
        from batchq.store import queries

        last = 0
        while page := queries.jobs(self._opened(), chosen, _PAGE, last):
            results = queries.results(self._opened(), [job.id for job in page])
            last = page[-1].id
            yield from (job_info(job, results.get(job.id)) for job in page)

    def _opened(self) -> connection.Store:
        if self._store is None:
            raise RuntimeError(f"the store {self.path} is closed")
        if self._owner != (os.getpid(), get_ident()):
            raise RuntimeError("an open store belongs to the thread that opened it: open it again in this one")
        return self._store


def _plain(job: object) -> object:
    return plain(job) if isinstance(job, Mapping) else job


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise InputError("the current directory does not exist any more; change to another one") from None
