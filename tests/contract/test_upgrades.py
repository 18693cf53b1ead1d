"""Stores of every schema that was ever released open, keep what they hold, and become what a fresh store is."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import invariants
import pytest
from conftest import Shell
from others import ENVIRONMENT, another, end

from batchq.jobs.lifecycle import STATES
from batchq.store.file import schema
from batchq.store.file.opening import open_at

GOLDEN = sorted((Path(__file__).parent.parent / "stores").glob("schema-*.db"))
TABLES = (
    "jobs",
    "attempts",
    "outputs",
    "contexts",
    "runners",
    "keys",
    "dependencies",
    "queues",
    "counters",
    "settings",
    "adds",
    "processes",
    "logs",
)

# A program of tomorrow: one more migration, in two steps.
TOMORROW = """
import sys
from batchq.store.file import migrations, opening, schema
NEW = ("CREATE TABLE more (id INTEGER PRIMARY KEY, text TEXT) STRICT", "CREATE INDEX more_text ON more (text)")

@migrations.migrations()
def v_tomorrow(db):
    for statement in NEW:
        db.execute(statement)
    db.execute("INSERT INTO more (text) SELECT work FROM jobs")

schema.VERSION += 1
schema.OBJECTS |= set(NEW)
"""


def put_back(path: Path, before: bytes) -> None:
    """Make a store again what it was; of processes that close it at once the last may leave its log."""
    for log in (f"{path}-wal", f"{path}-shm"):
        Path(log).unlink(missing_ok=True)
    path.write_bytes(before)


def looked_at(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)


def columns(path: Path) -> dict[str, str]:
    """The columns of each of our tables that a store has."""
    with closing(looked_at(path)) as db:
        names = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in TABLES}
    return {table: ", ".join(found) for table, found in names.items() if found}


def dump(path: Path, wanted: dict[str, str]) -> dict[str, list[tuple[object, ...]]]:
    with closing(looked_at(path)) as db:
        return {
            table: [row for row in db.execute(f"SELECT {names} FROM {table} ORDER BY 1, 2") if row[0] != "log_mark"]
            for table, names in wanted.items()
        }


def a_copy(golden: Path, folder: Path) -> Path:
    copy = Path(shutil.copy(golden, folder / "batchq.db"))
    copy.chmod(0o600)
    return copy


def test_there_is_a_golden_store_of_every_version() -> None:
    assert [path.stem for path in GOLDEN] == [f"schema-{number}" for number in range(1, schema.VERSION + 1)]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_a_store_of_that_time_keeps_all_it_holds(golden: Path, folder: Path) -> None:
    copy = a_copy(golden, folder)
    known = columns(copy)
    held = dump(copy, known)
    assert {state for (_, _, state, *_) in held["jobs"]} == set(STATES)
    assert all(held.values()), "every table has rows"

    with open_at(str(copy)) as store:
        fresh = open_at(str(folder / "fresh.db"), create=True)
        assert sorted(invariants.schema_of(store.db)) == sorted(invariants.schema_of(fresh.db))
        fresh.close()
        assert store.fetch("PRAGMA user_version") == [(schema.VERSION,)]

    assert dump(copy, known) == held


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_the_commands_work_on_a_store_of_that_time(golden: Path, folder: Path) -> None:
    a_copy(golden, folder)
    shell = Shell(folder)

    assert '"total": 10' in shell("list", "--all", "--json").out
    assert "1 failed" in shell("report").out
    assert "KeyError" in shell("show", "2").out
    assert shell("logs", "1").out == "42 rows\n"
    assert "takes back its job" in shell("doctor", code=1).out, "the run of that time is dead"
    assert shell("add", "--", "true").out == "11\n"
    assert shell("add", "--key", "extract-1", "--", "true").out == "1\n"


def run(code: str, path: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, str(path)], env=ENVIRONMENT | env, capture_output=True, text=True, check=False
    )


def test_an_upgrade_happens_in_one_transaction_and_an_old_program_then_refuses(folder: Path) -> None:
    path = a_copy(GOLDEN[-1], folder)
    before = path.read_bytes()

    killed = run(f"{TOMORROW}opening.open_at(sys.argv[1])", path, BATCHQ_FAIL="migration_before_commit:kill")
    assert killed.returncode == -9
    with open_at(str(path)) as store:
        assert store.fetch("PRAGMA user_version") == [(schema.VERSION,)]
        assert store.fetch("SELECT count(*) FROM sqlite_schema WHERE name = 'more'") == [(0,)]

    done = run(f"{TOMORROW}opening.open_at(sys.argv[1]).close()", path)
    assert (done.returncode, done.stderr) == (0, "")
    upgraded = path.read_bytes()
    assert upgraded != before

    refusal = Shell(folder)("list", code=78)
    assert f"made by a newer batchq (schema {schema.VERSION + 1}, this one knows {schema.VERSION})" in refusal.err
    assert path.read_bytes() == upgraded
    put_back(path, before)


def test_two_upgrades_at_once_are_one(folder: Path) -> None:
    path = a_copy(GOLDEN[-1], folder)
    before = path.read_bytes()
    fork = """
import os
read, write = os.pipe()
children = []
for _ in range(6):
    if (pid := os.fork()) == 0:
        os.close(write)
        os.read(read, 1)
        store = opening.open_at(sys.argv[1])
        assert store.fetch("SELECT count(*) FROM more") == [(10,)]
        store.close()
        os._exit(0)
    children.append(pid)
os.close(write)
sys.exit(any(os.waitpid(pid, 0)[1] for pid in children))
"""
    done = run(TOMORROW + fork, path)

    assert (done.returncode, done.stderr) == (0, "")
    put_back(path, before)


def test_an_upgrade_waits_until_an_older_program_has_ended_its_run(folder: Path) -> None:
    path = a_copy(GOLDEN[-1], folder)
    before = path.read_bytes()
    older = """
        from batchq.store.running import runners
        from batchq.store.file.opening import open_at
        from batchq.store.file.locks import LockFile
        store = open_at(path)
        life = LockFile(path).hold_liveness()
        runner = runners.register(
            store, runners.RunSelection(), life, pid=4711, host="h", boot_id="b", slots=1, executor="local", now=0)
        wait()
        runners.leave(store, runner, 1)
    """
    upgrade = (
        f"{TOMORROW}from batchq.errors import BusyError\n"
        "try: opening.open_at(sys.argv[1]).close()\n"
        "except BusyError as error: sys.exit(str(error))\n"
    )
    with another(older, path) as other:
        refused = run(upgrade, path)
        assert (refused.returncode, "an older batchq (process 4711) is running its jobs" in refused.stderr) == (1, True)
        end(other)
    assert run(upgrade, path).returncode == 0
    put_back(path, before)


def test_a_trigger_in_an_old_store_does_not_fire_during_the_upgrade(folder: Path) -> None:
    path = a_copy(GOLDEN[-1], folder)
    before = path.read_bytes()
    db = sqlite3.connect(path)
    db.execute("CREATE TRIGGER t AFTER INSERT ON _sqlite_migrations BEGIN UPDATE settings SET value = 'pwned'; END")
    db.close()

    refused = run(f"{TOMORROW}opening.open_at(sys.argv[1])", path)

    assert "StoreError" in refused.stderr
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM settings WHERE value = 'pwned'").fetchall() == [(0,)]
    db.close()
    put_back(path, before)
