"""The doctor finds what is wrong, says it in one line each, and repairs nothing."""

import os
from pathlib import Path

import pytest
import scene
from conftest import Done, Shell, eventually, finish
from history import a_night, add, claim
from others import CRASHED_WRITER, FOREIGN_WRITER, another, die, end

from batchq.store.file.opening import open_at


def lines(done: Done, level: str) -> list[str]:
    return [line for line in done.out.splitlines() if line.startswith(level)]


def disturb(shell: Shell, *statements: str) -> None:
    """Break the store in a way that its constraints would forbid."""
    with open_at(str(shell.db())) as store:
        store.db.execute("PRAGMA ignore_check_constraints = ON")
        store.db.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            store.db.execute(statement)


@pytest.fixture
def night(batchq: Shell) -> Shell:
    """A store with a past."""
    with open_at(str(batchq.db())) as store:
        a_night(store)
    return batchq


def test_a_sound_store_has_nothing_but_ok(night: Shell) -> None:
    before = night.db().read_bytes()
    done = night("doctor")

    assert (done.code, done.err) == (0, "")
    abouts = [line.split()[1] for line in done.out.splitlines()]
    assert abouts == [
        "file", "file", "sqlite", "schema", "integrity", "references", "counters", "runners", "locks", "log", "space"
    ]  # fmt: skip
    assert len(lines(done, "ok")) == len(abouts)
    assert night.db().read_bytes() == before


def test_json_says_the_same(night: Shell) -> None:
    import json

    facts = json.loads(night("doctor", "--json").out)

    assert (facts["schema"], facts["kind"], facts["status"], facts["store"]) == (1, "doctor", 0, str(night.db()))
    assert {finding["level"] for finding in facts["findings"]} == {"ok"}
    assert set(facts["findings"][0]) == {"level", "about", "text"}


@pytest.mark.parametrize(
    ("statement", "repair", "found"),
    [
        (
            "UPDATE counters SET jobs = jobs + 5 WHERE state = 'failed'",
            "UPDATE counters SET jobs = jobs - 5 WHERE state = 'failed'",
            "problem  counters     6 jobs are counted as failed in queue default, batch night, but there are 1",
        ),
        (
            "UPDATE attempts SET job = 77 WHERE job = 1",
            "UPDATE attempts SET job = 1 WHERE job = 77",
            "of attempts refers to a row of jobs that does not exist",
        ),
        (
            "UPDATE jobs SET state = 'running', runner = 1, token = 'x' WHERE id = 3",
            "UPDATE jobs SET state = 'queued', runner = NULL, token = NULL WHERE id = 3",
            "problem  jobs         job 3 is marked running, but its runner has exited",
        ),
        (
            "UPDATE jobs SET open_parents = -1 WHERE id = 3",
            "UPDATE jobs SET open_parents = 0 WHERE id = 3",
            "problem  integrity    CHECK constraint failed in jobs",
        ),
    ],
)
def test_what_is_wrong_is_a_problem_and_an_exit_code(night: Shell, statement: str, repair: str, found: str) -> None:
    disturb(night, statement)

    done = night("doctor", code=None)

    assert done.code == (74 if "integrity" in found else 1)
    assert found in done.out
    disturb(night, repair)
    assert night("doctor").code == 0


def test_a_damaged_page_is_74(night: Shell) -> None:
    whole = night.db().read_bytes()
    with open_at(str(night.db())) as store:
        ((root,),) = store.fetch("SELECT rootpage FROM sqlite_schema WHERE name = 'jobs_name'")
    torn = bytearray(whole)
    torn[(root - 1) * 4096 + 8 : root * 4096] = os.urandom(4088)
    night.db().write_bytes(torn)

    done = night("doctor", code=74)
    assert lines(done, "problem  integrity")
    assert lines(done, "ok       log"), "the rest is examined, too"
    night.db().write_bytes(whole)


def test_a_dead_runner_and_its_jobs_are_told(batchq: Shell) -> None:
    batchq("add", "--on-crash", "hold", "-c", "touch started; sleep 600")
    with batchq.start("run") as runner:
        eventually((batchq.folder / "started").exists)
        assert "ok       runners      1 at work" in batchq("doctor").out
        assert "ok       locks" not in batchq("doctor").out
        children = scene.children_of(runner.pid)
        scene.end(*children, runner.pid)
        eventually(lambda: all(map(scene.is_gone, children)))

    done = batchq("doctor", code=1)

    assert len(lines(done, "problem  runners")) == 1
    assert batchq.full("died; the next 'batchq run' takes back its job") in done.out
    assert "ok       runners      0 at work" in done.out
    batchq("run", code=1)
    (held,) = lines(batchq("doctor"), "warning")
    assert held.endswith(
        batchq.full(
            "1 job waits for a person, because batchq gave up on it; the first is job 1: 'batchq explain 1' says why"
        )
    )
    assert f"'batchq --db {batchq.db()} explain 1' says why" in batchq("--db", "batchq.db", "doctor").out
    batchq("report", code=0)
    batchq("report", "--exit-code", code=1)
    batchq("report", "--exit-code", "--queue", "other", code=0)
    batchq("cancel", "1")
    assert not lines(batchq("doctor"), "warning")


