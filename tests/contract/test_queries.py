"""Looking at a real store: what each reading verb promises."""

import os
from typing import Any

import pytest
from history import FAILED, NOW, SUCCEEDED, add, claim, out, play

from batchq.errors import MissingError, UsageError
from batchq.jobs.attempt import Failure, Outcome, Stream
from batchq.jobs.model import job_spec
from batchq.jobs.selection import Selection, of_ids, parse
from batchq.store.adding import intake
from batchq.store.file.connection import Store
from batchq.store.looking import details, outputs, queries, tallies
from batchq.store.looking.rows import End, command
from batchq.store.selecting import condition
from batchq.store.snapshots import snapshot


def ids(store: Store, selection: Selection) -> list[int]:
    return [job.id for job in queries.jobs(store, selection, 100)]


def test_every_filter_selects_what_it_says(store: Store) -> None:
    add(store, "a", "b", batch="night", queue="etl")
    add(store, "c", name="load-x")
    add(store, "d", "e", batch="night")
    play(store, FAILED, SUCCEEDED)

    assert ids(store, Selection()) == ids(store, parse([], everything=True)) == [1, 2, 3, 4, 5]
    assert ids(store, parse(["2-3,5"])) == [2, 3, 5]
    assert ids(store, parse(["last"])) == [4, 5]
    assert ids(store, parse(["1,last"])) == [1, 4, 5]
    assert ids(store, parse([], batch="night")) == [1, 2, 4, 5]
    assert ids(store, parse(["last"], batch="default")) == []
    assert ids(store, parse([], batch="night", queue="etl")) == [1, 2]
    assert ids(store, parse([], failed=True)) == [1]
    assert ids(store, parse([], states=["succeeded,failed"], batch="night")) == [1, 2]
    assert ids(store, parse([], name="load-*")) == [3]
    assert ids(store, parse([], name="LOAD-*")) == []
    assert ids(store, of_ids([])) == []


def test_since_keeps_what_happened_after_it_and_what_runs(store: Store) -> None:
    add(store, "old", "runs", "waits")
    play(store, SUCCEEDED)
    claim(store)
    store.db.execute("UPDATE jobs SET created_at = ?", (NOW,))

    assert ids(store, Selection(since=NOW)) == [1, 2, 3]
    assert ids(store, Selection(since=NOW + 1000)) == [1, 2]
    assert ids(store, Selection(since=NOW + 1001)) == [2]


def test_many_scattered_ids_are_one_question(store: Store) -> None:
    add(store, *["true"] * 10)

    assert ids(store, of_ids(range(1, 200_000, 2))) == [1, 3, 5, 7, 9]


@pytest.mark.parametrize(
    ("selection", "index"),
    [
        (parse([], batch="night"), "jobs_batch"),
        (parse([], failed=True), "jobs_failed"),
        (parse([], name="load-*"), "jobs_name"),
        (parse(["3-9"]), "INTEGER PRIMARY KEY"),
        (parse(["3,9,12"]), "INTEGER PRIMARY KEY"),
        (parse(["last"]), "INTEGER PRIMARY KEY"),
    ],
)
def test_a_selection_uses_its_index(store: Store, selection: Selection, index: str) -> None:
    where, named = condition(selection)
    plan = store.db.execute(f"EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE {where}", named).fetchall()

    assert any(index in row[3] for row in plan), plan
    assert not any(row[3] == "SCAN jobs" for row in plan), plan


def test_a_job_carries_the_end_of_its_last_attempt(store: Store) -> None:
    add(store, "exit 3", name="x", timeout="2s", tags=["t"])
    play(store, FAILED)
    (job,) = queries.jobs(store, Selection(), 1)

    assert (job.id, job.name, job.state, job.command, job.attempt, job.seconds) == (1, "x", "failed", "exit 3", 1, 2.0)
    assert job.end == End("failed", 3, timeout=2000, cause="ecd402b3 exit 3 | sh -c")
    assert (job.started_at, job.finished_at) == (NOW, NOW + 2000)


