"""Stores in which somebody else had a hand: nothing that they put there is executed."""

import os
import random
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import Shell
from history import a_night, add

from batchq.errors import BatchqError, StoreError
from batchq.jobs.selection import Selection
from batchq.runner.rescuing import here
from batchq.store.adding import intake
from batchq.store.file import objects, schema
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.keeping.examination import examine
from batchq.store.looking import queries, tallies
from batchq.store.running import exchange, runners
from batchq.store.running.wanted import RunSelection

JOB = (
    "INSERT OR IGNORE INTO jobs (id, add_id, state, batch, queue, kind, work, context, priority, max_attempts, backoff,"
    " max_crashes, on_crash, created_at) VALUES (99, 99, 'queued', 'default', 'default', 'shell', '[\"touch pwned\"]', 1,"
    " 9, 1, 0, 1, 'retry', 0)"
)
COUNT = "UPDATE counters SET jobs = jobs + 1 WHERE state = 'queued'"
HOSTILE = {
    "trigger": [f"CREATE TRIGGER t AFTER UPDATE ON settings BEGIN {JOB}; {COUNT}; END"],
    "trigger that calls itself an index": [
        f"CREATE TRIGGER jobs_again AFTER UPDATE ON settings BEGIN {JOB}; {COUNT}; END",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET type = 'index' WHERE name = 'jobs_again'",
    ],
    "trigger in odd letters": [
        f"CREATE TRIGGER t AFTER UPDATE ON settings BEGIN {JOB}; {COUNT}; END",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'CREATE TRIGGER', 'cREATE /* TABLE */ TriGGer') WHERE name = 't'",
    ],
    "trigger on a table of theirs that a job's end reaches": [
        "CREATE TABLE notes (job INTEGER REFERENCES jobs (id) ON DELETE CASCADE)",
        f"CREATE TRIGGER t AFTER DELETE ON notes BEGIN {JOB}; {COUNT}; END",
    ],
    "trigger on the table of the upgrades": [
        f"CREATE TRIGGER t AFTER INSERT ON _sqlite_migrations BEGIN {JOB}; {COUNT}; END"
    ],
    "view in place of a table": [
        "ALTER TABLE queues RENAME TO queues_then",
        "CREATE VIEW queues AS SELECT * FROM queues_then",
        f"CREATE TRIGGER t INSTEAD OF UPDATE ON queues BEGIN {JOB}; END",
    ],
    "unique index on a table of ours": ["CREATE UNIQUE INDEX once ON jobs (queue)"],
    "changed view": ["DROP VIEW job_report", "CREATE VIEW job_report AS SELECT 1 AS id, 'all is well' AS state"],
    "changed table": ["ALTER TABLE jobs ADD COLUMN extra TEXT DEFAULT 'rm -rf ~'"],
    "dropped index": ["DROP INDEX jobs_next"],
    "check taken away": [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (jobs >= 0)', '') WHERE name = 'counters'",
    ],
}

#: In these everything can still be looked at and copied.
READABLE = {
    "trigger",
    "trigger on a table of theirs that a job's end reaches",
    "trigger on the table of the upgrades",
    "unique index on a table of ours",
    "changed view",
    "dropped index",
}


def tamper(path: Path, statements: list[str]) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


def heal(path: Path, whole: bytes) -> None:
    """Put the store back, so that the invariants hold after the test."""
    path.write_bytes(whole)


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_is_not_ours_is_executed(batchq: Shell, name: str) -> None:
    batchq("add", "-c", "echo ours > ours", "--queue", "other")
    whole = batchq.db().read_bytes()
    tamper(batchq.db(), HOSTILE[name])
    hostile = batchq.db().read_bytes()

    for words in (("add", "--", "true"), ("run",), ("retry", "1"), ("cancel", "1"), ("prune", "--older-than", "1d")):
        refusal = batchq(*words, code=None)
        assert refusal.code in (74, 78), refusal  # 74: SQLite itself finds that it is no schema
        assert str(batchq.db()) in refusal.err
        assert "go back to a backup" in refusal.err
    for words in (("list",), ("report",), ("show", "1"), ("queue",), ("backup", "-q", "copy"), ("explain", "1")):
        look = batchq(*words, code=None)
        assert look.code in (0, 74, 78), look
        assert "go back to a backup" in look.err
        if name in READABLE:
            assert look.code == 0, look
    doctor = batchq("doctor", code=None)
    assert doctor.code in (74, 78)
    assert "go back to a backup" in doctor.out + doctor.err
    if name in READABLE:
        assert (batchq.folder / "copy").stat().st_size == len(hostile)
        assert "ours" in batchq("list").out

    assert batchq.db().read_bytes() == hostile
    assert not (batchq.folder / "pwned").exists()
    heal(batchq.db(), whole)


