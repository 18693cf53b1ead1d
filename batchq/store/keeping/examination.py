"""``batchq doctor``: check everything that can be wrong with a store; nothing is repaired."""

import _sqlite3 as sqlite3
import os
from collections.abc import Callable, Iterator
from typing import Literal

from batchq import clock
from batchq.errors import LedgerError
from batchq.named import NamedTuple
from batchq.store.answering import answers
from batchq.store.file import holders, location, log, objects, schema, values
from batchq.store.file.checkpoints import STUCK_LOG
from batchq.store.file.connection import STUMBLES, Store, translated
from batchq.store.file.locks import MUTEX_BYTE, PRESENCE_BYTE, WAITS_FIRST
from batchq.store.keeping import filed, notice, repair
from batchq.store.keeping.breaches import BREACHES, LAST, ORDER, OTHERS
from batchq.store.keeping.retention import retention
from batchq.store.running.rescue import ELSEWHERE, Here, Lost, lost_runners
from batchq.store.running.wanted import RunSelection

Level = Literal["ok", "warning", "problem"]

_MANY_FREE = 10 << 20  #: bytes of free pages worth a warning, if they are also half of the file
_LITTLE_ROOM = 32 << 20  #: bytes left on the disk that deserve a warning
_FEW = 5  #: stray logs that are named
_FIXED_SQLITE = (3, 51, 3)
_MENDS = "'batchq doctor --repair' mends that"
_BACK = "go back to a backup with 'batchq restore FILE'"


class Finding(NamedTuple):
    """One line of the examination. ``is_damage`` marks damage that only a backup mends."""

    level: Level
    about: str
    text: str
    is_damage: bool = False


def examine(store: Store, here: Here) -> Iterator[Finding]:
    """Run every check in turn; the whole file is read, and every job is counted. ``here`` shows which runners live."""
    for about, check in _CHECKS.items():
        try:
            yield from check(store) if check is not None else _runners(store, here)
        except (sqlite3.Error, LedgerError) as error:
            text = str(error if isinstance(error, LedgerError) else translated(error, store.path))
            yield Finding("problem", about, text, is_damage=True)
        except STUMBLES as error:
            text = f"it holds {values.wrong(store.path) or error}, which batchq did not write"
            yield Finding("problem", about, f"{log.first_finding(text)}; {_BACK}", is_damage=True)


def _file(store: Store) -> Iterator[Finding]:
    facts = os.stat(store.path)
    mode = facts.st_mode & 0o7777
    for warning in store.warnings:
        if warning == store.refusal:
            continue
        yield Finding("problem" if "hard link" not in warning else "warning", "file", warning)
    if mode & 0o044 and not mode & 0o022:
        text = f"others can read {store.path} (mode {mode:04o}), with all arguments and output; chmod 600 {store.path}"
        yield Finding("warning", "file", text)
    yield Finding("ok", "file", f"{store.path}, {facts.st_size:,} bytes, mode {mode:04o}, uid {facts.st_uid}")


def _file_system(store: Store) -> Iterator[Finding]:
    if kind := location.network_type(store.path):
        is_log = store.fetch("PRAGMA journal_mode")[0][0] == "wal"
        text = f"it is on a network file system ({kind})" + (", where its log loses data" if is_log else "")
        yield Finding("problem" if is_log else "warning", "file system", text + "; move it to a local one")
    else:
        yield Finding("ok", "file system", "local")
    facts = os.statvfs(store.path)
    if (left := facts.f_bavail * facts.f_frsize) < _LITTLE_ROOM:
        yield Finding("warning", "file system", f"{left:,} bytes are left on it; make room")


def _sqlite(store: Store) -> Iterator[Finding]:
    text = f"SQLite {sqlite3.sqlite_version}"
    if tuple(map(int, sqlite3.sqlite_version.split("."))) < _FIXED_SQLITE:
        text += (
            " has a bug by which a checkpoint can lose a commit (3.7.0 to 3.51.2); it cannot happen here, because "
            "batchq makes one checkpoint at a time while nobody writes. Open the store read-only with other programs"
        )
    yield Finding("ok", "sqlite", text)


