"""``retry``, ``hold`` and ``release`` as commands on a real store."""

from commands import run
from history import FAILED, SUCCEEDED, add, play

from batchq.store.file.connection import Store


def test_retry_says_on_stderr_what_it_did_and_nothing_on_stdout(store: Store) -> None:
    add(store, "a", "b", "c", batch="night")
    play(store, FAILED, FAILED, SUCCEEDED)

    done = run(store, "retry", "--failed")
    assert (done.code, done.out, done.err) == (0, "", "batchq: retry: 2 jobs queued again\n")

    again = run(store, "retry", "1-2")
    assert (again.code, again.err) == (0, "batchq: retry: nothing to do; 2 left alone (queued)\n")
    assert "1 succeeded: name them by id or with --state succeeded" in run(store, "retry", "--batch", "night").err


def test_retry_in_json_lists_the_ids(store: Store) -> None:
    add(store, "a", "b")
    play(store, FAILED)

    assert run(store, "retry", "--all", "--json").json == {
        "schema": 1,
        "kind": "retry",
        "changed": 1,
        "followed": 0,
        "left_alone": {"queued": 1},
        "jobs": [1],
    }


def test_hold_and_release_by_name(store: Store) -> None:
    add(store, "a", "b", name="load-x")
    add(store, "c")

    assert run(store, "hold", "--name", "load-*").err == "batchq: hold: 2 jobs held\n"
    assert run(store, "release", "1").err == "batchq: release: 1 job released\n"
    assert run(store, "list", "--state", "held", "--json").json["total"] == 1
