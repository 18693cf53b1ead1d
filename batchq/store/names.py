"""The queues and batches that a store has ever seen: they distinguish a mistyped name from an empty queue or batch."""

import _sqlite3 as sqlite3
from collections.abc import Iterable

from batchq.jobs.work import did_you_mean
from batchq.named import NamedTuple
from batchq.store.file.connection import Store
from batchq.visible import visible

_KNOWN = {
    "queue": "SELECT queue FROM counters UNION SELECT name FROM queues UNION SELECT name FROM seen WHERE kind = 'queue'",
    "batch": "SELECT batch FROM counters UNION SELECT name FROM seen WHERE kind = 'batch'",
}


class Unknown(NamedTuple):
    """A queue or a batch that the store has never seen; ``near`` is ``" (did you mean 'net'?)"``, or empty."""

    kind: str
    name: str
    near: str

    @property
    def sentence(self) -> str:
        """The message about it."""
        return f"this store has never seen the {self.kind} {visible(self.name, one_line=True)!r}{self.near}"


def never_seen(store: Store, queue: str | None, batch: str | None) -> list[Unknown]:
    """Those of the names in a selection that the store has never seen."""
    found = []
    for kind, name in (("queue", queue), ("batch", batch)):
        if name is not None and name != "default":
            known = [one for (one,) in store.fetch(_KNOWN[kind])]
            if name not in known:
                found.append(Unknown(kind, name, did_you_mean(name, known)))
    return found


def remember(db: sqlite3.Connection, places: Iterable[tuple[str, str]]) -> None:
    """Store the names of (queue, batch) of jobs that are removed: the store may have no other job with them."""
    rows = {pair for queue, batch in places for pair in (("queue", queue), ("batch", batch)) if pair[1] != "default"}
    db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", sorted(rows))
