"""``doctor`` finds every breach of the invariants that can be mended, and ``doctor --repair`` mends it; a copy is kept."""

import contextlib
import sqlite3
from pathlib import Path

import invariants
import pytest
from conftest import Shell, eventually
from history import FAILED, SUCCEEDED, add, play

from batchq import clock
from batchq.jobs.selection import Selection, of_ids
from batchq.runner.rescuing import Rescuer, here
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.keeping import repair
from batchq.store.keeping.examination import examine


@pytest.fixture
def chain(batchq: Shell) -> Shell:
    """Jobs of all kinds: 1 succeeded, 2 failed, 3 queued, 4 blocked by 3, 5 after any end of 4, 6 scheduled, 7 held."""
    with open_at(str(batchq.db())) as store:
        add(store, "one")
        play(store, SUCCEEDED)
        add(store, "two")
        play(store, FAILED)
        add(store, "three", name="three")
        add(store, "four", name="four", after=["three"])
        add(store, "five", after_any=["four"])
        add(store, "six", run_at="2100-01-01T00:00Z")
        add(store, "seven", hold=True)
    return batchq


def disturb(shell: Shell, *statements: str) -> None:
    """Break the store in a way that its constraints would forbid."""
    with open_at(str(shell.db())) as store:
        store.db.execute("PRAGMA ignore_check_constraints = ON")
        store.check_references(on=False)
        for statement in statements:
            store.db.execute(statement)


def copies(shell: Shell) -> list[Path]:
    return sorted(shell.folder.glob("batchq.db.before-repair-*"))


RUNNING = "UPDATE jobs SET state = 'running', attempt = 1, token = 'x.3'"
BROKEN = {
    "counters": ["UPDATE counters SET jobs = jobs + 3"],
    "no counters": ["DELETE FROM counters"],
    "rows of a job that is gone": ["DELETE FROM jobs WHERE id = 1"],
    "children of a job that is gone": ["DELETE FROM jobs WHERE id = 3"],
    "no runners": ["DELETE FROM runners"],
    "no folder": ["DELETE FROM contexts"],
    "a state that there is not": ["UPDATE jobs SET state = 'flying' WHERE id = 3"],
    "running nowhere": ["UPDATE jobs SET state = 'running', attempt = 1 WHERE id = 3"],
    "running under nobody": [f"{RUNNING}, runner = 77 WHERE id = 3"],
    "running under one that ended": [f"{RUNNING}, runner = 1 WHERE id = 3"],
    "queued with a token": ["UPDATE jobs SET token = 'x', runner = 1 WHERE id = 3"],
    "over without a time": ["UPDATE jobs SET finished_at = NULL WHERE id IN (1, 2)"],
    "queued with an end": ["UPDATE jobs SET finished_at = 5 WHERE id = 3"],
    "queued and due": ["UPDATE jobs SET due_at = 5 WHERE id = 3"],
    "scheduled for never": ["UPDATE jobs SET due_at = NULL WHERE id = 6"],
    "scheduled without a reason": ["UPDATE jobs SET why = NULL WHERE id = 6"],
    "an attempt too many": ["UPDATE jobs SET attempt = 0 WHERE id = 2"],
    "parents counted too often": ["UPDATE jobs SET open_parents = 7 WHERE id IN (4, 5)"],
    "parents below zero": ["UPDATE jobs SET open_parents = -1 WHERE id IN (1, 3)"],
    "blocked by nobody": ["UPDATE jobs SET state = 'blocked', open_parents = 1 WHERE id = 3"],
    "freed too early": ["UPDATE jobs SET state = 'queued', open_parents = 0 WHERE id = 4"],
    "after one that failed": ["INSERT INTO dependencies VALUES (3, 2, 'after')"],
    "a circle": [
        "INSERT INTO dependencies VALUES (3, 5, 'after')",
        "UPDATE jobs SET state = 'blocked', open_parents = 1 WHERE id = 3",
    ],
    "fewer slots than none": ["UPDATE jobs SET slots = -3 WHERE id = 3"],
    "numbers beyond all counting": ["UPDATE jobs SET failures = 1 << 60, attempt = 1 << 62, umask = -1 WHERE id = 3"],
    "no such kind": ["UPDATE jobs SET kind = 'tale', on_crash = 'weep', leftovers = 'eat' WHERE id IN (1, 3)"],
    "a queue with less than nothing": ["INSERT INTO queues (name, paused, running_limit, rate) VALUES ('q', 7, -1, -2.0)"],
    "a runner that flies": ["UPDATE runners SET state = 'flying'"],
    "an end that there is not": ["UPDATE attempts SET outcome = 'flown' WHERE job = 2"],
    "output of no stream": ["INSERT INTO outputs VALUES (1, 1, 'ether', x'', x'', 0, NULL)"],
    "a log of no stream": ["INSERT INTO logs VALUES (1, 1, 'ether', x'', NULL)"],
    "after in no way": ["UPDATE dependencies SET kind = 'beside'"],
    "a name of nothing": ["INSERT INTO seen VALUES ('tale', 'x')"],
    "ids that come again": ["UPDATE settings SET value = 2 WHERE name = 'last_job'"],
    "the last id is lost": ["UPDATE settings SET value = NULL WHERE name = 'last_job'"],
    "the last id has no row": ["DELETE FROM settings WHERE name = 'last_job'"],
    "everything at once": [
        "UPDATE counters SET jobs = jobs + 3",
        "DELETE FROM runners",
        "UPDATE jobs SET state = 'running', token = 'x.7', runner = 9, attempt = 1 WHERE id = 7",
        "UPDATE jobs SET state = 'blocked', open_parents = 2 WHERE id = 3",
        "INSERT INTO dependencies VALUES (6, 2, 'after')",
    ],
}  # fmt: skip


