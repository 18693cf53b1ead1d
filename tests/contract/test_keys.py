"""Keys: what an add does when one is taken, for how long it is taken, and how it outlives its job."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands import run
from conftest import Shell
from history import FAILED, SUCCEEDED, add, claim, play

from batchq.errors import InputError, MissingError
from batchq.jobs.attempt import Outcome
from batchq.jobs.identity import automatic_key
from batchq.jobs.model import job_spec
from batchq.jobs.selection import of_ids
from batchq.store.adding import intake
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.keeping import pruning
from batchq.store.keeping.pruning import Policy

DAY = 86_400_000
EARLIER = [
    "auto:f63ae09f058e180cffe37e94c9b1f531ad85ddcf",
    "auto:250859a2cd7c3beded14898d7d4fab514f937eac",
    "auto:3b3b247a5a9adb01c0d1b7f8ec0ad6f71981d86c",
]


def fate(store: Store, command: str = "true", **fields: Any) -> tuple[int, str]:
    done = intake.add(store, [job_spec({"command": command, "key": "k"} | fields, "jobs.toml, job 1", "/", "/bin")])
    return done.ids[0], done.fate(0)


def prune(store: Store, *, keys: int | None = None) -> int:
    return pruning.prune(store, Policy(0, keys=keys), 2**50).keys


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


def test_replace_changes_a_job_that_waits_and_keeps_its_id(store: Store) -> None:
    fate(store, name="old", queue="a", delay="1h")
    assert fate(store, "new", name="new", queue="b", if_exists="replace") == (1, "replaced")
    assert store.db.execute("SELECT name, work, queue, state, due_at FROM jobs").fetchall() == [
        ("new", '["new"]', "b", "queued", None)
    ]
    assert store.db.execute("SELECT * FROM counters").fetchall() == [("queued", "b", "default", 1)]


@pytest.mark.parametrize("if_exists", ["replace", "rerun-failed"])
def test_a_job_that_runs_is_never_changed(store: Store, if_exists: str) -> None:
    fate(store)
    claim(store)
    before = store.fetch("SELECT * FROM jobs")

    assert fate(store, "new", if_exists=if_exists) == (1, "running")
    assert store.fetch("SELECT * FROM jobs") == before


SAME: tuple[dict[str, Any], ...] = (
    {},
    {"timeout": "5m", "name": "n", "queue": "q", "max_attempts": 3, "priority": 2, "tags": ["t"]},
    {"env": {"B": "2", "A": "1"}},
)
OTHER: tuple[dict[str, Any], ...] = (
    {"command": "new"},
    {"command": ["true"]},
    {"env": {"A": "1", "B": "3"}},
    {"stdin": "x"},
    {"umask": "027"},
    {"cwd": "/srv"},
    {"inputs": ["/etc/passwd"]},
)


@pytest.mark.parametrize("fields", [*SAME, *OTHER], ids=str)
def test_replace_runs_a_job_again_that_succeeded_only_if_it_is_to_do_something_else(
    store: Store, fields: dict[str, Any]
) -> None:
    fate(store, env={"A": "1", "B": "2"})
    play(store, SUCCEEDED)
    fields = {"env": {"A": "1", "B": "2"}} | fields
    command = fields.pop("command", "true")

    is_same = fields in [{"env": {"A": "1", "B": "2"}} | same for same in SAME] and command == "true"
    assert fate(store, command, if_exists="replace", **fields) == (1, "skipped" if is_same else "replaced")
    assert store.fetch("SELECT state FROM jobs") == [("succeeded" if is_same else "queued",)]
    assert store.fetch("SELECT state, jobs FROM counters WHERE jobs > 0") == store.fetch(
        "SELECT state, count(*) FROM jobs GROUP BY state"
    )


@pytest.mark.parametrize("if_exists", ["replace", "rerun-failed"])
@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_job_that_did_not_succeed_takes_the_corrected_definition_and_runs(
    store: Store, if_exists: str, ending: str
) -> None:
    fate(store, "ehco packed", max_attempts=1, name="old")
    if ending == "failed":
        play(store, FAILED)
    else:
        control.cancel(store, of_ids([1]))
    fresh = "rerun" if if_exists == "rerun-failed" else "replaced"

    assert fate(store, "echo packed", if_exists=if_exists, max_attempts=4, name="new", queue="q") == (1, fresh)
    assert store.fetch("SELECT state, work, max_attempts, name, queue, failures FROM jobs") == [
        ("queued", '["echo packed"]', 4, "new", "q", 0)
    ]
    play(store, SUCCEEDED)
    assert fate(store, "echo packed", if_exists=if_exists) == (1, "skipped")


def test_what_was_cancelled_with_a_failed_job_comes_back_with_its_correction(store: Store) -> None:
    fate(store, "ehco", name="a")
    add(store, "child", after=["a"])
    play(store, FAILED)
    assert store.fetch("SELECT state FROM jobs") == [("failed",), ("cancelled",)]

    assert fate(store, "echo", name="a", if_exists="rerun-failed") == (1, "rerun")
    assert store.fetch("SELECT state FROM jobs") == [("queued",), ("blocked",)]
    play(store, SUCCEEDED, SUCCEEDED)
    assert store.fetch("SELECT state FROM jobs") == [("succeeded",)] * 2


def test_a_corrected_job_runs_after_what_its_new_definition_says(store: Store) -> None:
    add(store, "dead", name="dead")
    add(store, "good", name="good")
    fate(store, after=["dead"])
    play(store, FAILED)
    assert store.fetch("SELECT state FROM jobs") == [("failed",), ("queued",), ("cancelled",)]

    assert fate(store, after=["good"], if_exists="rerun-failed") == (3, "rerun")
    assert store.fetch("SELECT state, open_parents FROM jobs WHERE id = 3") == [("blocked", 1)]
    play(store, SUCCEEDED, SUCCEEDED)
    assert store.fetch("SELECT state FROM jobs WHERE id = 3") == [("succeeded",)]


def test_rerun_failed_leaves_what_waits_or_has_succeeded(store: Store) -> None:
    fate(store)
    assert fate(store, "new", if_exists="rerun-failed") == (1, "skipped")
    play(store, SUCCEEDED)
    assert fate(store, "new", if_exists="rerun-failed") == (1, "skipped")
    assert store.fetch("SELECT work FROM jobs") == [('["true"]',)]


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
    with pytest.raises(InputError, match="names job 1, which was failed and is pruned since"):
        intake.add(
            store,
            [job_spec({"command": "a", "key": "k", "name": "a"}, "jobs.toml, job 1", "/", "/bin"),
             job_spec({"command": "b", "after": ["a"]}, "jobs.toml, job 2", "/", "/bin")],
        )  # fmt: skip
    assert fate(store, if_exists="rerun-failed") == (2, "added")
    play(store, FAILED)
    prune(store)
    assert fate(store, if_exists="replace") == (3, "added")


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


@pytest.mark.parametrize(("outcome", "said", "code"), [(SUCCEEDED, "succeeded", 0), (FAILED, "failed", 1)])
def test_the_id_of_a_pruned_job_is_known_everywhere_by_its_key(
    store: Store, outcome: Outcome, said: str, code: int
) -> None:
    fate(store)
    add(store, "another")
    play(store, outcome, SUCCEEDED)
    prune(store)

    for words in (("show", "1"), ("logs", "1"), ("retry", "1"), ("cancel", "1"), ("list", "1")):
        done = run(store, *words)
        assert done.code == MissingError.exit_code
        assert f"job 1 (key 'k') was pruned; all that is known of it: it {said}" in done.err
    assert "there is no job 2" in run(store, "show", "2").err  # it had no key
    waited = run(store, "wait", "1", "--json")
    assert (waited.code, waited.json["jobs"]) == (code, {said: 1})
    assert "job 1 (key 'k') was pruned" in waited.err
    assert run(store, "wait", "last").code == 0


def test_several_ids_of_pruned_jobs_are_known_together(store: Store) -> None:
    add(store, "a", key="a")
    add(store, "b", key="b")
    play(store, SUCCEEDED, FAILED)
    prune(store)
    add(store, "c")
    play(store, SUCCEEDED)

    waited = run(store, "wait", "1", "2", "--json")
    assert (waited.code, waited.json["jobs"]) == (1, {"succeeded": 1, "failed": 1})
    assert "wait: jobs 1, 2 were pruned; their final states: 1 succeeded, 1 failed" in waited.err
    waited = run(store, "wait", "1-3", "--json")
    assert (waited.code, waited.json["jobs"]) == (1, {"succeeded": 2, "failed": 1})
    told = "jobs 1-2 were pruned; all that is known of them: 1 succeeded, 1 failed"
    assert told in run(store, "report", "1", "2").err


def test_after_takes_the_id_of_a_pruned_key_in_another_add(store: Store) -> None:
    fate(store)
    play(store, SUCCEEDED)
    prune(store)
    add(store, "behind it", after=["1"])
    add(store, "behind it, too", after=["id:1"])

    assert store.fetch("SELECT state FROM jobs") == [("queued",)] * 2
    with pytest.raises(InputError, match="names job 7, which does not exist"):
        add(store, "x", after=["id:7"])


def test_after_refuses_the_id_of_a_pruned_key_that_failed(store: Store) -> None:
    fate(store)
    play(store, FAILED)
    prune(store)

    with pytest.raises(InputError, match="names job 1, which was failed and is pruned since"):
        add(store, "x", after=["1"])
    add(store, "x", after_any=["1"])
    assert store.fetch("SELECT state FROM jobs") == [("queued",)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"call": "a:b", "args": {"x": 1, "y": {"p": 1, "q": [2]}}},
            {"call": "a:b", "args": {"y": {"q": [2], "p": 1}, "x": 1}},
        ),
        ({"payload": {"x": 1, "y": 2}}, {"payload": {"y": 2, "x": 1}}),
        ({"command": "true", "env": {"A": "1", "B": "2"}}, {"command": "true", "env": {"B": "2", "A": "1"}}),
    ],
    ids=["call", "payload", "env"],
)
def test_an_automatic_key_heeds_no_order_that_means_nothing(first: dict[str, Any], second: dict[str, Any]) -> None:
    keys = [automatic_key(job_spec(fields | {"key": "auto"}, "test", "/", "/bin")) for fields in (first, second)]

    assert keys[0] == keys[1]


def test_an_automatic_key_of_an_earlier_batchq_is_still_the_same() -> None:
    made = [
        automatic_key(job_spec(fields | {"key": "auto"}, "test", "/srv", "/bin"))
        for fields in ({"command": "true"}, {"call": "a:b", "args": {"x": 1, "y": "é"}}, {"payload": [1, {"a": None}]})
    ]

    assert made == EARLIER


def test_a_rehearsal_shows_what_is_stored_where_that_stays(batchq: Shell) -> None:
    batchq("add", "-q", "--key", "k", "--name", "old", "--", "ehco", "old")
    rehearsed = batchq("add", "--dry-run", "--key", "k", "--name", "new", "--", "echo", "new")
    assert "ehco old" in rehearsed.out
    assert "echo new" not in rehearsed.out
    job = json.loads(batchq("add", "--dry-run", "--json", "--key", "k", "--", "echo", "new").out)["jobs"][0]
    assert (job["fate"], job["command"], job["name"]) == ("skipped", "ehco old", "old")
    batchq("run", code=1)

    for _ in range(2):
        rehearsed = batchq("add", "--dry-run", "--key", "k", "--if-exists", "rerun-failed", "--", "echo", "new")
        assert ("rerun" in rehearsed.out, "echo new" in rehearsed.out) == (True, True)
    batchq("add", "-q", "--key", "k", "--if-exists", "rerun-failed", "--", "echo", "new")
    assert batchq("run") and batchq("logs", "1").out == "new\n"
