"""Metrics for Prometheus: read back by its own client, with the labels that stay few and without timestamps."""

import os
import re
import signal
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell, eventually, finish, send
from prometheus_client.parser import text_string_to_metric_families
from scene import is_gone

from batchq import clock
from batchq.jobs.selection import Selection
from batchq.report import prometheus
from batchq.report.formats import Scope
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at

Samples = dict[tuple[str, ...], float]
LABELS = {"batch", "queue", "state", "quantile"}
FAMILIES = {
    "batchq_jobs", "batchq_batch_jobs", "batchq_batch_added_timestamp_seconds", "batchq_batch_start_timestamp_seconds",
    "batchq_batch_end_timestamp_seconds", "batchq_batch_success_timestamp_seconds", "batchq_attempt_seconds",
    "batchq_queue_paused", "batchq_runners", "batchq_store_bytes", "batchq_report_timestamp_seconds",
}  # fmt: skip


def read(text: str) -> dict[str, Samples]:
    """The samples by name and by the values of their labels; all that the collector and we demand of a file holds."""
    assert text.endswith("\n")
    found: dict[str, Samples] = {}
    names = re.findall("^# TYPE ([^ ]+) (?:gauge|summary)$", text, re.M)
    assert names == re.findall("^# HELP ([^ ]+) .", text, re.M)
    assert len(names) == len(set(names))
    for family in text_string_to_metric_families(text):
        assert family.name in FAMILIES
        for sample in family.samples:
            assert sample.timestamp is None, "the collector refuses samples with a timestamp"
            assert {*sample.labels} <= LABELS
            labels = tuple(sample.labels.values())
            assert labels not in found.setdefault(sample.name, {}), "one such sample costs the whole file"
            found[sample.name][labels] = sample.value
    return found


def metrics(shell: Shell, *words: str) -> dict[str, Samples]:
    return read(shell("report", "--format", "prometheus", *words).out)


def value(found: dict[str, Samples], name: str, *labels: str) -> Any:
    return found.get(name, {}).get(labels)


def test_the_numbers_are_those_of_the_store(batchq: Shell) -> None:
    batchq("add", "-q", "--batch", "night", "-c", "true")
    batchq("add", "-q", "--batch", "night", "--each", "--queue", "cpu", "-c", 'exit "$1"', stdin="0\n0\n3\n")
    batchq("add", "-q", "--queue", "net", "--", "true")
    batchq("queue", "pause", "net")
    batchq("run", "-q", code=1)

    before = clock.now()
    found = metrics(batchq)

    assert {*found} == FAMILIES - {"batchq_batch_success_timestamp_seconds"} | {
        "batchq_batch_success_timestamp_seconds", "batchq_attempt_seconds_sum", "batchq_attempt_seconds_count",
    }  # fmt: skip
    assert found["batchq_jobs"] == {
        (batch, queue, state): jobs
        for batch, queue, state, jobs in batchq.rows("SELECT batch, queue, state, count(*) FROM jobs GROUP BY 1, 2, 3")
    }
    assert value(found, "batchq_batch_jobs", "night", "succeeded") == 2
    assert value(found, "batchq_batch_jobs", "night", "failed") == 1
    assert value(found, "batchq_batch_jobs", "night", "running") == 0
    assert value(found, "batchq_batch_jobs", "default", "queued") == 1
    assert value(found, "batchq_batch_end_timestamp_seconds", "default") is None
    times = batchq.rows(
        "SELECT min(created_at), min(started_at), max(finished_at) FROM jobs WHERE batch = 'night' AND id > 1"
    )
    for word, at in zip(("added", "start", "end"), times[0], strict=True):
        assert value(found, f"batchq_batch_{word}_timestamp_seconds", "night") * 1000 == pytest.approx(at, abs=0.01)
    ((first,),) = batchq.rows("SELECT finished_at FROM jobs WHERE id = 1")
    assert value(found, "batchq_batch_success_timestamp_seconds", "night") * 1000 == pytest.approx(first, abs=0.01)
    seconds: list[Any] = [row[0] for row in batchq.rows("SELECT seconds FROM attempts WHERE job > 1 ORDER BY seconds")]
    assert value(found, "batchq_attempt_seconds", "night", "0.5") == seconds[1]
    assert value(found, "batchq_attempt_seconds_sum", "night") == pytest.approx(sum(seconds))
    assert value(found, "batchq_attempt_seconds_count", "night") == 3
    assert found["batchq_queue_paused"] == {("cpu",): 0, ("default",): 0, ("net",): 1}
    assert value(found, "batchq_runners") == 0
    assert value(found, "batchq_store_bytes") == batchq.db().stat().st_size
    assert value(found, "batchq_report_timestamp_seconds") * 1000 >= before


