"""What the changing and looking commands do, as methods of a store: the same jobs are meant, and the same follows."""

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import decorated
import pytest
from conftest import Shell

import batchq


@pytest.fixture
def store(folder: Path) -> Iterator[batchq.Store]:
    with batchq.open(folder / "batchq.db") as opened:
        yield opened


def states(store: batchq.Store) -> list[str]:
    return [job.state for job in store.jobs()]


def test_jobs_are_cancelled_held_released_and_retried(store: batchq.Store) -> None:
    store.add({"command": ["true"], "batch": "night", "name": f"n-{number}"} for number in range(4))

    assert store.hold("1-2", 4) == batchq.Changed(3, {}, [1, 2, 4])
    assert store.release([2, 4], batch="night") == batchq.Changed(2, {}, [2, 4])
    assert store.cancel(name="n-[01]") == batchq.Changed(2, {}, [1, 2])
    assert states(store) == ["cancelled", "cancelled", "queued", "queued"]
    assert store.retry(state=["cancelled"]).ids == [1, 2]
    assert store.cancel("last").jobs == 4
    assert store.retry(all=True).jobs == 4
    assert store.cancel(since=timedelta(hours=1), queue="default").jobs == 4
    assert states(store) == ["cancelled"] * 4


def test_jobs_cancelled_with_a_parent_are_reported(store: batchq.Store) -> None:
    store.add([{"command": ["true"], "name": "a"}, {"command": ["true"], "after": ["a"]}])

    assert store.cancel(1) == batchq.Changed(1, {}, [1], also=1)


@pytest.mark.parametrize("verb", ["retry", "cancel", "hold", "release", "wait", "logs"])
def test_to_choose_nothing_is_never_every_job(store: batchq.Store, verb: str) -> None:
    store.add({"command": ["true"]})

    with pytest.raises(batchq.errors.UsageError, match="say which jobs"):
        getattr(store, verb)()
    assert states(store) == ["queued"]


def test_an_empty_list_of_ids_means_no_job(store: batchq.Store) -> None:
    store.add({"command": ["true"]})

    assert store.cancel([]).jobs == 0
    assert store.wait([]) == batchq.Waited(0, 0, 0, 0)
    assert list(store.logs([])) == []
    assert states(store) == ["queued"]