def problems(store: Store) -> list[str]:
    return [finding.text for finding in examine(store, here(store)) if finding.level == "problem"]


@pytest.mark.parametrize("statements", BROKEN.values(), ids=BROKEN)
def test_it_is_found_and_mended_and_then_all_jobs_can_be_run(chain: Shell, statements: list[str]) -> None:
    disturb(chain, *statements)
    with open_at(str(chain.db())) as store:
        assert problems(store)

        mended = repair.mend(store, clock.now())
        taken = [*Rescuer(store).rescue()]

        assert mended or taken
        assert problems(store) == []
        assert not {name: rows for name, rows in invariants._problems(store.db).items() if "I4" not in name}
        assert repair.mend(store, clock.now()) == []
        control.release(store, Selection(states=("held",)))
        control.cancel(store, of_ids([6]))
    chain("run", "-q", code=None)
    assert chain.rows("SELECT id FROM jobs WHERE finished_at IS NULL") == []


def test_the_store_as_it_was_is_kept_and_named_first(chain: Shell) -> None:
    disturb(chain, *BROKEN["everything at once"])
    broken = chain.rows("SELECT * FROM jobs")

    done = chain("doctor", "--repair")

    (kept,) = copies(chain)
    assert done.err.splitlines()[0] == f"batchq: doctor: the store before the repair is kept in {kept}"
    assert "doctor: mended: " in done.err
    assert "problem" not in done.out
    assert kept.stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(f"file:{kept}?immutable=1", uri=True)) as db:
        assert db.execute("SELECT * FROM jobs").fetchall() == broken
    kept.unlink()
    chain("cancel", "--all", code=None)


def test_where_all_is_well_nothing_is_mended_and_a_living_run_is_left_alone(batchq: Shell) -> None:
    batchq("add", "-c", "touch begun; while [ ! -e go ]; do sleep 0.01; done")
    run = batchq.start("run", "-q")
    eventually((batchq.folder / "begun").exists)

    assert "there was nothing to mend" in batchq("doctor", "--repair").err

    (batchq.folder / "go").touch()
    run.communicate()
    assert batchq.rows("SELECT state, attempt FROM jobs") == [("succeeded", 1)]
    for path in copies(batchq):
        path.unlink()