def test_the_jobs_of_a_dead_runner_that_nobody_can_look_at_are_taken_back_by_hand(batchq: Shell) -> None:
    with open_at(str(batchq.db())) as store:
        add(store, "true")
        claim(store)

    assert "doctor: 1 job of runner 1 taken back" in batchq("doctor", "--rescue", "1").err

    assert batchq.rows("SELECT state, crashes FROM jobs") == [("scheduled", 1)]
    assert batchq.rows("SELECT state FROM runners") == [("dead",)]
    for runner in ("1", "2"):
        assert "'batchq doctor' lists the dead ones" in batchq("doctor", "--rescue", runner, code=2).err


#: Each tells which process is left, and all it has to tell, before it is ready.
@pytest.mark.parametrize(
    "job",
    ["echo $$ > pid; : > ready; exec sleep 300", "setsid sh -c 'echo $$ > pid; : > ready; exec sleep 300' & wait"],
    ids=["job", "session"],
)
def test_a_rescue_by_hand_ends_what_is_alive_before_the_job_can_begin_again(batchq: Shell, job: str) -> None:
    batchq("add", "--backoff", "0s", "-c", f"echo began >> effects; {job}")
    guardian = batchq.start("run")
    eventually((batchq.folder / "ready").exists)
    (runner,) = scene.children_of(guardian.pid)
    scene.end(runner, guardian.pid)
    finish(guardian)
    left = int((batchq.folder / "pid").read_text())
    assert not scene.is_gone(left), "or there is nothing to end"

    assert "1 job of runner 1 taken back" in batchq("doctor", "--rescue", "1").err

    assert scene.is_gone(left)
    assert (batchq.folder / "effects").read_text() == "began\n"
    batchq("cancel", "1")


def test_a_living_runner_is_not_rescued(batchq: Shell) -> None:
    batchq("add", "-c", "touch started; while [ ! -e go ]; do sleep 0.01; done")
    with batchq.start("run") as runner:
        eventually((batchq.folder / "started").exists)
        batchq("doctor", "--rescue", "1", code=2)
        (batchq.folder / "go").touch()
        assert runner.wait(60) == 0


def test_another_program_that_has_locked_the_store_is_named(night: Shell) -> None:
    with another(FOREIGN_WRITER, night.db()) as other:
        (line,) = lines(night("doctor"), "warning  locks")
        assert f"process {other.pid} (" in line
        end(other)


def test_a_store_that_was_not_closed_is_examined_with_its_log(batchq: Shell) -> None:
    die(CRASHED_WRITER, batchq.db())

    assert "they agree with all 1 jobs" in batchq("doctor").out


def test_free_space_that_is_worth_it_is_told(batchq: Shell) -> None:
    disturb(batchq, "CREATE TABLE bulk (x)", "INSERT INTO bulk VALUES (zeroblob(20000000))", "DROP TABLE bulk")
    assert f"'batchq --db {batchq.db()} prune' gives them back" in batchq("doctor").out

    batchq("prune", "--older-than", "1d")
    assert "ok       space        0 of" in batchq("doctor").out
    assert batchq.db().stat().st_size < 300_000


def test_no_store_is_66_and_what_is_none_is_78(folder: Path) -> None:
    shell = Shell(folder)
    (folder / "notes.txt").write_text("x" * 1000)

    assert shell("doctor", "--db", "none.db", code=66).out == ""
    assert "not an SQLite file" in shell("doctor", "--db", "notes.txt", code=78).err


def test_what_it_tells_cannot_steer_a_terminal(night: Shell) -> None:
    disturb(night, "INSERT INTO counters VALUES ('queued', 'a' || char(27) || ']0;pwned' || char(7), 'default', 1)")
    try:
        done = night("doctor", code=1)
        assert "\x1b" not in done.out
        assert "pwned" in done.out
    finally:
        disturb(night, "DELETE FROM counters WHERE queue LIKE '%pwned%'")
