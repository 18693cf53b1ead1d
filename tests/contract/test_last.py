"""``last`` means the newest add, whatever became of its jobs; from the beginning of a command to its end the same."""

from pathlib import Path

import pytest
from commands import run
from conftest import Shell, eventually, finish
from history import FAILED, SUCCEEDED, add, play

from batchq.jobs.model import job_spec
from batchq.jobs.selection import NO_JOB, Selection, of_ids
from batchq.store.adding import intake
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.keeping import pruning
from batchq.store.keeping.pruning import Policy
from batchq.store.looking import tallies
from batchq.store.selecting import resolved

LAST = Selection(last=True)


def readd(store: Store, if_exists: str, command: str = "true") -> list[int]:
    fields = {"command": command, "key": "k", "if_exists": if_exists}
    return intake.add(store, [job_spec(fields, "test", "/srv/shop", "/usr/bin")]).ids


def test_last_is_all_jobs_of_the_newest_add(store: Store) -> None:
    add(store, "before")
    add(store, "a", "b", "c")

    assert resolved(store, LAST).meant == ((2, 4),)
    assert tallies.counts(store, LAST) == tallies.counts(store, resolved(store, LAST)) == {"queued": 3}


def test_before_the_first_add_last_selects_nothing(store: Store) -> None:
    assert resolved(store, LAST).meant == NO_JOB
    assert tallies.counts(store, LAST) == {}


@pytest.mark.parametrize("verb", ["retry", "cancel", "hold", "release", "wait", "logs", "list", "report"])
def test_an_add_of_nothing_is_the_newest_add(store: Store, verb: str) -> None:
    add(store, "yesterday")
    play(store, FAILED)
    add(store, "still to be done")
    intake.add(store, [])
    before = store.fetch("SELECT id, state FROM jobs")
    done = run(store, verb, "last")

    assert done.code == 0
    assert f"{verb}: nothing was added by the newest add" in done.err
    assert "yesterday" not in done.out
    assert store.fetch("SELECT id, state FROM jobs") == before


@pytest.mark.parametrize("option", ["--after", "--after-any"])
def test_a_job_after_an_add_of_nothing_waits_for_nothing_and_that_is_said(batchq: Shell, option: str) -> None:
    batchq("add", "-q", "--hold", "--", "true")
    batchq("add", "-", stdin="")
    rehearsed = batchq("add", option, "last", "--dry-run", "--", "true").err
    said = batchq("add", "-q", option, "last", "--", "true").err
    batchq("add", "-", stdin="")
    (batchq.folder / "j.toml").write_text(f'[[job]]\ncommand = "true"\n{option[2:].replace("-", "_")} = ["last"]\n')
    ran = batchq("run", "j.toml").err

    nothing = "nothing was added by the newest add, so a job that is to run after 'last' waits for no job\n"
    assert said == f"batchq: add: {nothing}"
    assert rehearsed.endswith(said)
    assert ran == f"batchq: {nothing}"
    assert batchq("add", "-q", option, "last", "--", "true").err == "", "there is one before now"


def test_an_add_that_only_knew_keys_added_nothing(store: Store) -> None:
    readd(store, "skip")
    play(store, FAILED)
    readd(store, "skip")

    assert resolved(store, LAST).meant == NO_JOB
    assert tallies.counts(store, LAST) == {}


def test_jobs_that_an_add_requeued_belong_to_it(store: Store) -> None:
    readd(store, "skip")
    add(store, "another")
    play(store, FAILED, SUCCEEDED)
    readd(store, "rerun-failed")

    assert resolved(store, LAST).meant == ((1, 1),)
    assert tallies.counts(store, LAST) == {"queued": 1}


def test_a_rehearsed_add_is_none(store: Store) -> None:
    add(store, "before")
    intake.rehearse(store, [job_spec({"command": "true"}, "test", "/", "/bin")])

    assert resolved(store, LAST).meant == ((1, 1),)


def test_prune_forgets_old_adds_and_keeps_the_newest(store: Store) -> None:
    for _ in range(3):
        intake.add(store, [])
    add(store, "waits")
    add(store, "done")
    intake.add(store, [])
    control.hold(store, of_ids([1]))
    play(store, SUCCEEDED)
    pruning.prune(store, Policy(0), 2**50)

    assert store.fetch("SELECT first, jobs FROM adds ORDER BY id") == [(1, 1), (3, 0)]
    assert resolved(store, LAST).meant == NO_JOB


def test_retry_of_last_leaves_what_succeeded(store: Store) -> None:
    add(store, "good", "bad")
    play(store, SUCCEEDED, FAILED)

    assert "1 job queued again" in run(store, "retry", "last").err
    assert store.fetch("SELECT state FROM jobs") == [("succeeded",), ("queued",)]


def test_last_is_looked_up_once_for_a_command(store: Store) -> None:
    add(store, "mine")
    mine = resolved(store, LAST)
    add(store, "somebody else's", "another of theirs")

    assert tallies.counts(store, mine) == {"queued": 1}
    assert resolved(store, mine) == mine


def test_wait_last_answers_for_its_own_add(batchq: Shell) -> None:
    batchq("add", "-c", ": > begun; while [ ! -e go ]; do sleep 0.01; done; exit 3")
    waiting = batchq.start("wait", "last", "--timeout", "60s")
    running = batchq.start("run", "-q", "-j", "1")
    eventually((batchq.folder / "begun").exists)
    eventually(lambda: _has_looked(waiting.pid))
    batchq("add", "--", "true")
    (batchq.folder / "go").touch()

    assert finish(waiting).code == 1
    assert finish(running).code == 1


def _has_looked(pid: int) -> bool:
    """Whether a `wait` has its bell, which it takes after it has looked up what to wait for."""
    try:
        return any("inotify" in str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
