"""`batchq.open`: the rules of the command line, all or nothing, and looking at jobs."""

import os
import shutil
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import decorated
import pytest
from conftest import Shell

import batchq
from batchq import clock

TESTS = Path(__file__).parent.parent


def test_open_makes_a_store_that_is_its_owners_alone(folder: Path) -> None:
    with batchq.open(folder / "q.db") as store:
        assert store.path == str(folder / "q.db")

    assert (folder / "q.db").stat().st_mode & 0o777 == 0o600


def test_open_makes_no_store_without_create(folder: Path) -> None:
    with pytest.raises(batchq.errors.MissingError, match="there is no store at"):
        batchq.open(folder / "q.db", create=False)

    assert list(folder.iterdir()) == []


def test_open_finds_the_store_as_the_command_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "deep").mkdir()
    monkeypatch.chdir(folder / "deep")
    monkeypatch.delenv("BATCHQ_DB", raising=False)
    Shell(folder)("init")

    with batchq.open() as store:
        assert store.path == str(folder / "batchq.db")
    monkeypatch.setenv("BATCHQ_DB", "named.db")
    with batchq.open() as store:
        assert store.path == str(folder / "deep/named.db")


def test_open_refuses_what_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "q.db").write_text("something else, of a hundred bytes and more" * 3)

    with pytest.raises(batchq.errors.StoreError, match="is not a batchq store"):
        batchq.open(tmp_path / "q.db")


def test_open_refuses_a_store_that_others_can_write(batchq_store: Path) -> None:
    batchq_store.chmod(0o666)

    with pytest.raises(batchq.BatchqError, match="others can write"):
        batchq.open(batchq_store)
    batchq_store.chmod(0o600)


def test_what_deserves_a_warning_is_a_warning(batchq_store: Path) -> None:
    (batchq_store.parent / "backup").hardlink_to(batchq_store)

    with pytest.warns(UserWarning, match="has 2 hard links") as caught:
        batchq.open(batchq_store).close()
    assert caught[0].filename == __file__
    (batchq_store.parent / "backup").unlink()


@pytest.fixture
def batchq_store(folder: Path) -> Path:
    """The path of an empty store."""
    batchq.open(folder / "batchq.db").close()
    return folder / "batchq.db"


def test_an_add_takes_one_job_or_many(batchq_store: Path) -> None:
    with batchq.open(batchq_store) as store:
        assert store.add({"command": ["true"]}) == [1]
        assert store.add([{"command": "true | true"}, {"call": "os:listdir", "args": {}}, {"payload": 7}]) == [2, 3, 4]
        assert store.add({"command": ("cp", Path("a"), Path("b")), "cwd": Path("/")} for _ in range(2)) == [5, 6]
        assert store.add([]) == []

        assert [job.command for job in store.jobs()] == ["true", "true | true", "os:listdir()", "7", "cp a b", "cp a b"]


def test_a_matrix_is_a_job_for_each_combination(batchq_store: Path) -> None:
    with batchq.open(batchq_store) as store:
        assert store.add({"command": ["echo", "{day}"], "matrix": {"day": ["mon", "tue"]}}) == [1, 2]

        assert [job.command for job in store.jobs()] == ["echo mon", "echo tue"]


def test_calls_of_functions_are_jobs_like_others(batchq_store: Path) -> None:
    with batchq.open(batchq_store) as store:
        assert store.add([decorated.resize.job("a.png"), {"command": ["true"], "after": [1]}]) == [1, 2]

        assert [(job.queue, job.state) for job in store.jobs()] == [("images", "queued"), ("default", "blocked")]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"command": ["true"], "queu": "a"}, r"job 2: unknown field 'queu' \(did you mean 'queue'\?\)"),
        ({"command": ["true"], "name": "load", "timeout": "soon"}, r"job 2 \(load\): field 'timeout' is wrong"),
        ({"name": "x"}, r"job 2 \(x\): needs a 'command', a 'call' or a 'payload'"),
        ({"command": ["true"], "after": ["nobody"]}, "nobody"),
        ({"payload": {1, 2}}, "job 2: field 'payload' cannot be stored: payload: set is not JSON"),
        ({1: 2}, "job 2: must be a mapping of the fields of a job"),
        ("true", "job 2: must be a mapping of the fields of a job"),
        (None, "job 2: must be a mapping of the fields of a job"),
    ],
)
def test_of_jobs_of_which_one_is_wrong_none_is_stored(batchq_store: Path, wrong: Any, complaint: str) -> None:
    with batchq.open(batchq_store) as store:
        with pytest.raises(batchq.errors.InputError, match=complaint):
            store.add([{"command": ["true"]}, wrong])

        assert list(store.jobs()) == []


