"""A selection as SQL: one condition over ``jobs`` with named parameters."""

import _sqlite3 as sqlite3
import json
from collections.abc import Iterator

from batchq.errors import MissingError
from batchq.jobs.lifecycle import STATES
from batchq.jobs.selection import LAST_RUN, NO_JOB, Range, Selection, merged
from batchq.store.file.connection import Store, translated

_NEWEST = "FROM adds ORDER BY id DESC LIMIT 1"
_OF_CAUSES = """
jobs.id IN (SELECT ended.job FROM attempts AS ended JOIN jobs AS its ON its.id = ended.job AND its.attempt = ended.number
    WHERE ended.cause IS NOT NULL AND substr(ended.cause, 1, 8) IN (SELECT value FROM json_each(:causes)))"""

# A damaged store may have tags and work that are not JSON.
_TAGGED = """
NOT EXISTS (SELECT 1 FROM json_each(:tags) AS wanted WHERE wanted.value NOT IN
    (SELECT value FROM json_each(iif(json_valid(jobs.tags), jobs.tags, '[]'))))"""
_COMMAND = """
CASE WHEN NOT json_valid(jobs.work) THEN jobs.work
    WHEN jobs.kind IN ('argv', 'shell') THEN (SELECT group_concat(value, ' ') FROM json_each(jobs.work))
    WHEN jobs.kind = 'call' THEN json_extract(jobs.work, '$.call') || ' ' || json_extract(jobs.work, '$.args')
    ELSE jobs.work END"""
_NEWEST_RUN = "(SELECT max(id) FROM runners)"
_OF_RUN = f"""
SELECT made.job FROM attempts AS made JOIN jobs AS its ON its.id = made.job AND its.attempt = made.number
WHERE made.runner = iif(:run = {LAST_RUN}, {_NEWEST_RUN}, :run)
UNION ALL SELECT its.id FROM jobs AS its
WHERE its.state = 'running' AND its.runner = iif(:run = {LAST_RUN}, {_NEWEST_RUN}, :run)"""
_IN_ORDER = f"{_OF_RUN} ORDER BY 1"
_ALIKE = "SELECT id FROM jobs WHERE name GLOB :glob ORDER BY id"


def resolved(store: Store, selection: Selection) -> Selection:
    """The same selection with its words looked up once: until the command ends they mean these jobs, even if others follow.

    An add that stored nothing new stands for the jobs that it changed or requeued, or for no job. The jobs of a run are
    looked up, too. Raises MissingError for a run that does not exist, and for a glob that no name is like.
    """
    selection = _with_run(store, selection)
    if not selection.is_open:
        return selection
    jobs = [*_of_last(store)] if selection.last else []
    for glob in selection.globs:
        if not (alike := [*_spans(store, _ALIKE, {"glob": glob})]):
            raise MissingError(f"no job has a name like {glob!r} in {store.path}")
        jobs += alike
    return selection._replace(meant=tuple(merged(jobs)) or NO_JOB)


def _of_last(store: Store) -> Iterator[Range]:
    for first, new, again in store.fetch(f"SELECT first, jobs, again {_NEWEST}"):
        if new:
            yield first, first + new - 1
        for job in json.loads(again or "[]"):
            yield job, job


def _with_run(store: Store, selection: Selection) -> Selection:
    if selection.run is None or selection.ran is not None:
        return selection
    run = selection.run
    if run == LAST_RUN:
        ((run,),) = store.fetch(f"SELECT coalesce({_NEWEST_RUN}, {LAST_RUN})")
    elif not store.fetch("SELECT 1 FROM runners WHERE id = ?", (run,)):
        raise MissingError(f"there is no run {run} in {store.path}")
    return selection._replace(run=run, ran=tuple(_spans(store, _IN_ORDER, {"run": run})) or NO_JOB)


