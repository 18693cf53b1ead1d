"""Keys: what an add does when one is taken, for how long it is taken, and how it outlives its job."""

from pathlib import Path
from typing import Any

import pytest
from history import FAILED, SUCCEEDED, add, claim, play

from batchq.errors import InputError
from batchq.jobs.model import job_spec
from batchq.store import intake, keeping
from batchq.store.connection import Store
from batchq.store.pruning import Policy

DAY = 86_400_000


def fate(store: Store, command: str = "true", **fields: Any) -> tuple[int, str]:
    done = intake.add(store, [job_spec({"command": command, "key": "k"} | fields, "jobs.toml, job 1", "/", "/bin")])
    return done.ids[0], done.fate(0)


def prune(store: Store, *, keys: int | None = None) -> int:
    return keeping.prune(store, Policy(0, keys=keys), 2**50).keys


def test_a_known_key_is_skipped_and_its_job_named(store: Store) -> None:
    assert fate(store) == (1, "added")
    assert fate(store, "other") == (1, "skipped")
    play(store, SUCCEEDED)
    assert fate(store) == (1, "skipped")
    assert [work for (work,) in store.db.execute("SELECT work FROM jobs")] == ['["true"]']


def test_reject_refuses_the_whole_add(store: Store) -> None:
    fate(store)

    with pytest.raises(InputError, match=r"^jobs.toml, job 1: field 'key' is 'k', which belongs to job 1 already$"):
        fate(store, if_exists="reject")
    assert store.db.execute("SELECT count(*) FROM jobs").fetchone() == (1,)


def test_replace_changes_a_job_that_waits_keeps_its_id_and_refuses_one_that_runs(store: Store) -> None:
    fate(store, name="old", queue="a", delay="1h")
    assert fate(store, "new", name="new", queue="b", if_exists="replace") == (1, "replaced")
    assert store.db.execute("SELECT name, work, queue, state, due_at FROM jobs").fetchall() == [
        ("new", '["new"]', "b", "queued", None)
    ]
    assert store.db.execute("SELECT * FROM counters").fetchall() == [("queued", "b", "default", 1)]

    running = claim(store)
    with pytest.raises(InputError, match="whose job 1 runs: it cannot be replaced now"):
        fate(store, if_exists="replace")
    store.db.execute("UPDATE jobs SET runner = runner")
    assert running.id == 1


def test_replace_leaves_a_job_that_is_over(store: Store) -> None:
    fate(store)
    play(store, SUCCEEDED)

    assert fate(store, "new", if_exists="replace") == (1, "skipped")


def test_rerun_failed_puts_a_failed_job_back_and_skips_any_other(store: Store) -> None:
    fate(store)
    assert fate(store, if_exists="rerun-failed") == (1, "skipped")
    play(store, FAILED)

    assert fate(store, if_exists="rerun-failed") == (1, "rerun")
    assert store.db.execute("SELECT state, failures, attempt FROM jobs").fetchall() == [("queued", 0, 1)]
    play(store, SUCCEEDED)
    assert fate(store, if_exists="rerun-failed") == (1, "skipped")


def test_an_active_key_is_free_again_when_its_job_is_over(store: Store) -> None:
    fate(store)
    assert fate(store, unique="active") == (1, "skipped")
    play(store, FAILED)

    assert fate(store, unique="active") == (2, "added")
    assert fate(store) == (2, "skipped"), "the newest job has the key"


def test_a_key_of_a_duration_is_free_again_after_that(store: Store) -> None:
    fate(store)
    assert fate(store, unique="1d") == (1, "skipped")
    store.db.execute("UPDATE keys SET added_at = added_at - ?", (DAY,))

    assert fate(store, unique="2d") == (1, "skipped")
    assert fate(store, unique="1d") == (2, "added")


def test_a_key_outlives_its_pruned_job_and_how_that_ended(store: Store) -> None:
    fate(store)
    play(store, FAILED)
    prune(store)
    assert store.db.execute("SELECT count(*) FROM jobs").fetchone() == (0,)

    assert fate(store) == (1, "skipped")
    assert fate(store, if_exists="replace") == (1, "skipped")
    with pytest.raises(InputError, match="names job 1, which was failed and is pruned since"):
        intake.add(
            store,
            [job_spec({"command": "a", "key": "k", "name": "a"}, "jobs.toml, job 1", "/", "/bin"),
             job_spec({"command": "b", "after": ["a"]}, "jobs.toml, job 2", "/", "/bin")],
        )  # fmt: skip
    assert fate(store, if_exists="rerun-failed") == (2, "added")


def test_a_pruned_parent_that_succeeded_is_over(store: Store) -> None:
    fate(store)
    play(store, SUCCEEDED)
    prune(store)

    done = intake.add(
        store,
        [job_spec({"command": "a", "key": "k", "name": "a"}, "test", "/", "/bin"),
         job_spec({"command": "b", "after": ["a"]}, "test", "/", "/bin")],
    )  # fmt: skip
    assert done.ids == [1, 2]
    assert store.db.execute("SELECT id, state FROM jobs").fetchall() == [(2, "queued")]


def test_keys_are_forgotten_only_on_request_and_when_no_add_has_named_them_for_long(store: Store) -> None:
    fate(store)
    add(store, "waits", key="still here")
    play(store, SUCCEEDED)
    assert prune(store) == 0
    assert prune(store, keys=2**51) == 0

    assert prune(store, keys=DAY) == 1
    assert [key for (key,) in store.db.execute("SELECT key FROM keys")] == ["still here"]
    assert fate(store) == (3, "added")


def test_an_automatic_key_is_what_the_job_does(store: Store, folder: Path) -> None:
    data = folder / "in.csv"
    data.write_text("a\n")

    def added(**fields: Any) -> str:
        base = {"command": ["import", "in.csv"], "key": "auto", "inputs": ["in.csv"]}
        return intake.add(store, [job_spec(base | fields, "test", str(folder), "/bin")]).fate(0)

    assert added() == "added"
    assert added() == "skipped"
    assert added(priority=9, batch="night", timeout="1h") == "skipped", "how it runs is not what it does"
    for other in ({"command": ["import", "in.csv", "-v"]}, {"stdin": "x"}, {"env": {"A": "1"}}, {"cwd": "/"}):
        assert added(**{"inputs": [str(data)]} | other) == "added"
    data.write_text("b\n")
    assert added() == "added"
    data.write_text("a\n")
    assert added() == "skipped"


def test_an_input_that_cannot_be_read_is_refused(store: Store, folder: Path) -> None:
    with pytest.raises(InputError, match=r"^test: field 'inputs' names .*no.csv', which cannot be read: No such file"):
        intake.add(
            store, [job_spec({"command": "a", "key": "auto", "inputs": ["no.csv"]}, "test", str(folder), "/bin")]
        )