def test_jobs_are_chosen_by_their_labels(batchq_store: Path) -> None:
    with batchq.open(batchq_store) as store:
        store.add(
            {"payload": n, "queue": "even" if n % 2 == 0 else "odd", "batch": "b", "name": f"n-{n}"} for n in range(250)
        )

        assert len(list(store.jobs(queue="odd", batch="b"))) == 125
        assert [job.id for job in store.jobs(name="n-24*")] == [25, *range(241, 251)]
        assert [job.id for job in store.jobs([7, 3, 999])] == [3, 7]
        assert list(store.jobs(state="failed")) == []
        with pytest.raises(batchq.errors.InputError, match="no state 'done'"):
            store.jobs(state="done")
        with pytest.raises(batchq.errors.MissingError, match="there is no job 999"):
            store.job(999)


def test_a_job_has_its_result_and_its_error(batchq_store: Path) -> None:
    shutil.copy(TESTS / "decorated.py", batchq_store.parent)
    with batchq.open(batchq_store) as store:
        store.add({"call": f"decorated:{name}", "cwd": batchq_store.parent, "args": args, "key": name, "tags": ["t"]}
                  for name, args in (("resize", {"path": "a"}), ("fail", {"message": "no"})))  # fmt: skip
        waiting = store.job(1)
        batchq.run(store, quiet=True)
        good, bad = store.jobs()

    assert (waiting.state, waiting.attempt, waiting.finished_at, waiting.result) == ("queued", 0, None, None)
    assert (good.state, good.attempt, good.error, good.result) == ("succeeded", 1, None, {"path": "a", "width": 100})
    assert (good.key, good.tags) == ("resize", ("t",))
    assert good.started_at is not None
    assert good.finished_at is not None
    assert good.created_at <= good.started_at <= good.finished_at
    assert (bad.state, bad.error, bad.result) == ("failed", "KeyError: 'no'", None)
    assert bad.traceback is not None
    assert [line for line in bad.traceback.splitlines() if "File" in line] == [
        f'  File "{batchq_store.parent}/decorated.py", line 13, in fail'
    ]


def test_a_store_belongs_to_its_thread(batchq_store: Path) -> None:
    said: list[str] = []

    def elsewhere() -> None:
        try:
            store.add({"payload": 1})
        except RuntimeError as error:
            said.append(str(error))
        with batchq.open(batchq_store) as own:
            own.add({"payload": 2})

    with batchq.open(batchq_store) as store:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

        assert said == ["an open store belongs to the thread that opened it: open it again in this one"]
        assert [job.command for job in store.jobs()] == ["2"]


def test_a_closed_store_says_so(batchq_store: Path) -> None:
    store = batchq.open(batchq_store)
    store.close()
    store.close()

    with pytest.raises(RuntimeError, match="is closed"):
        store.add({"payload": 1})


def test_the_folder_and_the_path_of_the_process_are_stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", "/usr/bin")
    with batchq.open("batchq.db") as store:
        store.add([{"payload": 1}, {"payload": 2, "cwd": "sub"}])

    assert Shell(folder).rows("SELECT cwd, path FROM contexts ORDER BY id") == [
        (os.fsencode(folder), b"/usr/bin"),
        (os.fsencode(folder / "sub"), b"/usr/bin"),
    ]


def test_a_time_in_the_hour_that_comes_twice_is_the_one_that_is_meant(
    batchq_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        moment = datetime(2027, 10, 31, 2, 30)
        with batchq.open(batchq_store) as store:
            store.add([{"command": ["true"], "run_at": moment.replace(fold=fold)} for fold in (0, 1)])
            store.add({"command": ["true"], "run_at": moment.replace(fold=1).isoformat()})
    finally:
        monkeypatch.undo()
        time.tzset()

    due = [clock.iso(int(str(at))) for (at,) in Shell(batchq_store.parent).rows("SELECT due_at FROM jobs ORDER BY id")]
    assert due == [f"2027-10-31T0{hour}:30:00.000Z" for hour in (0, 1, 0)]