def test_a_listing_continues_after_an_id_and_newest_takes_the_end(store: Store) -> None:
    add(store, *["true"] * 5)

    assert [job.id for job in queries.jobs(store, Selection(), 2, after_id=2)] == [3, 4]
    assert [job.id for job in queries.newest(store, Selection(), 2)] == [4, 5]


def test_a_job_in_detail_shows_every_attempt_and_the_one_that_runs(store: Store) -> None:
    add(store, "make", max_attempts=2, env={"TOKEN": "secret"}, stdin="abc", timeout="5s", umask="022")
    play(store, FAILED._replace(cpu=0.5, peak=1000, stderr=out(b"boom"), leftovers=2))
    claim(store, now=NOW + 86_400_000)
    detail = details.job(store, 1)

    assert (detail.cwd, detail.path, detail.env, detail.stdin_bytes) == ("/srv/shop", "/usr/bin", ("TOKEN",), 3)
    assert (detail.timeout, detail.umask, detail.backoff, detail.on_crash) == (5000, 0o22, 1000, "retry")
    first, second = detail.attempts
    assert (first.number, first.seconds, first.cpu_seconds, first.peak_kib, first.leftovers) == (1, 2.0, 0.5, 1000, 2)
    assert (first.stdout_bytes, first.stderr_bytes) == (0, 4)
    assert first.end == End("failed", 3, timeout=5000, cause="d726ed81 exit 3 | boom")
    assert (second.number, second.started_at, second.end, second.seconds) == (2, NOW + 86_400_000, None, None)


def test_a_folder_whose_name_is_not_utf8_comes_back(store: Store) -> None:
    folder = os.fsdecode(b"/srv/\xff")
    intake.add(store, [job_spec({"command": "true"}, "test", folder, "/bin")])

    assert details.job(store, 1).cwd == folder


def test_what_does_not_exist_is_missing(store: Store) -> None:
    add(store, "true", "true")
    play(store, SUCCEEDED)

    for ask in (lambda: details.job(store, 17), lambda: outputs.read(store, 17, None, "stdout")):
        with pytest.raises(MissingError, match=r"there is no job 17 in /.*batchq\.db"):
            ask()
    with pytest.raises(MissingError, match="there is no job from 5 to 9 in"):
        queries.require(store, parse(["1,5-9"]))
    with pytest.raises(MissingError, match="job 1 has no attempt 2: it had one"):
        outputs.read(store, 1, 2, "stdout")
    with pytest.raises(MissingError, match="job 2 has no attempt 1: it never started"):
        outputs.read(store, 2, 1, "stdout")
    queries.require(store, parse(["1-900"]))


def test_output_shows_what_was_cut_from_its_middle(store: Store) -> None:
    add(store, "talk")
    play(store, FAILED._replace(stdout=Stream(b"begin", b"end", 100), stderr=out(b"whole")))

    cut = outputs.read(store, 1, None, "stdout")
    assert (cut.attempt, cut.head, cut.tail, cut.total, cut.cut) == (1, b"begin", b"end", 100, 92)
    assert outputs.read(store, 1, 1, "stderr").cut == 0


def test_a_job_that_never_started_has_no_output(store: Store) -> None:
    add(store, "true")

    assert outputs.read(store, 1, None, "stdout") == (0, b"", b"", 0)