@pytest.mark.parametrize(
    ("jobs", "choice", "complaint"),
    [
        ((0,), {}, "0 is not the id of a job"),
        (([1, None],), {}, "None is not the id of a job"),
        ((True,), {}, "True is not the id of a job"),
        ((), {"all": True, "que": "mail"}, "jobs cannot be chosen by 'que': it is batch, queue, state"),
        (("1-",), {}, "'1-'"),
        ((), {"state": "done"}, "no state 'done'"),
        ((), {"since": "soon"}, "--since"),
        ((3,), {"all": True}, "exclude each other"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(
    store: batchq.Store, jobs: Any, choice: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(batchq.errors.UsageError, match=complaint):
        store.cancel(*jobs, **choice)


def test_a_queue_or_batch_that_nobody_has_seen_is_warned_of(store: batchq.Store) -> None:
    store.add({"command": ["true"], "batch": "night"})

    for use in (store.wait, store.cancel, store.retry, store.hold, store.release, store.logs, store.report):
        with pytest.warns(UserWarning, match=r"never seen the batch 'nigth' \(did you mean 'night'\?\)") as warned:
            use(batch="nigth")
        assert warned[0].filename == __file__


def test_one_job_is_asked_for_by_its_id(store: batchq.Store) -> None:
    for wrong in ("1", None, True, 0):
        with pytest.raises(batchq.errors.UsageError, match="is not the id of a job"):
            store.job(wrong)  # type: ignore[arg-type]


def test_a_job_that_does_not_exist_is_missing(store: batchq.Store) -> None:
    for verb in (store.retry, store.cancel, store.wait):
        with pytest.raises(batchq.errors.MissingError, match="there is no job 7"):
            verb(7)
    with pytest.raises(batchq.errors.MissingError, match="there is no job 7"):
        store.logs(7)


def test_a_job_tells_how_it_ended_and_what_it_printed(store: batchq.Store, folder: Path) -> None:
    store.add({"command": "echo in; echo \udcff oops >&2; exit 3"})
    store.add({"command": "kill -9 $$"})
    before = store.job(1)
    batchq.run(store, quiet=True)
    failed, killed = store.jobs()

    assert (before.outcome, before.exit_code, before.stdout) == (None, None, "")
    assert (failed.outcome, failed.exit_code, failed.signal) == ("failed", 3, None)
    assert (failed.stdout, failed.stderr) == ("in\n", "\\xff oops\n")
    assert (killed.outcome, killed.exit_code, killed.signal) == ("failed", None, 9)


def test_logs_are_the_bytes_of_an_attempt(store: batchq.Store) -> None:
    store.add({"command": 'printf "$BATCHQ_ATTEMPT\\377"; exit 1', "max_attempts": 2, "backoff": "1ms"})
    store.add({"command": "head -c 300000 /dev/zero"})
    store.add({"command": ["true"], "hold": True})
    batchq.run(store, quiet=True)

    assert [*store.logs(1)] == [batchq.Logs(1, 2, b"2\xff", b"")]
    assert [*store.logs("1", attempt=1)] == [batchq.Logs(1, 1, b"1\xff", b"")]
    (large,) = store.logs(2)
    zeros = bytes(64 * 1024)
    assert large.stdout == zeros + b"\n[batchq: 168,928 bytes are missing here]\n" + zeros
    assert [*store.logs(3)] == [batchq.Logs(3, 0, b"", b"")]
    with pytest.raises(batchq.errors.MissingError, match="job 1 has no attempt 3"):
        list(store.logs(1, attempt=3))


def test_a_report_is_what_the_command_prints(store: batchq.Store) -> None:
    store.add([{"command": ["true"], "batch": "a"}, {"command": ["false"], "batch": "b"}])
    batchq.run(store, quiet=True)

    assert store.report()["counts"] == {"succeeded": 1, "failed": 1}
    report = store.report(batch="b")
    assert [failure["id"] for failure in report["failures"]] == [2]
    assert report["retry"] == f"batchq --db {store.path} retry 2"


def test_wait_ends_when_another_process_has_run_the_jobs(store: batchq.Store, folder: Path) -> None:
    store.add([{"command": ["sleep", "0.3"]}, {"command": ["false"]}, {"command": ["true"], "hold": True}])

    assert store.wait(1, timeout=0) == batchq.Waited(0, 0, 0, 1)
    running = threading.Thread(target=lambda: batchq.run(folder / "batchq.db", quiet=True))
    running.start()
    waited = store.wait("1-2", timeout=timedelta(seconds=60))
    running.join()
    assert waited == batchq.Waited(succeeded=1, failed=1, cancelled=0, open=0)
    assert not waited.all_succeeded
    assert store.wait("1").all_succeeded
    with pytest.raises(batchq.errors.UsageError, match="'soon' is no"):
        store.wait(1, timeout="soon")


def test_in_its_with_block_a_store_is_that_of_functions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BATCHQ_DB", str(folder / "usual.db"))
    with batchq.open("outer.db") as outer:
        decorated.resize.add("1")
        with batchq.open("inner.db") as inner:
            decorated.resize.add_many([{"path": "2"}])
            assert [job.command for job in inner.jobs()] == ['decorated:resize(path="2")']
        decorated.resize.add("3")
        assert [job.command for job in outer.jobs()] == [f'decorated:resize(path="{name}")' for name in (1, 3)]
    decorated.resize.add("4")
    with batchq.open() as usual:
        assert [job.command for job in usual.jobs()] == ['decorated:resize(path="4")']


def test_threads_and_children_have_their_own_idea_of_the_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BATCHQ_DB", str(folder / "usual.db"))
    with batchq.open("block.db") as store:
        thread = threading.Thread(target=decorated.resize.add, args=("thread",))
        thread.start()
        thread.join()
        if (child := os.fork()) == 0:
            try:
                decorated.resize.add("child")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert [job.command for job in store.jobs()] == ['decorated:resize(path="child")']
    shell = Shell(folder)
    assert '"thread"' in shell("--db", "usual.db", "list").out