def _schema(store: Store) -> Iterator[Finding]:
    for name in objects.extras(store.db):  # the rest was checked when the store was opened
        yield Finding(
            "warning", "schema", f"{name} was added by another program; an upgrade of batchq may trip over it"
        )
    if store.refusal is not None:
        yield Finding("problem", "schema", store.refusal, is_damage=True)
    else:
        yield Finding("ok", "schema", f"version {schema.VERSION}, as batchq made it")


def _integrity(store: Store) -> Iterator[Finding]:
    wrong = [text for (text,) in store.fetch("PRAGMA integrity_check(10)") if text != "ok"]
    for text in wrong:
        yield Finding("problem", "integrity", f"{log.first_finding(text)}; {_BACK}", is_damage=True)
    if not wrong:
        yield Finding("ok", "integrity", "every page and every index is sound")


def _foreign_keys(store: Store) -> Iterator[Finding]:
    broken = store.fetch("PRAGMA foreign_key_check")
    for table, row, parent, _ in broken[:10]:
        yield Finding("problem", "references", f"row {row} of {table} refers to a row of {parent} that does not exist")
    if not broken:
        yield Finding("ok", "references", "all rows refer to rows that exist")


def _counters(store: Store) -> Iterator[Finding]:
    rows = store.fetch(
        "WITH real AS (SELECT state, queue, batch, count(*) AS jobs FROM jobs GROUP BY 1, 2, 3)"
        " SELECT state, queue, batch, sum(counted), sum(found) FROM ("
        " SELECT state, queue, batch, jobs AS counted, 0 AS found FROM counters"
        " UNION ALL SELECT state, queue, batch, 0, jobs FROM real)"
        " GROUP BY 1, 2, 3 HAVING sum(counted) <> sum(found)"
    )
    for state, queue, batch, counted, found in rows[:10]:
        text = f"{counted:,} jobs are counted as {state} in queue {queue}, batch {batch}, but there are {found:,}; {_MENDS}"
        yield Finding("problem", "counters", text)
    if not rows:
        ((jobs,),) = store.fetch("SELECT count(*) FROM jobs")
        yield Finding("ok", "counters", f"they agree with all {jobs:,} jobs")


def _running(store: Store) -> Iterator[Finding]:
    lost = store.fetch(
        "SELECT jobs.id FROM jobs LEFT JOIN runners ON runners.id = jobs.runner"
        " WHERE jobs.state = 'running' AND (runners.id IS NULL OR runners.ended_at IS NOT NULL) LIMIT 10"
    )
    for (job,) in lost:
        text = f"job {job} is marked running, but its runner has exited; the next 'batchq run' takes it back"
        yield Finding("problem", "jobs", text)
    for breach in (*OTHERS, *BREACHES, *ORDER, *LAST):
        if breach.about != "counters" and (sentence := repair.found(store.db, breach)) is not None:
            yield Finding("problem", breach.about, f"{sentence}; {_MENDS}")
    if jobs := repair.circle(store.db):
        yield Finding("problem", "order", f"jobs wait for each other: {', '.join(map(str, jobs))}; {_MENDS}")


def _notify(store: Store) -> Iterator[Finding]:
    if (one := notice.failed(store)) is not None:
        text = f"the last notification failed, {clock.local(one.at)}, to {one.target}: {one.reason}"
        yield Finding("warning", "notify", text)


def _held(store: Store) -> Iterator[Finding]:
    ids = answers.on_hold(store, RunSelection())
    if ids:
        jobs = "1 job waits" if len(ids) == 1 else f"{len(ids):,} jobs wait"
        text = f"{jobs} for a person, because batchq gave up on {'it' if len(ids) == 1 else 'them'}"
        yield Finding("warning", "jobs", f"{text}; the first is job {ids[0]}: 'batchq explain {ids[0]}' says why")