def test_the_hostile_stores_would_do_harm_if_they_were_opened(batchq: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    batchq("add", "-c", "echo ours > ours", "--queue", "other")
    whole = batchq.db().read_bytes()
    tamper(batchq.db(), HOSTILE["trigger"])
    monkeypatch.setattr(objects, "strange", lambda *_, **__: None)

    with open_at(str(batchq.db())) as store:
        add(store, "true")
        assert store.fetch("SELECT work FROM jobs WHERE id = 99") == [('["touch pwned"]',)]
    heal(batchq.db(), whole)


def test_tables_and_indexes_of_the_user_and_statistics_are_no_harm(batchq: Shell) -> None:
    batchq("add", "--", "true")
    tamper(
        batchq.db(),
        [
            "CREATE TABLE notes (text)",
            "CREATE UNIQUE INDEX by_text ON notes (text)",
            "CREATE VIEW jobs_to_do AS SELECT * FROM jobs",
            "CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END",
            "ANALYZE",
        ],
    )

    batchq("run")
    told = batchq("doctor")

    assert "warning  schema       notes was added" in told.out
    assert "warning  schema       by_text was added" in told.out
    assert "sqlite_stat" not in told.out
    tamper(
        batchq.db(),
        ["DROP TABLE notes", "DROP VIEW jobs_to_do", "DROP TABLE sqlite_stat1", "DROP TABLE IF EXISTS sqlite_stat4"],
    )


def test_a_fresh_store_is_as_the_schema_says(store: Store) -> None:
    found = {sql for (sql,) in store.fetch("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}

    assert found >= schema.OBJECTS
    assert all("_sqlite_migrations" in sql for sql in found - schema.OBJECTS)
    assert objects.extras(store.db) == []


# --- who can write it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_store_that_others_can_write_is_not_run_and_looking_warns(batchq: Shell, mode: int) -> None:
    batchq("add", "-c", "touch ran")
    batchq.db().chmod(mode)

    for words in (("run",), ("add", "--", "true"), ("retry", "1"), ("prune", "--older-than", "1d")):
        assert f"others can write {batchq.db()} (mode {mode:04o})" in batchq(*words, code=78).err
    assert not (batchq.folder / "ran").exists()
    assert "chmod go-w" in batchq("list").err
    assert "problem  file" in batchq("doctor", code=1).out

    batchq.db().chmod(0o600)
    batchq("run")


def test_a_store_that_others_can_read_is_only_a_warning_of_doctor(batchq: Shell) -> None:
    batchq.db().chmod(0o644)

    assert batchq("add", "--", "true").err == ""
    assert "warning  file         others can read" in batchq("doctor").out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_store_of_another_user_is_not_written_and_looking_warns() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "batchq.db"
        with open_at(str(path), create=True) as store:
            add(store, "true")
        path.chmod(0o644)
        os.chown(path, 12345, 12345)

        child = os.fork()
        if child == 0:
            os.setresuid(54321, 54321, 54321)
            try:
                open_at(str(path))
                os._exit(1)
            except StoreError as error:
                with open_at(str(path), reading=True) as looking:
                    told = str(error).startswith(looking.warnings[0]) and "uid 12345" in str(error)
                    jobs = looking.fetch("SELECT count(*) FROM jobs")
                os._exit(0 if told and jobs == [(1,)] else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- damage ------------------------------------------------------------------------------------------------------------


def use(path: Path) -> None:
    """Open the store and use it in every way; raises BatchqError where it is refused."""
    with open_at(str(path)) as store:
        list(examine(store, here(store)))
        tallies.counts(store, Selection())
        queries.jobs(store, Selection(), -1)
        intake.add(store, [])
        add(store, "true")
        me = runners.register(store, RunSelection(), 1, pid=1, host="h", boot_id="b", slots=1, executor="local", now=0)
        exchange.exchange(store, me, [], 5, 0)


@pytest.mark.parametrize("seed", range(5))
def test_flipped_bits_end_in_a_sentence_or_do_no_harm(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / "batchq.db"
    with open_at(str(path), create=True) as store:
        a_night(store)
    use(path)
    whole = path.read_bytes()
    used = [page for page in range(0, len(whole), 4096) if any(whole[page + 100 : page + 4096])]
    refused = 0
    for _ in range(60):
        flipped = bytearray(whole)
        for _ in range(chance.choice([1, 1, 8])):
            flipped[chance.choice(used) + int(4096 * chance.random() ** 3)] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        try:
            use(path)
        except BatchqError as error:
            refused += 1
            assert error.exit_code in (73, 74, 78)
            assert str(path) in str(error)
    assert refused > 5
    path.write_bytes(whole)