def test_the_last_success_stays_while_later_nights_fail_or_run_or_are_cancelled(batchq: Shell) -> None:
    def success() -> float | None:
        found: float | None = value(metrics(batchq), "batchq_batch_success_timestamp_seconds", "night")
        return found

    def night(*words: str) -> None:
        batchq("add", "-q", "--batch", "night", "--each", *words, "-c", 'exit "$1"', stdin="0\n0\n")

    night()
    assert success() is None
    batchq("run", "-q")
    first = success()
    assert first is not None
    for code in ("3", "4"):
        batchq("add", "-q", "--batch", "night", "--each", "-c", 'exit "$1"', stdin=f"0\n{code}\n")
        assert success() == first
        batchq("run", "-q", code=1)
        assert success() == first
    night()
    batchq("cancel", "--batch", "night", "--state", "queued")
    assert success() == first
    night()
    batchq("run", "-q")
    assert (success() or 0) > first


def test_a_run_at_work_is_counted_and_a_killed_one_is_not(batchq: Shell) -> None:
    batchq("add", "-q", "-c", "touch began; exec sleep 60")
    started = batchq.start("run", "-q")
    eventually((batchq.folder / "began").exists)
    assert value(metrics(batchq), "batchq_runners") == 1
    ((runner,),) = batchq.rows("SELECT pid FROM runners")
    send(started, signal.SIGKILL)
    finish(started)
    eventually(lambda: is_gone(int(str(runner))))
    assert value(metrics(batchq), "batchq_runners") == 0


def test_the_file_can_be_read_by_the_collector_and_a_failed_report_leaves_the_old_one(batchq: Shell) -> None:
    batchq("add", "-q", "--", "true")
    target = batchq.folder / "batchq.prom"
    batchq("report", "-o", "batchq.prom")

    assert stat.S_IMODE(target.stat().st_mode) == 0o644 & ~umask()
    old = target.read_text()
    refused = batchq("report", "last", "-o", "batchq.prom", code=2).err
    assert "it takes only --batch" in refused
    assert target.read_text() == old
    assert [path.name for path in batchq.folder.glob("*batchq.prom*")] == ["batchq.prom"]


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_one_batch_is_what_batch_asks_for(batchq: Shell) -> None:
    for batch in ("a", "b"):
        batchq("add", "-q", "--batch", batch, "--", "true")

    assert {batch for batch, _ in metrics(batchq, "--batch", "a")["batchq_batch_jobs"]} == {"a"}
    assert {batch for batch, _ in metrics(batchq)["batchq_batch_jobs"]} == {"a", "b"}


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\\", "{batch='x'} 1 2", "# HELP x", "é𝕏"])
def test_a_label_gives_back_its_text(batchq: Shell, name: str) -> None:
    batchq("add", "-q", "--batch", name, "--queue", name, "--", "true")

    assert value(metrics(batchq), "batchq_jobs", name, name, "queued") == 1


def test_a_store_in_which_somebody_wrote_labels_that_look_alike_still_makes_a_file(folder: Path) -> None:
    path = folder / "batchq.db"
    with open_at(str(path), create=True):
        pass
    with closing(sqlite3.connect(path)) as db, db:
        db.executemany("INSERT INTO counters VALUES ('queued', 'q', ?, 1)", [("a\nb",), ("a\\nb",), ("\x1b[2J",)])
    try:
        with open_at(str(path), reading=True) as store:
            text = "".join(prometheus.metrics(Scope(store, Selection(), clock.now())))
    finally:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("DELETE FROM counters")

    assert {batch for batch, _, _ in read(text)["batchq_jobs"]} == {"a\\nb", "\\x1b[2J"}


def test_of_many_batches_those_with_the_newest_jobs_are_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from history import add

    from batchq.store.looking import gauges

    monkeypatch.setattr(gauges, "BATCHES", 2)
    for batch in ("old", "default", "a", "default"):
        add(store, "true", batch=batch)

    text = "".join(prometheus.metrics(Scope(store, Selection(), clock.now())))
    assert {batch for batch, _ in read(text)["batchq_batch_jobs"]} == {"a", "default"}
    assert text.startswith("# 1 more batches, whose newest jobs are older, are left out\n")


def test_timestamps_would_be_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken variant: what the checks of a file are for."""
    kept = prometheus._family

    def with_timestamps(*given: Any, **named: Any) -> Iterator[str]:
        for text in kept(*given, **named):
            yield text if text.startswith("#") else text.replace("\n", " 1764321000000\n")

    scope = Scope(store, Selection(), clock.now())
    read("".join(prometheus.metrics(scope)))
    monkeypatch.setattr(prometheus, "_family", with_timestamps)
    with pytest.raises(AssertionError, match="timestamp"):
        read("".join(prometheus.metrics(scope)))
