"""Update and remove on a real store, from the command line; the invariants are checked after each test."""

import json

import pytest
from conftest import Shell, eventually, finish
from history import FAILED, add, claim, play

from batchq.errors import InputError, MissingError
from batchq.jobs.fields import CHANGEABLE, FIELDS
from batchq.jobs.selection import parse
from batchq.store.changing import updating
from batchq.store.file.connection import Store
from batchq.store.keeping import removing
from batchq.store.looking import queries


def ids(store: Store) -> list[int]:
    return [job.id for job in queries.jobs(store, parse([]), 1000)]


def test_waiting_jobs_take_the_new_values_and_others_are_left_alone(store: Store) -> None:
    add(store, "a", "b", "c", batch="night")
    play(store, FAILED)
    claim(store)

    done = updating.update(store, parse(["1-3"]), {"priority": 9, "timeout": 7_200_000, "queue": "net"}, list_ids=True)

    assert done[:3] == (1, {"running": 1, "failed": 1}, [3])
    rows = store.db.execute("SELECT id, priority, timeout, queue FROM jobs ORDER BY id").fetchall()
    assert rows == [(1, 0, None, "default"), (2, 0, None, "default"), (3, 9, 7_200_000, "net")]
    assert claim(store).id == 3


def test_jobs_that_move_to_another_queue_and_batch_are_counted_there(store: Store) -> None:
    add(store, "a", "b", "c", batch="night", queue="net")

    updating.update(store, parse(["2-3"]), {"queue": "slow", "batch": "day"})

    counted = store.db.execute("SELECT state, queue, batch, jobs FROM counters ORDER BY queue").fetchall()
    assert counted == [("queued", "net", "night", 1), ("queued", "slow", "day", 2)]


def test_a_value_for_commands_refuses_the_call_if_a_callable_is_among_the_jobs(store: Store) -> None:
    add(store, "a")
    store.db.execute('UPDATE jobs SET kind = \'call\', work = \'{"call": "os:getpid", "args": {}}\'')

    with pytest.raises(InputError, match="job 1: field 'leftovers' is for commands only"):
        updating.update(store, parse(["1"]), {"priority": 9, "leftovers": "keep"})

    assert store.db.execute("SELECT priority FROM jobs").fetchall() == [(0,)]


def test_each_changeable_field_has_a_column() -> None:
    assert all(FIELDS[name].is_column for name in CHANGEABLE)


def test_an_id_that_does_not_exist_changes_nothing(store: Store) -> None:
    add(store, "a")

    for change in (
        lambda: updating.update(store, parse(["1,9"]), {"priority": 9}),
        lambda: removing.remove(store, parse(["1,9"])),
    ):
        with pytest.raises(MissingError, match="no job 9"):
            change()

    assert store.db.execute("SELECT id, priority FROM jobs").fetchall() == [(1, 0)]


def test_finished_jobs_and_those_that_never_started_are_removed_and_running_ones_stay(store: Store) -> None:
    add(store, "a", "b", "c")
    play(store, FAILED)
    claim(store)

    done = removing.remove(store, parse([], everything=True))

    assert done == (2, {"running": 1}, 0, 0) and ids(store) == [2]
    assert store.db.execute("SELECT job FROM attempts").fetchall() == []


def test_a_job_that_waits_for_a_retry_has_started_and_stays(store: Store) -> None:
    add(store, "a", max_attempts=2)
    play(store, FAILED)

    assert removing.remove(store, parse(["1"])) == (0, {"scheduled": 1}, 0, 0)


@pytest.mark.parametrize("jobs", [3, 1200])
def test_a_chain_goes_as_a_whole_and_its_beginning_alone_stays(batchq: Shell, jobs: int) -> None:
    names = [{"command": "true", "name": f"n{n}", **({"after": [f"n{n - 1}"]} if n else {})} for n in range(jobs)]
    batchq("add", "-", "--format", "jsonl", stdin="\n".join(map(json.dumps, names)))

    alone = batchq("remove", f"1-{jobs - 1}")
    whole = batchq("remove", "--all", "--json")

    assert f"nothing to do; {jobs - 1:,} left alone" in alone.err and "because other jobs wait for them" in alone.err
    assert json.loads(whole.out) == {
        "schema": 1, "kind": "remove", "removed": jobs, "left_alone": {}, "parents": 0, "logs_left": 0,
    }  # fmt: skip
    assert batchq.rows("SELECT count(*) FROM jobs") == [(0,)] == batchq.rows("SELECT count(*) FROM dependencies")


def test_the_key_of_a_job_that_never_started_is_free_again_and_that_of_a_finished_one_is_not(batchq: Shell) -> None:
    batchq("add", "--key", "done", "--", "true")
    batchq("run")
    batchq("add", "--key", "new", "--", "true")

    batchq("remove", "--all")

    assert batchq("add", "--key", "done", "--", "true").out == "1\n"
    assert batchq("add", "--key", "new", "--", "true").out == "3\n"


def test_the_command_line_sets_fields_and_empties_them(batchq: Shell) -> None:
    batchq("add", "--timeout", "5s", "--batch", "night", "--", "true")
    batchq("add", "--", "true")

    done = batchq("update", "--batch", "night", "--timeout", "none", "--set-queue", "slow", "--success-codes", "0,24")

    assert done.err == "batchq: update: 1 job updated\n"
    assert batchq.rows("SELECT timeout, queue, success_codes FROM jobs") == [
        (None, "slow", "0,24"),
        (None, "default", None),
    ]
    for words, message in (
        (("update", "1"), "update: say what to change"),
        (("update", "--priority", "1"), "say which jobs"),
        (("update", "1", "--timeout", "soon"), "--timeout is wrong: 'soon' is not a duration"),
        (("update", "1", "--set-queue", ""), "--set-queue must be 1 to 255 printable characters"),
        (("remove",), "say which jobs"),
    ):
        assert message in batchq(*words, code=2).err
    assert batchq("update", "1", "--priority", "3", "--json").out.startswith('{\n  "schema": 1,\n  "kind": "update",\n')


def test_a_run_that_was_asked_for_a_job_says_so_if_somebody_removes_it(batchq: Shell) -> None:
    jobs = '[[job]]\ncommand = "while [ ! -e go ]; do sleep 0.02; done"\n[[job]]\ncommand = "true"\n'
    (batchq.folder / "jobs.toml").write_text(jobs)
    run = batchq.start("run", "-j", "1", "jobs.toml")
    eventually(lambda: batchq.rows("SELECT count(*) FROM jobs WHERE started_at IS NOT NULL") == [(1,)])

    batchq("remove", "2")
    (batchq.folder / "go").touch()
    done = finish(run)

    assert done.code == 3 and "job 2" in done.err and "removed" in done.err


def test_a_wait_for_a_job_that_somebody_removes_is_not_a_success(batchq: Shell) -> None:
    batchq("add", "--", "true")
    batchq("add", "--", "true")
    waiting = batchq.start("wait", "1-2")
    assert waiting.stderr is not None and b"no run at work takes them" in waiting.stderr.readline()

    batchq("remove", "2")
    batchq("run")

    done = finish(waiting)
    assert (done.code, done.err) == (1, "batchq: wait: 1 removed\n")
    assert "job 2 was removed before it started" in batchq("show", "2", code=66).err
