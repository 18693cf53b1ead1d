"""What ``batchq top`` reads: right, by an index however many jobs there are, and in one short snapshot."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Shell, eventually
from history import FAILED, NOW, SUCCEEDED, a_runner, add, claim, end, out, play
from nights import a_large_night
from soaking import SOAK

from batchq.jobs.selection import Selection, of_ids
from batchq.processes import proc, usage
from batchq.report.top.contents import MOST, Reader
from batchq.store.changing import control, queues
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.looking import activity
from batchq.store.running import runners

EVERY = Selection()
LISTS = [*activity.STATES, ""]


def steps(store: Store, ask: Callable[[], object]) -> int:
    """How many steps SQLite takes for it, in hundreds."""
    counted: list[None] = []
    store.db.set_progress_handler(lambda: counted.append(None), 100)
    try:
        ask()
    finally:
        store.db.set_progress_handler(None, 100)
    return len(counted)


def test_each_list_has_its_jobs_in_its_order(store: Store) -> None:
    low, high = add(store, "low", priority=-1), add(store, "high", priority=9)
    (late,) = add(store, "late", delay="2h")
    (soon,) = add(store, "soon", delay="1h")
    payload = add(store, payload={"a": 1})
    held = add(store, "held", hold=True)
    (parent,) = add(store, "parent", priority=5, name="parent")
    child = add(store, "child", after=["parent"])

    assert activity.ids(store, EVERY, "queued", 9) == [*high, parent, *low, *payload]
    assert activity.ids(store, EVERY, "scheduled", 9) == [soon, late]
    assert activity.ids(store, EVERY, "held", 9) == held
    assert activity.ids(store, EVERY, "blocked", 9) == child
    assert activity.ids(store, EVERY, "", 2) == [child[0], parent]
    assert activity.ids(store, EVERY, "queued", 2) == [*high, parent]

    play(store, FAILED)
    running = claim(store)
    assert activity.ids(store, EVERY, "failed", 9) == high
    assert activity.ids(store, EVERY, "running", 9) == [running.id]


def test_a_text_and_a_selection_narrow_a_list(store: Store) -> None:
    (one,) = add(store, "make a", batch="x", queue="q")
    (two,) = add(store, "make b", batch="y", tags=["slow"])
    (three,) = add(store, "true", name="make c", batch="y")

    def found(selection: Selection, state: str = "queued", text: str = "") -> list[int]:
        return activity.ids(store, selection, state, MOST, text)

    assert found(EVERY, text="make") == [one, two, three]
    assert found(EVERY, text="b") == [two]
    assert found(Selection(batch="y"), text="make") == [two, three]
    assert found(Selection(grep="make"), text="c") == [three], "a text within a text"
    assert found(Selection(tags=("slow",))) == found(of_ids([two])) == [two]
    assert found(Selection(states=("failed",))) == found(Selection(states=("failed",)), "running") == []
    assert found(Selection(states=("queued",)), "") == [three, two, one]


def test_the_jobs_that_failed_last_come_first_whatever_their_ids_are(store: Store) -> None:
    first, second, third = add(store, "a", "b", "c")
    play(store, FAILED, FAILED, FAILED)
    control.retry(store, of_ids([first]))
    play(store, FAILED, now=NOW + 60_000)
    assert activity.last_failed(store, EVERY, 9)[0] == (first, NOW + 62_000)
    assert {id for id, _ in activity.last_failed(store, EVERY, 9)} == {first, second, third}
    assert activity.last_failed(store, Selection(states=("held",)), 9) == []


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    """A store with few jobs and one with many, most of which have finished."""
    folder = tmp_path_factory.mktemp("nights")
    with open_at(str(folder / "few.db"), create=True) as few, open_at(str(folder / "many.db"), create=True) as many:
        for store, jobs in ((few, 4_000), (many, 32_000)):
            a_large_night(store, jobs, every=20)
            add(store, *map(str, range(300)), batch="day", queue="net")
            claim(store)
        yield few, many


SELECTIONS = [EVERY, Selection(batch="night"), Selection(batch="day"), Selection(queue="net")]


@pytest.mark.parametrize("selection", SELECTIONS, ids=["all", "night", "day", "queue"])
@pytest.mark.parametrize("state", [state for state in LISTS if state not in ("blocked", "held")])
def test_a_look_takes_as_long_for_many_jobs_as_for_few(
    nights: tuple[Store, Store], selection: Selection, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "FAILED", 40)
    took = []
    for store in nights:
        reader = Reader(store, selection)
        reader.read(state, "", 40)  # which reads why jobs failed
        took.append(steps(store, lambda reader=reader: reader.read(state, "", 40)))  # type: ignore[misc]
    few, many = took
    assert many < 1.5 * few + 5, took


def test_the_check_would_notice_a_look_that_reads_all_jobs(nights: tuple[Store, Store]) -> None:
    few, many = (steps(store, lambda store=store: queues.queues(store, Selection(grep="x"))) for store in nights)  # type: ignore[misc]
    assert many > 5 * few


@pytest.mark.parametrize("state", ["blocked", "held"])
def test_a_list_without_an_index_is_bounded(nights: tuple[Store, Store], state: str) -> None:
    """Of states without an index only the newest jobs are searched."""
    _, many = nights
    assert f"- {activity.NEWEST}" in activity._PARTS[state][0][0]
    rows = many.fetch(
        f"EXPLAIN QUERY PLAN SELECT jobs.id FROM jobs WHERE jobs.state = '{state}' AND {activity._PARTS[state][0][0]}"
        " ORDER BY jobs.id DESC LIMIT 9"
    )
    assert any("INTEGER PRIMARY KEY (rowid>?)" in row[3] for row in rows), rows


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT jobs.id FROM jobs INDEXED BY jobs_running WHERE jobs.state = 'running'", "jobs_running"),
        (
            "SELECT runner, sum(slots) FROM jobs WHERE state = 'running' AND started_at > 0 GROUP BY runner",
            "jobs_running",
        ),
        ("SELECT finished_at FROM attempts WHERE runner = 1 ORDER BY job DESC LIMIT 9", "attempts_runner"),
        ("SELECT id FROM runners WHERE ended_at IS NULL ORDER BY id", "runners_living"),
    ],
)
def test_what_is_read_each_second_is_read_by_an_index(store: Store, statement: str, index: str) -> None:
    plan = [row[3] for row in store.fetch(f"EXPLAIN QUERY PLAN {statement}")]
    assert any(f"INDEX {index}" in step for step in plan), plan


def test_queues_count_the_selected_jobs_as_a_full_count_does(store: Store) -> None:
    add(store, "a", "b", batch="x", queue="q")
    add(store, "c", batch="y", queue="q", tags=["t"])
    add(store, "d", batch="y")
    queues.set_limit(store, "empty", 3)

    def counts(selection: Selection) -> dict[str, dict[str, int]]:
        return {one.name: one.jobs for one in queues.queues(store, selection)}

    assert counts(EVERY) == {"default": {"queued": 1}, "empty": {}, "q": {"queued": 3}}
    assert counts(Selection(batch="x")) == {"q": {"queued": 2}}
    assert counts(Selection(tags=("t",))) == {"q": {"queued": 1}}
    assert counts(Selection(queue="q", batch="y")) == {"q": {"queued": 1}}


def test_a_job_that_fails_again_for_another_reason_shows_that(store: Store) -> None:
    (job,) = add(store, "a")
    reader = Reader(store, EVERY)
    for second, why in enumerate(("no route to host", "checksum mismatch")):
        play(store, FAILED._replace(stderr=out(f"error: {why}\n".encode())), now=NOW + second)
        assert [one.title for one in reader.read("", "").reasons] == [f"error: {why}"]
        control.retry(store, of_ids([job]))


def test_a_dead_run_its_slots_and_its_lost_jobs_are_seen(store: Store) -> None:
    add(store, "a", queue="q")
    claimed = claim(store)
    (run,) = activity.runs(store)
    assert (run.is_dead, run.used, run.slots) == (True, 1, 9)

    found = Reader(store, Selection(queue="q")).read("running", "")
    assert found.counts == {"lost": 1}
    assert [row.job.is_lost for row in found.jobs] == [True] and found.jobs[0].cpu is None
    end(store, claimed, SUCCEEDED)
    assert activity.runs(store) == []


def test_a_run_that_stops_is_seen_to(store: Store) -> None:
    runner = a_runner(store)
    with store.writing() as db:
        runners.stop_claiming(db, runner)
    (run,) = activity.runs(store)
    assert run.is_stopping


def test_the_last_output_is_what_was_printed_last_or_stderr_if_that_is_not_known(store: Store) -> None:
    ids = add(store, *"abcd")
    both = SUCCEEDED._replace(stdout=out(b"to stdout\n"), stderr=out(b"to stderr\n"))
    play(
        store,
        both,
        both._replace(turns="[5, 10, 5]"),
        SUCCEEDED._replace(stdout=out(b"x" * 5_000 + b"\nlast\n"), stderr=out(b"\n"), turns="[5006, 1]"),
        SUCCEEDED,
    )
    found = activity.printed(store, ids)
    assert found[ids[0]] == b"to stderr\n" and found[ids[1]] == b"to stdout\n"
    assert found[ids[2]].endswith(b"x\nlast\n") and len(found[ids[2]]) <= activity.LINE
    assert ids[3] not in found


def test_a_running_job_has_its_processors_and_memory(batchq: Shell) -> None:
    batchq("add", "--name", "spin", "-c", "sh -c 'while :; do :; done' & wait")
    with batchq.start("run", "-q") as run, open_at(str(batchq.db()), reading=True) as store:
        reader = Reader(store, EVERY)
        eventually(lambda: any(row.cpu for row in reader.read("running", "").jobs))
        eventually(lambda: any((row.cpu or 0) > 0.05 for row in reader.read("running", "").jobs))
        (row,) = reader.read("running", "").jobs
        (one,) = activity.runs(store)
        assert row.memory is not None and 100_000 < row.memory < 100_000_000
        assert (one.pid != 0, one.used, one.is_dead) == (True, 1, False)
        control.cancel(store, of_ids([row.job.id]))
        run.communicate(timeout=60)


def test_a_process_with_the_pid_of_a_job_that_is_gone_is_not_measured() -> None:
    born = proc.started_ticks(os.getpid())
    found = usage.of_tree(os.getpid(), born)
    assert found is not None and found.memory > 1_000_000 and found.seconds > 0
    assert usage.of_tree(os.getpid(), (born or 0) + 1) is None
    with subprocess.Popen(["true"]) as gone:
        began = proc.started_ticks(gone.pid)
        gone.wait()
    assert usage.of_tree(gone.pid, began) is None


def test_time_of_children_that_have_ended_counts() -> None:
    before = usage.of_tree(os.getpid(), proc.started_ticks(os.getpid()))
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run(["python3", "-c", spin], check=True)
    after = usage.of_tree(os.getpid(), proc.started_ticks(os.getpid()))
    assert before is not None and after is not None and after.seconds - before.seconds >= 0.15


@pytest.mark.skipif(not SOAK, reason="a million jobs: scripts/soak")
def test_a_look_at_a_million_jobs_takes_at_most_50_ms(folder: Path) -> None:
    with open_at(str(folder / "batchq.db"), create=True) as store:
        a_large_night(store, 1_000_000)
        for state in LISTS:
            reader = Reader(store, EVERY)
            reader.read(state, "")
            took = []
            for _ in range(20):
                began = time.perf_counter()
                reader.read(state, "")
                took.append(time.perf_counter() - began)
            assert min(took) < 0.05, (state, took)
