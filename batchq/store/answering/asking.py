"""The callers of a command: the jobs inside which it runs. None of them can finish before the command does."""

import json
import time
from collections.abc import Container, Sequence

from batchq.jobs.selection import NO_JOB, Range, Selection
from batchq.store.file.connection import Store
from batchq.store.running import claiming, runners, waits
from batchq.store.running.runners import Caller, Runner
from batchq.store.selecting import condition

CONFIRMED = 3.0  #: seconds after which a standstill counts


def of_tokens(store: Store, tokens: Sequence[str]) -> tuple[Caller, ...]:
    """The running attempts with these tokens; those that have ended or belong to another store are left out."""
    pairs = [(int(job), token) for token in tokens for job in [token.rpartition(".")[2]] if _is_id(job)]
    rows = store.fetch(
        "SELECT jobs.id, jobs.runner FROM json_each(?) AS pair JOIN jobs ON jobs.id = json_extract(pair.value, '$[0]')"
        " WHERE jobs.state = 'running' AND jobs.token = json_extract(pair.value, '$[1]')",
        (json.dumps(pairs),),
    )
    return tuple(map(Caller._make, rows))


def held_up(store: Store, callers: Sequence[int]) -> set[int]:
    """The jobs that cannot finish before a command called by ``callers`` does: these, and all that run after them."""
    rows = store.fetch(
        """
        WITH RECURSIVE below (id) AS (
            SELECT value FROM json_each(?)
            UNION SELECT d.child FROM below JOIN dependencies AS d ON d.parent = below.id)
        SELECT id FROM below""",
        (json.dumps(callers),),
    )
    return {id for (id,) in rows}


def all_wait(store: Store, mine: Container[int]) -> bool:
    """Whether every running job, in all runs, waits for a batchq command that it called; ``mine`` do."""
    rows = store.fetch("SELECT id FROM jobs WHERE state = 'running'")
    return all(id in mine or store.lock.waits(id) for (id,) in rows)


def is_anyone_free(store: Store, ids: Sequence[Range]) -> bool:
    """Whether a run at work has slots left for one of these jobs, if it may start, and none before it waits for more."""
    where, named = condition(Selection(tuple(ids) or NO_JOB))
    for one in runners.living(store):
        ((used,),) = store.fetch("SELECT total(slots) FROM jobs WHERE state = 'running' AND runner = ?", (one.id,))
        wanted, kinds = one.wanted, "1" if one.wanted.payloads else "jobs.kind <> 'payload'"
        named |= wanted.named() | {"room": (room := min(one.widest, one.slots - used))}
        in_line = "1"
        first = waits.first_in_line(store, wanted, one.widest) if claiming.is_any_wide(store) else None
        if first is not None and first[2] > room:
            in_line = "(jobs.priority > :priority OR (jobs.priority = :priority AND jobs.id < :first))"
            named |= {"first": first[0], "priority": first[1]}
        if store.fetch(
            f"SELECT 1 FROM jobs WHERE jobs.state IN ('queued', 'scheduled') AND jobs.slots <= :room AND {kinds}"
            f" AND {in_line} AND {IN_AN_OPEN_QUEUE} AND {where} AND {wanted.condition()} LIMIT 1",
            named,
        ):
            return True
    return False


def is_anything_startable(store: Store, runner: Runner) -> bool:
    """Whether a queued job of this runner's selection may start, now or as soon as a rate allows."""
    wanted, kinds = runner.wanted, "1" if runner.wanted.payloads else "jobs.kind <> 'payload'"
    return bool(
        store.fetch(
            f"SELECT 1 FROM jobs WHERE jobs.state = 'queued' AND jobs.slots <= :slots AND {kinds} AND {IN_AN_OPEN_QUEUE}"
            f" AND {wanted.condition()} LIMIT 1",
            wanted.named() | {"slots": runner.widest},
        )
    )


#: The condition for a job whose queue lets at least one more job run
IN_AN_OPEN_QUEUE = """
NOT EXISTS (SELECT 1 FROM queues AS q WHERE q.name = jobs.queue AND q.running_limit <=
    (SELECT total(c.jobs) FROM counters AS c WHERE c.state = 'running' AND c.queue = q.name))"""


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


class Standstill:
    """Checks that a condition has held for a while: a waiting job may be about to continue."""

    def __init__(self) -> None:
        self._since: float | None = None

    def lasts(self, *, is_so: bool) -> bool:
        """Whether it holds, and held at each check of the last three seconds."""
        if not is_so:
            self._since = None
            return False
        if self._since is None:
            self._since = time.monotonic()
        return time.monotonic() - self._since >= CONFIRMED