def test_failures_carry_stderr_or_else_stdout(store: Store) -> None:
    add(store, "a", "b", "c", "d")
    trouble = Failure("KeyError", "'x'", "Traceback: …")
    play(
        store,
        FAILED._replace(stdout=out(b"o"), stderr=out(b"e")),
        FAILED._replace(stdout=out(b"only out"), stderr=out(b" \n")),
        SUCCEEDED,
        Outcome("failed", failure=trouble, stderr=Stream(b"begin", b"end", 900)),
    )
    first, second, third = outputs.failures(store, Selection(), 10)

    assert first.log == ("stderr", b"e", False)
    assert second.log == ("stdout", b"only out", False)
    assert third.log == ("stderr", b"end", True)
    assert (third.job.id, third.job.traceback, third.job.end) == (
        4,
        "Traceback: …",
        End("failed", None, None, *trouble[:2], cause="39d52cc1 exception | KeyError | '…'"),
    )


def test_failures_are_those_of_the_selection_or_of_the_ids(store: Store) -> None:
    add(store, "a", "b", "c")
    play(store, FAILED, FAILED, SUCCEEDED)

    assert [failure.job.id for failure in outputs.failures(store, [3, 2], 10)] == [2]
    assert [failure.job.id for failure in outputs.failures(store, Selection(), 1)] == [1]
    assert outputs.failures(store, [], 10) == []
    assert outputs.failures(store, parse([], states=["succeeded"]), 10) == []
    assert list(queries.failed_ids(store, parse(["2-3"]))) == [2]


def test_a_snapshot_does_not_see_what_others_write(store: Store) -> None:
    from batchq.store.file.opening import open_at

    add(store, "a")
    with open_at(store.path) as other, snapshot(store):
        before = tallies.counts(store, Selection())
        add(other, "b")
        assert tallies.counts(store, Selection()) == before
    assert tallies.counts(store, Selection()) == {"queued": 2}


@pytest.mark.parametrize(
    ("kind", "work", "words"),
    [
        ("argv", '["convert","my file","a"]', "convert 'my file' a"),
        ("shell", '["a | b > c"]', "a | b > c"),
        ("shell", '["convert \\"$1\\"","a b"]', "sh -c 'convert \"$1\"' sh 'a b'"),
        ("shell", '["a\\nb"]', "sh -c $'a\\nb'"),
        ("argv", '["echo","it\'s\\u001b\\udcff2"]', "echo $'it\\'s\\033\\3772'"),
        ("call", '{"call":"shop:resize","args":{"path":"ä","width":8}}', 'shop:resize(path="ä", width=8)'),
        ("payload", '{"customer":17}', '{"customer":17}'),
    ],
)
def test_work_is_shown_as_a_person_would_write_it(kind: str, work: str, words: str) -> None:
    assert command(kind, work) == words


def test_tags_and_texts_choose_jobs(store: Store) -> None:
    add(store, "convert a.png", "gzip 'b c'", tags=["img", "x"], name="first")
    add(store, call="pkg.mod:resize", args={"path": "a.png"}, tags=["img"])
    add(store, payload={"path": "a.png"})
    add(store, "true", name="png only by name")

    def found(**choice: Any) -> list[int]:
        return [job.id for job in queries.jobs(store, parse([], **choice), 99)]

    assert found(tags=["img"]) == [1, 2, 3]
    assert found(tags=["img", "x"]) == [1, 2] == found(tags=["x"])
    assert found(tags=["img", "y"]) == [] == found(tags=["im"])
    assert found(grep="png") == [1, 3, 4, 5] and found(grep="PNG") == []
    assert found(grep="gzip 'b c'") == [2] and found(grep="resize") == [3] and found(grep="first") == [1, 2]
    assert found(grep="png", tags=["x"]) == [1] and found(grep='"]') == []
    claim(store)
    assert found(running=True) == [1]
    for wrong in ({"tags": [""]}, {"grep": ""}):
        with pytest.raises(UsageError, match="is empty"):
            parse([], **wrong)
    store.db.execute("UPDATE jobs SET tags = '[', work = '{' WHERE id = 1")
    assert found(tags=["img"]) == [2, 3] and found(grep="{") == [1, 3, 4]
    store.db.execute("UPDATE jobs SET tags = NULL, work = '[\"x\"]' WHERE id = 1")
