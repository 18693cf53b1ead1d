"""Which queues and batches a store has ever seen, so that a name with a slip of the pen is told from one that is empty."""

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
    """A queue or a batch of which the store has never heard; ``near`` is ``" (did you mean 'net'?)"``, or nothing."""

    kind: str
    name: str
    near: str

    @property
    def sentence(self) -> str:
        """What a person is told of it."""
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
    """Note the (queue, batch) of jobs that are removed: those names may be gone from the store with them."""
    rows = {pair for queue, batch in places for pair in (("queue", queue), ("batch", batch)) if pair[1] != "default"}
    db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", sorted(rows))