def _spans(store: Store, in_order: str, named: dict[str, object]) -> Iterator[Range]:
    """The ids of a query as ranges, made row by row: there may be a million."""
    low, high = 0, -1
    try:
        for (id,) in store.db.execute(in_order, named):
            if id != high + 1 and high >= low:
                yield low, high
            low, high = (low if id == high + 1 else id), id
    except sqlite3.Error as error:
        raise translated(error, store.path) from error
    if high >= low:
        yield low, high


def condition(selection: Selection) -> tuple[str, dict[str, object]]:
    """The SQL condition for the selected jobs, and its parameters; ``("1", {})`` for every job.

    Columns are written ``jobs.column``: the statement must have the table under its own name.
    """
    parts: list[str] = []
    named: dict[str, object] = {}
    if selection.ids or selection.last or selection.globs:
        parts.append(f"({' OR '.join(_chosen(selection, named))})")
    if selection.batch is not None:
        # The index on batch leaves out the default batch, and SQLite uses it only if the statement does so, too.
        parts.append("jobs.batch = :batch" + (" AND jobs.batch <> 'default'" if selection.batch != "default" else ""))
        named["batch"] = selection.batch
    if selection.queue is not None:
        parts.append("jobs.queue = :queue")
        named["queue"] = selection.queue
    if selection.states:
        parts.append(_in_state(selection.states))
    if selection.name is not None:
        parts.append("jobs.name GLOB :name")
        named["name"] = selection.name
    if selection.since is not None:
        parts.append(
            "(jobs.state = 'running'"
            " OR max(jobs.created_at, coalesce(jobs.started_at, 0), coalesce(jobs.finished_at, 0)) >= :since)"
        )
        named["since"] = selection.since
    if selection.causes:
        parts.append(_OF_CAUSES)
        named["causes"] = json.dumps(selection.causes)
    if selection.ran is not None:
        parts.append(_in_ranges(selection.ran, named, "run_"))
    elif selection.run is not None:
        parts.append(f"jobs.id IN ({_OF_RUN})")
        named["run"] = selection.run
    if selection.tags:
        parts.append(_TAGGED)
        named["tags"] = json.dumps(selection.tags)
    if selection.grep is not None:
        parts.append(f"(instr(coalesce(jobs.name, ''), :grep) OR instr({_COMMAND}, :grep))")
        named["grep"] = selection.grep
    return " AND ".join(parts) or "1", named


def _chosen(selection: Selection, named: dict[str, object]) -> list[str]:
    ids = selection.ranges
    choices: list[str] = []
    if ids:
        choices.append(_in_ranges(ids, named))
    if selection.last and selection.is_open:
        choices.append(f"jobs.id BETWEEN (SELECT first {_NEWEST}) AND (SELECT first + jobs - 1 {_NEWEST})")
        choices.append(f"jobs.id IN (SELECT value FROM json_each((SELECT again {_NEWEST})))")
    for number, glob in enumerate(selection.globs if selection.is_open else ()):
        choices.append(f"jobs.name GLOB :glob{number}")
        named[f"glob{number}"] = glob
    return choices


def _in_ranges(ids: tuple[Range, ...], named: dict[str, object], prefix: str = "") -> str:
    if len(ids) == 1:
        ((named[f"{prefix}low"], named[f"{prefix}high"]),) = ids
        return f"jobs.id BETWEEN :{prefix}low AND :{prefix}high"
    # One JSON array, because SQLite limits the depth of an OR and the number of parameters.
    named[f"{prefix}ranges"] = json.dumps(ids)
    return (
        f"jobs.id IN (SELECT chosen.id FROM json_each(:{prefix}ranges) AS span JOIN jobs AS chosen"
        " ON chosen.id BETWEEN json_extract(span.value, '$[0]') AND json_extract(span.value, '$[1]'))"
    )


def _in_state(states: tuple[str, ...]) -> str:
    # Literals, not parameters: SQLite uses a partial index only for a state that it can read in the statement.
    words = [f"'{state}'" for state in STATES if state in states]
    return f"jobs.state = {words[0]}" if len(words) == 1 else f"jobs.state IN ({', '.join(words)})"
