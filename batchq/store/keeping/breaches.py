"""The breaches of the invariants in docs/architecture.md that ``batchq doctor`` finds and can mend.

A breach is a query and the statements that mend it. Doubtful jobs are put on hold, not run, so that a person checks them.
"""

from batchq.jobs.lifecycle import STATES
from batchq.named import NamedTuple
from batchq.store import states
from batchq.store.levels import HOPED, HOPES
from batchq.store.running import unfit


class Breach(NamedTuple):
    """One breach: ``find`` selects the jobs (or other ids), ``text`` says what is wrong with them, ``mend`` are statements.

    ``:now`` is in milliseconds.
    """

    about: str
    text: str
    find: str
    mend: tuple[str, ...]


_FINAL = "('succeeded', 'failed', 'cancelled')"
_WAITING = "('queued', 'scheduled', 'blocked', 'held')"
_ATTEMPTS = "(SELECT coalesce(max(number), 0) FROM attempts WHERE job = jobs.id)"
_OPEN = """(SELECT count(*) FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent WHERE d.child = jobs.id
    AND (p.finished_at IS NULL OR EXISTS (SELECT 1 FROM endings AS e WHERE e.job = p.id AND e.told < d.child)))"""
_DEAD_ABOVE = """FROM dependencies AS d JOIN jobs AS p ON p.id = d.parent WHERE d.child = jobs.id AND d.kind = 'after'
    AND p.state IN ('failed', 'cancelled')
    AND NOT EXISTS (SELECT 1 FROM endings AS e WHERE e.job = p.id AND e.told < d.child)"""


def _update(where: str, assignments: str) -> tuple[str, tuple[str, ...]]:
    return f"SELECT id FROM jobs WHERE {where}", (f"UPDATE jobs SET {assignments} WHERE {where}",)


def _orphans(table: str, column: str) -> Breach:
    where = f"{column} NOT IN (SELECT id FROM jobs)"
    text = f"rows of {table} belong to no job"
    return Breach(
        "references",
        text,
        f"SELECT DISTINCT {column} FROM {table} WHERE {where}",
        (f"DELETE FROM {table} WHERE {where}",),
    )


_OUT_OF_RANGE = {
    name: f"({name} NOT BETWEEN {number.low} AND {number.high})"
    for name, number in unfit.NUMBERS.items() if name != "open_parents"
} | {name: f"({name} NOT IN {words!r})" for name, words in unfit.WORDS.items()}  # fmt: skip
_INSTEAD = {name: number.other for name, number in unfit.NUMBERS.items()}
_INSTEAD |= {name: repr(words[0]) for name, words in unfit.WORDS.items()}
_OUT_OF_RANGE["attempt"], _INSTEAD["attempt"] = f"(attempt > {unfit.MUCH})", _ATTEMPTS
_IMPOSSIBLE = " OR ".join(_OUT_OF_RANGE.values())
_POSSIBLE = ", ".join(f"{name} = iif({is_wrong}, {_INSTEAD[name]}, {name})" for name, is_wrong in _OUT_OF_RANGE.items())


def _rows(table: str, key: str, where: str, text: str, mend: str) -> Breach:
    mend = mend if mend.startswith("DELETE") else f"UPDATE {table} SET {mend}"
    return Breach(table, text, f"SELECT DISTINCT {key} FROM {table} WHERE {where}", (f"{mend} WHERE {where}",))


