"""``batchq list``: its columns, what is in them, and its order, off a terminal and in a window of any width."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import run
from conftest import Shell, eventually, finish
from history import FAILED, NOW, SUCCEEDED, a_night, a_past, add, play
from hypothesis import given
from hypothesis import strategies as st
from terminal import on_terminal

from batchq import clock
from batchq.jobs.attempt import Failure
from batchq.jobs.lifecycle import STATES
from batchq.jobs.selection import Selection
from batchq.report.columns import COLUMNS, Column
from batchq.report.layout import Look
from batchq.report.listing import listing, shares
from batchq.report.widths import width
from batchq.store.file.connection import Store
from batchq.store.looking import queries, sorting


def ids(store: Store, *words: str) -> list[int]:
    return [job["id"] for job in run(store, "list", "--json", *words).json["jobs"]]


@pytest.fixture(name="mixed")
def _mixed(store: Store) -> Store:
    """One job or more in each state but running, with values in all columns."""
    add(store, "true", name="a", tags=["x", "y"], key="k", priority=3, queue="net", batch="night")
    add(store, "false", name="b", max_attempts=2, batch="night")
    play(
        store, SUCCEEDED._replace(cpu=0.5, peak=2048), FAILED._replace(cause="12345678 exit 3 | refused", is_final=True)
    )
    add(store, "kill -9 $$")
    play(store, FAILED._replace(exit_code=None, signal=9, seconds=0.5))
    add(store, "a:b")
    play(store, FAILED._replace(exit_code=None, failure=Failure("KeyError", "'x'"), seconds=7.0))
    add(store, "c", hold=True)
    add(store, "d", run_at="2100-01-01T00:00Z")
    add(store, "e", queue="net")
    add(store, "f", after=["1"])
    return store


# --- columns -----------------------------------------------------------------------------------------------------------


def test_the_reason_has_a_column_of_its_own(store: Store) -> None:
    a_night(store)
    add(store, "echo hi", hold=True)
    add(store, "true", run_at="2100-01-01T00:00Z")
    run(store, "cancel", "3")

    due = clock.local(clock.instant("2100-01-01T00:00Z"))
    rows = run(store, "list", "--columns", "id,reason,command").out.splitlines()
    assert [" ".join(row.split()) for row in rows] == [
        "ID REASON COMMAND",
        "1 - extract",
        "2 exit code 3: refused psql -f load.sql",
        "3 cancelled by hand waits",
        "4 added with hold echo hi",
        f"5 due at {due} true",
    ]


def test_nothing_is_cropped_off_a_terminal(store: Store) -> None:
    folder = "/nope/" + "long/" * 100
    add(store, "true " + "x" * 300, name="n" * 255, batch="b" * 255)
    play(store, FAILED._replace(exit_code=None, failure=Failure("NoSuchFolder", f"cannot enter {folder!r}")))

    told = run(store, "list").out

    assert f"NoSuchFolder: cannot enter {folder!r}" in told
    assert "…" not in told and all(text in told for text in ("x" * 300, "n" * 255, "b" * 255))


def test_a_long_label_does_not_push_the_other_lines(store: Store) -> None:
    add(store, "one", name="short")
    add(store, "two", name="n" * 100)

    first, second, third = run(store, "list", "--columns", "id,name,command").out.splitlines()

    assert first.index("COMMAND") == second.index("one") == 4 + 50 + 2
    assert third == f" 2  {'n' * 100}  two"


def test_a_running_job_took_its_age(batchq: Shell) -> None:
    batchq("add", "-c", ": > begun; while [ ! -e go ]; do sleep 0.02; done")
    running = batchq.start("run", "-q")
    eventually((batchq.folder / "begun").exists)
    lines = batchq("list", "--columns", "state,took,reason").out.splitlines()
    (batchq.folder / "go").touch()

    assert finish(running).code == 0
    state, took, unit, reason = lines[1].split()
    assert (state, unit[-1], reason) == ("running", "s", "-")
    assert float(took) >= 0


def test_times_have_a_zone(batchq: Shell) -> None:
    batchq("add", "--", "true")
    batchq("run")
    tokyo = {"TZ": "JST-9"}

    listed = batchq("list", "--columns", "since,added,started,finished", env=tokyo).out
    assert listed.count("+0900") == 4
    assert batchq("show", "1", env=tokyo).out.count("+0900") == 4
    assert "+0900" in batchq("report", env=tokyo).out
    since = listed.splitlines()[1][:25]
    assert "1" in batchq("list", "--columns", "id", "--since", since, env={"TZ": "UTC0"}).out, "what is printed is read"


def test_columns_are_asked_for_by_each_of_their_names_in_each_format(mixed: Store) -> None:
    asked = "id,seconds,took,tags,exit_code,reason"
    table = run(mixed, "list", "--columns", asked, "1").out.splitlines()
    (row,) = csv.DictReader(io.StringIO(run(mixed, "list", "--columns", asked, "1", "--format", "csv").out))
    (document,) = run(mixed, "list", "--columns", asked, "1", "--json").json["jobs"]
    line = run(mixed, "list", "--columns", asked, "1", "--format", "jsonl").json

    assert table[0].split() == ["ID", "TOOK", "TOOK", "TAGS", "EXIT", "CODE", "REASON"]
    assert table[1].split() == ["1", "1.0", "s", "1.0", "s", "x,", "y", "0", "-"]
    assert row == {"id": "1", "seconds": "1.0", "took": "1.0", "tags": "x, y", "exit_code": "0", "reason": ""}
    assert document == {"id": 1, "seconds": 1.0, "took": 1.0, "tags": ["x", "y"], "exit_code": 0, "reason": None}
    assert line == {"schema": 1} | document


def test_each_column_is_what_json_has_under_its_name(mixed: Store) -> None:
    every = [word for name, column in COLUMNS.items() for word in (name, column.field)]
    whole = run(mixed, "list", "--all", "--json").json["jobs"]
    chosen = run(mixed, "list", "--all", "--json", "--columns", ",".join(every)).json["jobs"]

    assert len(chosen) == len(whole) == 8
    for job, all_of_it in zip(chosen, whole, strict=True):
        for name, column in COLUMNS.items():
            assert job[name] == job[column.field]
            if name not in ("age", "since", "reason"):
                assert (job[name] or None) == (all_of_it[column.field] or None), name


@pytest.mark.parametrize("option", ["--columns", "--sort"])
def test_an_unknown_column_is_refused_with_all_there_are(store: Store, option: str) -> None:
    done = run(store, "list", option, "id,tok")

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"{option}: no column 'tok' (did you mean 'took'?); the columns are id, state, tries, ")
    assert "\n" not in done.err and all(name in done.err for name in COLUMNS)


def test_the_page_about_the_list_has_each_column_with_both_names() -> None:
    page = (Path(__file__).parents[2] / "docs" / "list.md").read_text()

    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, re.M)
    assert rows == [(name, column.field) for name, column in COLUMNS.items()]


def test_a_job_log_has_its_own_columns(store: Store) -> None:
    assert run(store, "list", "--columns", "id", "--format", "joblog").code == 2


# --- order -------------------------------------------------------------------------------------------------------------


def test_each_column_can_be_sorted_by() -> None:
    assert [*sorting.KEYS] == [*COLUMNS]


def test_jobs_are_sorted_by_each_column_in_both_directions_and_those_without_a_value_come_last(mixed: Store) -> None:
    every = run(mixed, "list", "--all", "--json", "--columns", ",".join(COLUMNS)).json["jobs"]
    jobs = {job["id"]: job for job in every}
    compared = [name for name in COLUMNS if name not in ("tags", "reason", "command")]  # compared as they are stored

    for name, sign in ((name, sign) for name in COLUMNS for sign in ("", "-")):
        got = [jobs[id] for id in ids(mixed, "--all", "--sort", sign + name)]
        assert {job["id"] for job in got} == {*jobs}
        if name in compared:
            found = [job[name] for job in got if job[name] not in (None, "")]
            values = [STATES.index(value) for value in found] if name == "state" else found
            assert values == sorted(values, reverse=bool(sign)), name
            assert all(job[name] in (None, "") for job in got[len(values) :]), name


def test_the_slowest_are_first_and_of_equal_ones_the_smaller_id(mixed: Store) -> None:
    assert ids(mixed, "--all", "--sort", "-took") == [4, 2, 1, 3, 5, 6, 7, 8]
    assert ids(mixed, "--sort", "state,-id") == [5, 6, 8, 7, 1, 4, 3, 2]
    assert ids(mixed, "--failed", "--sort", "took") == [3, 2, 4]
    assert ids(mixed, "--sort", "-age")[-1] == ids(mixed, "--sort", "since")[-1]


def test_a_limit_takes_the_first_of_the_order(mixed: Store) -> None:
    done = run(mixed, "list", "--sort", "-took", "--limit", "2", "--columns", "id")

    assert done.out.split() == ["ID", "4", "2"]
    assert done.err == "batchq: list: the first 2 of 8 jobs; --limit 0 shows all\n"


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "joblog"])
def test_sorted_pages_have_no_gap_in_any_format(store: Store, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(queries, "PAGE", 7)
    a_past(store, 30)

    told = run(store, "list", "--all", "--sort", "-id", "--format", form).out

    assert [*dict.fromkeys(map(int, re.findall("job ([0-9]+)", told)))] == [*range(29, -1, -1)]


# --- a window ----------------------------------------------------------------------------------------------------------


def lines_of(store: Store, window: int | None, columns: Sequence[Column] = (), *, wide: bool = False) -> list[str]:
    return "".join(listing(queries.pages(store, Selection()), Look(window), NOW, columns, wide=wide)).splitlines()


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 120, 200])
def test_lines_fit_into_any_window_whatever_the_names(store: Store, columns: int) -> None:
    for name in ("日本語" * 20, "n" * 200, "🎉" * 30, "x"):
        add(store, f"echo {name}", name=name, batch=name, queue=name[:9])
    play(store, FAILED._replace(exit_code=None, failure=Failure("Error", "日本" * 50), is_final=True))

    lines = lines_of(store, columns)

    assert len(lines) == 5
    assert all(width(line) <= columns for line in lines)
    assert (lines[0].split()[:2] == ["ID", "STATE"] and "COMMAND" in lines[0]) or columns == 20
    assert all(width(line) <= columns for line in lines_of(store, columns, [*COLUMNS.values()]))


def test_columns_that_distinguish_nothing_are_left_out_on_a_terminal_only(store: Store) -> None:
    add(store, "a", batch="night", queue="net")
    add(store, "b", batch="night", queue="net")
    assert lines_of(store, 120)[0].split() == ["ID", "STATE", "TOOK", "AGE", "COMMAND"]

    add(store, "c", batch="day", queue="net", name="n")
    assert lines_of(store, 120)[0].split() == ["ID", "STATE", "TOOK", "AGE", "BATCH", "NAME", "COMMAND"]
    whole = ["ID", "STATE", "TRIES", "TOOK", "SINCE", "BATCH", "QUEUE", "NAME", "REASON", "COMMAND"]
    assert lines_of(store, None)[0].split() == lines_of(store, 40, wide=True)[0].split() == whole
    assert lines_of(store, None)[1:] == lines_of(store, 40, wide=True)[1:]


def test_a_long_list_keeps_columns_that_later_pages_may_need(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "PAGE", 3)
    monkeypatch.setattr("batchq.report.listing.PAGE", 3)
    add(store, *["true"] * 3)
    add(store, "true", batch="night", name="late")

    head, *rows = lines_of(store, 120)

    assert head.split() == ["ID", "STATE", "TRIES", "TOOK", "AGE", "BATCH", "QUEUE", "NAME", "REASON", "COMMAND"]
    assert rows[3].split()[-4:] == ["default", "late", "-", "true"] and "night" in rows[3]


def test_a_narrow_window_loses_columns_before_reason_and_command_are_unreadable(mixed: Store) -> None:
    heads = {columns: lines_of(mixed, columns)[0].split() for columns in (40, 60, 80, 120)}

    assert heads[120] == ["ID", "STATE", "TOOK", "AGE", "BATCH", "QUEUE", "NAME", "REASON", "COMMAND"]
    assert heads[40][:2] == ["ID", "STATE"] and heads[40][-2:] == ["REASON", "COMMAND"]
    assert {*heads[40]} <= {*heads[60]} <= {*heads[80]} <= {*heads[120]}


@given(st.lists(st.integers(0, 60)), st.integers(0, 200))
def test_shares_give_all_there_is_and_nobody_more_than_wanted(wanted: list[int], room: int) -> None:
    given_ = shares(wanted, room)

    assert all(0 <= got <= want for got, want in zip(given_, wanted, strict=True))
    assert sum(given_) == min(sum(wanted), room)
    short = [got for got, want in zip(given_, wanted, strict=True) if got < want]
    assert not short or max(given_) - min(short) <= 1, "nobody has more than one who wants more"


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_on_a_real_terminal_each_job_is_one_line_and_wide_is_whole(batchq: Shell, columns: int) -> None:
    batchq("add", "--name", "日本語のジョブ", "-c", "echo " + "x" * 200)
    batchq("add", "--hold", "--", "true")
    with on_terminal(batchq, "list", columns=columns, rows=50) as seen:
        assert seen.wait() == 0
        lines = seen.screen().splitlines()
    with on_terminal(batchq, "list", "--wide", columns=columns, rows=50) as seen:
        assert seen.wait() == 0
        whole = seen.screen().replace("\n", "")

    assert len(lines) == 3 and lines[1].endswith("…") and "added" in lines[2]
    assert lines[0].split()[0] == "ID" and lines[0].split()[-1].startswith("COMMAND"[:4])
    assert "x" * 200 in whole and "SINCE" in whole
