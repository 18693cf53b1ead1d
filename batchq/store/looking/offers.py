"""What a shell can offer while a command line is typed: ids, and the names that the store knows."""

from batchq import clock
from batchq.store.file.connection import Store

MOST = 200  #: offers of one kind, the newest


def ids(store: Store, states: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return the newest jobs in one of these states (none given: in any), each with what a person knows it by."""
    among = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
    rows = store.fetch(
        f"SELECT id, state || ' ' || coalesce(name, work) FROM jobs {among} ORDER BY id DESC LIMIT {MOST}", states
    )
    return [(id, text) for id, text in rows]


def batches(store: Store) -> list[str]:
    """Return the names of the batches."""
    return [name for (name,) in store.fetch(f"SELECT DISTINCT batch FROM counters ORDER BY batch LIMIT {MOST}")]


def queues(store: Store) -> list[str]:
    """Return the names of the queues that have jobs or settings."""
    both = "SELECT queue FROM counters UNION SELECT name FROM queues"
    return [name for (name,) in store.fetch(f"{both} ORDER BY 1 LIMIT {MOST}")]


def names(store: Store, begin: str) -> list[str]:
    """Return names of jobs that begin with a text, which are looked for among the newest 10,000 jobs."""
    rows = store.fetch(
        "SELECT DISTINCT name FROM (SELECT name FROM jobs ORDER BY id DESC LIMIT 10000)"
        f" WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name LIMIT {MOST}",
        (begin,),
    )
    return [name for (name,) in rows]


def causes(store: Store) -> list[tuple[str, str]]:
    """Return the ids of the causes of failed jobs, each with its text."""
    rows = store.fetch(f"SELECT DISTINCT id, substr(cause, 10) FROM cause_report ORDER BY jobs DESC LIMIT {MOST}")
    return [(id, text) for id, text in rows]


def runs(store: Store) -> list[tuple[str, str]]:
    """Return the numbers of the newest runs, each with the time of its start."""
    rows = store.fetch(f"SELECT id, started_at FROM runners ORDER BY id DESC LIMIT {MOST}")
    return [(str(id), clock.local(started_at)) for id, started_at in rows]