#: Rows of other tables that break their constraints
OTHERS = (
    _rows(
        "queues",
        "name",
        "paused NOT IN (0, 1) OR running_limit < 0 OR rate <= 0",
        "queues have impossible settings; they are paused, without limit or rate",
        "paused = 1, running_limit = NULL, rate = NULL",
    ),
    _rows(
        "runners",
        "id",
        "state NOT IN ('running', 'stopping', 'ended', 'dead')"
        " OR (state IN ('ended', 'dead')) <> (ended_at IS NOT NULL)",
        "runners are in an impossible state",
        "state = iif(ended_at IS NULL, 'running', 'dead')",
    ),
    _rows(
        "attempts",
        "job",
        "outcome NOT IN ('succeeded', 'failed', 'timed_out', 'crashed', 'interrupted', 'cancelled')",
        "attempts have an unknown outcome; they count as failed",
        "outcome = 'failed'",
    ),
    _rows("attempts", "job", "number < 1", "attempts have a number below 1; they are removed", "DELETE FROM attempts"),
    _rows(
        "outputs",
        "job",
        "stream NOT IN ('stdout', 'stderr')",
        "outputs are of an unknown stream; they are removed",
        "DELETE FROM outputs",
    ),
    _rows(
        "logs",
        "job",
        "stream NOT IN ('both', 'stdout', 'stderr')",
        "logs are of an unknown stream; their records are removed",
        "DELETE FROM logs",
    ),
    _rows(
        "dependencies",
        "child",
        "kind NOT IN ('after', 'after_any', 'after_failed')",
        "jobs depend on others in an unknown way; they now run after their success",
        "kind = 'after'",
    ),
    _rows(
        "seen",
        "name",
        "kind NOT IN ('queue', 'batch')",
        "remembered names are of an unknown kind; they are removed",
        "DELETE FROM seen",
    ),
)
_UNKNOWN = f"state NOT IN ({', '.join(repr(state) for state in STATES)})"
#: In the order in which they are mended: later ones rely on earlier ones.
BREACHES = (
    *(_orphans(table, "job") for table in ("attempts", "outputs", "logs", "processes", "endings")),
    *(_orphans("dependencies", column) for column in ("child", "parent")),
    Breach(
        "references", "runners of attempts are not in the store",
        "SELECT DISTINCT runner FROM attempts WHERE runner NOT IN (SELECT id FROM runners)",
        ("INSERT INTO runners (id, state, pid, host, boot_id, namespace, liveness, slots, executor, started_at, ended_at)"
         " SELECT DISTINCT runner, 'dead', 0, '', '', '', 0, 0, '', :now, :now FROM attempts"
         " WHERE runner NOT IN (SELECT id FROM runners)",),
    ),
    Breach(
        "references", "jobs have a folder that is not in the store; they fail when they start",
        "SELECT id FROM jobs WHERE context NOT IN (SELECT id FROM contexts)",
        ("INSERT INTO contexts (cwd, path) VALUES (x'', x'') ON CONFLICT DO NOTHING",
         "UPDATE jobs SET context = (SELECT id FROM contexts WHERE cwd = x'' AND path = x'')"
         " WHERE context NOT IN (SELECT id FROM contexts)"),
    ),
    Breach(
        "jobs", "jobs are in an unknown state; they are put on hold",
        *_update(_UNKNOWN, "state = 'held', why = 'its state was unreadable', token = NULL, runner = NULL,"
                           " due_at = NULL, finished_at = NULL"),
    ),
    Breach(
        "jobs", "jobs are marked running without a runner or a token; they are put on hold",
        *_update("state = 'running' AND (token IS NULL OR runner IS NULL)",
                 "state = 'held', why = 'it was said to run, and nobody knows where', token = NULL, runner = NULL,"
                 f" due_at = NULL, finished_at = NULL, attempt = {_ATTEMPTS}"),
    ),
    Breach(
        "jobs", "jobs that are not running have a runner or a token",
        *_update("state <> 'running' AND (token IS NOT NULL OR runner IS NOT NULL)", "token = NULL, runner = NULL"),
    ),
    Breach(
        "jobs", "finished jobs have no time at which they finished",
        *_update(f"state IN {_FINAL} AND finished_at IS NULL",
                 "finished_at = coalesce((SELECT max(finished_at) FROM attempts WHERE job = jobs.id), created_at)"),
    ),
    Breach(
        "jobs", "unfinished jobs have a time at which they finished",
        *_update(f"state NOT IN {_FINAL} AND finished_at IS NOT NULL", "finished_at = NULL"),
    ),
    Breach(
        "jobs", "jobs that wait for no time have a time at which they are due",
        *_update(f"(state IN ('queued', 'running') OR state IN {_FINAL}) AND due_at IS NOT NULL", "due_at = NULL"),
    ),
    Breach(
        "jobs", "jobs have impossible numbers or words; the waiting ones are put on hold",
        *_update(_IMPOSSIBLE, f"{_POSSIBLE}, why = iif(state IN {_WAITING}, 'it held what cannot be, and was mended', why),"
                              f" state = iif(state IN {_WAITING}, 'held', state)"),
    ),
    Breach(
        "jobs", "jobs wait for an unknown time, or for an unknown reason",
        *_update("state = 'scheduled' AND (due_at IS NULL OR coalesce(why, '') NOT IN ('delay', 'retry'))",
                 "due_at = coalesce(due_at, created_at), why = 'delay'"),
    ),
    Breach(
        "jobs", "jobs have more attempts than their count",
        *_update(f"attempt < {_ATTEMPTS} + (state = 'running')", f"attempt = {_ATTEMPTS} + (state = 'running')"),
    ),
)  # fmt: skip
#: The order of jobs: found and mended again until nothing is left, because a job that is freed or cancelled has others
#: below it.
ORDER = (
    Breach(
        "order", "jobs wait for the success of a job that has failed; they are cancelled",
        *_update(f"state IN {_WAITING} AND EXISTS (SELECT 1 {_DEAD_ABOVE})",
                 "state = 'cancelled', finished_at = :now, due_at = NULL,"
                 f" (cause, unneeded) = (SELECT min(p.id), p.unneeded {_DEAD_ABOVE}),"
                 " why = 'a job after which it was to run has failed or was cancelled'"),
    ),
    Breach(
        "order", "jobs wait for a failure, but the jobs before them have finished without one; they are cancelled",
        *_update(f"state IN {_WAITING} AND EXISTS (SELECT 1 {HOPED}) AND NOT EXISTS (SELECT 1 {HOPED} AND {HOPES})",
                 "state = 'cancelled', finished_at = :now, due_at = NULL, unneeded = 1,"
                 f" cause = (SELECT min(p.id) {HOPED}), why = 'it was to run only if a job failed, and none did'"),
    ),
    Breach(
        "order", "jobs have a wrong count of open parents",
        *_update(f"finished_at IS NULL AND open_parents <> {_OPEN}", f"open_parents = {_OPEN}"),
    ),
    Breach(
        "order", "finished jobs have a wrong count of open parents",
        *_update("finished_at IS NOT NULL AND open_parents < 0", "open_parents = 0"),
    ),
    Breach(
        "order", "jobs are blocked by no job",
        *_update("state = 'blocked' AND open_parents = 0",
                 "state = iif(due_at > :now, 'scheduled', 'queued'), why = iif(due_at > :now, 'delay', NULL),"
                 " due_at = iif(due_at > :now, due_at, NULL)"),
    ),
    Breach(
        "order", "jobs may run although a job before them has not finished",
        *_update("state IN ('queued', 'scheduled') AND open_parents > 0",
                 "state = 'blocked', due_at = iif(why = 'retry', NULL, due_at), why = nullif(why, 'retry')"),
    ),
)  # fmt: skip
LAST = (
    Breach(
        "counters", "counters differ from the number of jobs",
        states.MISCOUNTED,
        states.RECOUNT,
    ),
    Breach(
        "jobs", "jobs have an id that the next add would use again",
        "SELECT id FROM jobs WHERE id > coalesce("
        "(SELECT value FROM settings WHERE name = 'last_job' AND typeof(value) = 'integer'), 0)",
        ("INSERT OR REPLACE INTO settings (name, value) SELECT 'last_job', max(id) FROM jobs",),
    ),
)  # fmt: skip