def _runners(store: Store, here: Here) -> Iterator[Finding]:
    dead = {one.runner: one for one in lost_runners(store, here=here)}
    rows = store.fetch("SELECT id, host, boot_id, started_at FROM runners WHERE ended_at IS NULL ORDER BY id")
    for runner, host, boot, started in rows:
        if (one := dead.get(runner)) is None:
            continue
        if boot == ELSEWHERE:
            text = (
                f"runner {runner} (process {one.pid} on {host}) was at work in another store when this backup was made"
            )
            then = f"the next 'batchq run' takes back {_its_jobs(one)}"
            yield Finding("warning", "runners", f"{text}; {then}")
            continue
        died = f"runner {runner} (process {one.pid} on {host}, started {clock.local(started)}) died"
        rescued = f"when no process of it is alive, run 'batchq doctor --rescue {runner}'"
        then = {
            None: f"the next 'batchq run' takes back {_its_jobs(one)}",
            "container": f"from this container nobody can see the leftovers of {_its_jobs(one)}; {rescued}",
            "machine": f"or its machine cannot be reached, which nobody can tell from here; {rescued}",
        }[one.hidden_in if one.claims else None]
        yield Finding("problem" if one.claims else "warning", "runners", f"{died}; {then}")
    yield Finding("ok", "runners", f"{len(rows) - len(dead.keys() & {row[0] for row in rows})} at work")


def _its_jobs(one: Lost) -> str:
    return {0: "no job", 1: "its job"}.get(len(one.claims), f"its {len(one.claims):,} jobs")


def _locks(store: Store) -> Iterator[Finding]:
    known = {liveness for (liveness,) in store.fetch("SELECT liveness FROM runners WHERE ended_at IS NULL")}
    held = [byte for byte in holders.held_bytes(store.lock.path) if byte != PRESENCE_BYTE and byte < WAITS_FIRST]
    if MUTEX_BYTE in held:
        who = holders.of_mutex(store.lock.path) or "some process"
        yield Finding("ok", "locks", f"{who} is writing right now")
    if strange := [byte for byte in held if byte not in known and byte != MUTEX_BYTE]:
        yield Finding(
            "warning", "locks", f"{len(strange)} runners hold a lock but are not in the store, or have just left"
        )
    if store.lock.is_moved():
        yield Finding("warning", "locks", f"there is no lock file {store.lock.path}")
    foreign = holders.of_write_lock(store.path)
    if foreign and MUTEX_BYTE not in held:
        yield Finding(
            "warning", "locks", f"{foreign} has locked the store without batchq's lock: it keeps runners waiting"
        )
    if not held and not foreign:
        yield Finding("ok", "locks", "none is held")


def _log(store: Store) -> Iterator[Finding]:
    size = log.log_bytes(store.path)
    if size > STUCK_LOG:
        text = f"the log has {size:,} bytes: a program that reads the store for a long time keeps it from being emptied"
        yield Finding("warning", "log", text)
    else:
        yield Finding("ok", "log", f"{size:,} bytes")


def _space(store: Store) -> Iterator[Finding]:
    ((pages,),), ((free,),), ((page,),) = (
        store.fetch(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")
    )
    keeps = "runners remove old jobs" if retention(store) else "nothing is removed by itself"
    text = f"{free * page:,} of {pages * page:,} bytes are free; {keeps}"
    if free * page > _MANY_FREE and free * 2 > pages:
        yield Finding("warning", "space", f"{text}; 'batchq prune' gives them back")
    else:
        yield Finding("ok", "space", text)


def _logs(store: Store) -> Iterator[Finding]:
    """Check only the folder that is batchq's own, for jobs that leave processes; other folders are the user's."""
    if strays := filed.strays(store):
        count, verb = ("1 file", "belongs") if len(strays) == 1 else (f"{len(strays):,} files", "belong")
        names = ", ".join(strays[:_FEW]) + (" …" if len(strays) > _FEW else "")
        yield Finding("warning", "logs", f"{count} in {filed.folder(store)} {verb} to no job: {names}")


_CHECKS: dict[str, Callable[[Store], Iterator[Finding]] | None] = {
    "file": _file,
    "file system": _file_system,
    "sqlite": _sqlite,
    "schema": _schema,
    "integrity": _integrity,
    "references": _foreign_keys,
    "counters": _counters,
    "jobs": _running,
    "held": _held,
    "runners": None,  # needs ``here``
    "locks": _locks,
    "log": _log,
    "space": _space,
    "notify": _notify,
    "logs": _logs,
}
