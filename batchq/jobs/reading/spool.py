"""A list of jobs of any length: beyond some thousands they are kept, packed, in an unnamed file."""

import marshal
import os
from itertools import islice
from operator import attrgetter

from batchq.jobs.model import AUTO, JobSpec, Terms
from batchq.jobs.reading.blocks import JOBS_LIMIT, too_many

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AT_ONCE = 5_000  #: jobs that are packed and unpacked together
_own = attrgetter("kind", "work", "name", "key", "after", "after_any", "after_failed", "where")


def spooled(specs: "Iterable[JobSpec]", source: str) -> "Spool":
    """Spool all of these jobs, each with its key. Raises InputError if there are more than one add stores."""
    spool, rest = Spool(), iter(specs)
    while part := list(islice(rest, AT_ONCE)):
        for spec in part:
            if spec.key == AUTO:
                from batchq.jobs.identity import automatic_key

                spec.key = automatic_key(spec)
        spool.add(part)
        if len(spool) > JOBS_LIMIT:
            raise too_many(source)
    return spool


class Spool:
    """Yields the jobs in order, any number of times; each time they are new objects."""

    def __init__(self) -> None:
        import tempfile

        self._file = tempfile.TemporaryFile(prefix="batchq-")
        self._parts: list[tuple[int, int]] = []  # position and length of each in the file
        self._open: list[JobSpec] = []
        self._length = 0

    def add(self, part: list[JobSpec]) -> None:
        """Add ``AT_ONCE`` jobs at the end; only the last part may be shorter."""
        self._length += len(part)
        if len(part) < AT_ONCE:
            self._open = part
            return
        data = _packed(part)
        start = sum(self._parts[-1]) if self._parts else 0
        self._file.write(data)
        self._file.flush()
        self._parts.append((start, len(data)))

    def clear(self) -> None:
        """Remove all jobs."""
        self._file.close()
        self._parts, self._open, self._length = [], [], 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> "Iterator[JobSpec]":
        for start, length in self._parts:
            # With a position of its own: after a fork both processes share the file's position.
            yield from _unpacked(os.pread(self._file.fileno(), length, start))
        yield from self._open


def _packed(specs: list[JobSpec]) -> bytes:
    runs: list[tuple[dict[str, object], list[tuple[object, ...]]]] = []
    terms = None
    for spec in specs:
        if spec.terms is not terms:
            terms = spec.terms
            runs.append((vars(terms), []))
        runs[-1][1].append(_own(spec))
    return marshal.dumps(runs)


def _unpacked(data: bytes) -> "Iterator[JobSpec]":
    for given, jobs in marshal.loads(data):
        terms = Terms()
        vars(terms).update(given)
        for kind, work, name, key, after, after_any, after_failed, where in jobs:
            spec = JobSpec(kind, work, terms, where)
            spec.name, spec.key = name, key
            spec.after, spec.after_any, spec.after_failed = after, after_any, after_failed
            yield spec


Jobs = list[JobSpec] | Spool
