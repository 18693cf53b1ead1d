"""``trace``: the events as the trace event format asks for them, and that no two attempts overlap in a slot."""

import itertools
import json
import random
import re
from collections import Counter
from typing import Any

import pytest
from commands import run
from conftest import Shell
from history import FAILED, NOW, SUCCEEDED, add, claim, play

from batchq.report import slots
from batchq.store.file.connection import Store

Event = dict[str, Any]
_UNSAFE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def events_of(store: Store, *words: str) -> list[Event]:
    text = run(store, "report", "--format", "trace", *words).out
    assert text.isascii()
    trace = json.loads(text)
    assert trace["displayTimeUnit"] == "ms"
    events: list[Event] = trace["traceEvents"]
    for event in events:
        assert event["ph"] in "XCM"
        assert type(event["pid"]) is int and type(event["tid"]) is int and type(event["name"]) is str
        assert event["ph"] == "M" or (type(event["ts"]) is int and event["ts"] >= 0)
    return events


def slices_of(events: list[Event]) -> list[Event]:
    return [event for event in events if event["ph"] == "X"]


def overlapping(slices: list[Event]) -> list[tuple[Event, Event]]:
    """The pairs of neighbours in one slot of which the second begins before the first has ended."""
    ordered = sorted(slices, key=lambda one: (one["pid"], one["tid"], one["ts"]))
    return [
        (one, other)
        for one, other in itertools.pairwise(ordered)
        if (one["pid"], one["tid"]) == (other["pid"], other["tid"]) and one["ts"] + one["dur"] > other["ts"]
    ]


def a_busy_night(store: Store) -> None:
    """Two runs of three slots; of the times only milliseconds are stored, so neighbours seem to overlap."""
    chance = random.Random(7)
    add(store, *(f"job {number}" for number in range(300)), batch="night")
    play(store, *[SUCCEEDED] * 2)
    with store.writing() as db:
        db.execute("DELETE FROM attempts")
        db.execute("UPDATE jobs SET state = 'queued', finished_at = NULL, started_at = NULL, attempt = 0")
        db.execute("UPDATE runners SET slots = 3")
        for pid in (1, 2):
            free = [0.0] * 3
            for job in range(pid, 301, 2):
                slot = free.index(min(free))
                seconds = chance.choice((0.0001, 0.0004, 0.003, 0.2))
                start = free[slot] + chance.choice((0.0, 0.0002))
                free[slot] = start + seconds
                outcome = "failed" if job % 10 == 0 else "succeeded"
                db.execute(
                    "INSERT INTO attempts (job, number, token, runner, outcome, started_at, finished_at, seconds)"
                    f" VALUES ({job}, 1, {job}, {pid}, '{outcome}', {NOW + int(start * 1000)},"
                    f" {NOW + int((start + seconds) * 1000)}, {seconds})"
                )
                db.execute(f"UPDATE jobs SET state = '{outcome}', attempt = 1, finished_at = {NOW} WHERE id = {job}")
        db.execute("DELETE FROM counters")
        db.execute("INSERT INTO counters SELECT state, queue, batch, count(*) FROM jobs GROUP BY 1, 2, 3")


def test_each_attempt_is_a_slice_in_a_slot_of_its_run_and_no_two_overlap(store: Store) -> None:
    a_busy_night(store)

    slices = slices_of(events_of(store))

    assert Counter(one["args"]["job"] for one in slices) == Counter(range(1, 301))
    assert Counter(one["cat"] for one in slices) == {"failed": 30, "succeeded": 270}
    assert {(one["pid"], one["tid"]) for one in slices} == {(pid, tid) for pid in (1, 2) for tid in (1, 2, 3)}
    assert overlapping(slices) == []
    assert all(("cname" in one) == (one["cat"] == "failed") for one in slices)


def test_lanes_that_are_given_out_carelessly_would_be_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    a_busy_night(store)
    monkeypatch.setattr(slots.Slots, "take", lambda self, run, start, end: (0, start))

    assert overlapping(slices_of(events_of(store)))


def test_runs_and_slots_have_names_before_their_first_slice(store: Store) -> None:
    a_busy_night(store)
    named: set[tuple[int, int]] = set()

    for event in events_of(store):
        if event["ph"] == "M":
            where = (event["pid"], event["tid"] if event["name"] == "thread_name" else 0)
            assert where not in named
            named.add(where)
        elif event["ph"] == "X":
            assert {(event["pid"], 0), (event["pid"], event["tid"])} <= named
    names = [event["args"]["name"] for event in events_of(store) if event["ph"] == "M" and event["pid"] == 1]
    assert names == ["run 1 (3 slots)", "slot 1", "slot 2", "slot 3"]


def test_the_counters_end_with_nothing_running_and_all_failures(store: Store) -> None:
    a_busy_night(store)
    counters: dict[str, list[tuple[int, int]]] = {"running": [], "failed": []}
    for event in events_of(store):
        if event["ph"] == "C":
            counters[event["name"]].append((event["ts"], event["args"][event["name"]]))

    for values in counters.values():
        assert [at for at, _ in values] == sorted(at for at, _ in values)
        assert len(values) < 1200
    assert counters["running"][-1][1] == 0
    assert max(value for _, value in counters["running"]) <= 2 * 4, "attempts of the same millisecond"
    assert counters["failed"][-1][1] == 30
    assert [value for _, value in counters["failed"]] == sorted(value for _, value in counters["failed"])


def test_every_attempt_counts_and_since_leaves_out_what_ended_before(store: Store) -> None:
    add(store, "load", name="load", max_attempts=3, backoff=0)
    play(store, FAILED)
    play(store, FAILED, now=NOW + 5000)
    play(store, SUCCEEDED, now=NOW + 9000)

    slices = slices_of(events_of(store))
    assert [(one["name"], one["args"]["attempt"], one["cat"]) for one in slices] == [
        ("load", 1, "failed"), ("load", 2, "failed"), ("load", 3, "succeeded"),
    ]  # fmt: skip
    assert [one["ts"] for one in slices] == [0, 5_000_000, 9_000_000]
    assert [one["dur"] for one in slices] == [2_000_000, 2_000_000, 1_000_000]


def test_a_job_that_runs_is_a_slice_until_now(store: Store) -> None:
    add(store, "long", name="long")
    claim(store)

    (one,) = slices_of(events_of(store))

    assert (one["name"], one["cat"]) == ("long", "running")
    assert one["dur"] > 0


def test_no_job_and_no_attempt_are_an_empty_trace(store: Store) -> None:
    assert events_of(store) == []
    add(store, "waits")
    assert events_of(store) == []


@pytest.mark.parametrize(
    "text", ["</script>", '"},{"ph":"X"', "\x1b[2J", "\u202eevil", "\ud800", "a\nb\0", "日本語 🎉"]
)
def test_a_hostile_name_is_only_a_name(store: Store, text: str) -> None:
    add(store, "true", name=text, queue="q")
    play(store, SUCCEEDED)

    (one,) = slices_of(events_of(store))

    assert not _UNSAFE.search(one["name"])
    assert one["name"] == text or not text.isprintable()


def test_a_real_run_is_traced(batchq: Shell) -> None:
    batchq("add", "-q", "-", stdin="true\nfalse\nsleep 0.1\n" * 5)
    batchq("run", "-q", "-j", "2", code=1)
    batchq("report", "-o", "night.trace.json")

    slices = slices_of(json.loads((batchq.folder / "night.trace.json").read_text())["traceEvents"])

    assert len(slices) == 15
    assert {one["tid"] for one in slices} == {1, 2}
    assert overlapping(slices) == []
