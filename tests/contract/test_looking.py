"""``report`` and ``list`` as commands on a real store."""

import json
import os

import pytest
from commands import run
from conftest import Shell
from history import FAILED, HOSTILE, NOW, SUCCEEDED, a_night, add, claim, out, play
from nights import a_large_night

from batchq import clock
from batchq.jobs.attempt import Failure, Outcome
from batchq.store.file.connection import Store
from batchq.store.file.locks import LockFile
from batchq.store.file.opening import open_at
from batchq.store.looking import times


def test_a_report_says_at_once_what_happened_and_then_what_failed_and_why(store: Store) -> None:
    a_night(store)

    lines = run(store, "report").out.splitlines()

    assert lines[0] == "3 jobs: 1 succeeded, 1 failed, 1 queued, in 4 runs that took 7.0 s (17 jobs/min)"
    assert lines[1].startswith("4 attempts, 2 retries, 7.0 s of work, from 2023-11-1")
    assert lines[2:] == [
        f"on {os.uname().nodename}, store {store.path}",
        "",
        "JOBS  CAUSE",
        "   1  exit 3: refused",
        f"      job 2 (load), {clock.local(NOW + 172_807_000)}",
        f"      batchq --db {store.path} retry 2",
        "",
        "LIKE THIS  job 2 (load), attempt 3 of 3: exit code 3, after 2.0 s",
        "  $ psql -f load.sql",
        "  stderr:",
        "    refused",
        f"  all about it: batchq --db {store.path} show 2",
        "",
        "SLOWEST",
        "  2.0 s    2  failed     load: psql -f load.sql",
        "  1.0 s    1  succeeded  extract: extract",
        "",
        "OPEN",
        "  queued     1",
    ]


def test_a_report_in_json_is_schema_1(store: Store) -> None:
    a_night(store)

    told = run(store, "report", "--json", "--batch", "night").json

    assert (told["schema"], told["kind"], told["jobs"]) == (1, "report", 3)
    assert told["counts"] == {"queued": 1, "succeeded": 1, "failed": 1}
    assert (told["attempts"], told["retries"], told["busy_seconds"]) == (4, 2, 7.0)
    assert told["first_started"] == "2023-11-14T22:13:20.000Z"
    (failure,) = told["failures"]
    assert (failure["id"], failure["ended"], failure["exit_code"]) == (2, "exit code 3", 3)
    assert (failure["log"], failure["log_stream"], failure["log_cut"]) == ("refused\n", "stderr", False)
    assert run(store, "report", "--format", "json", "--batch", "night").json["counts"] == told["counts"]


def test_a_report_in_json_has_the_reasons_and_the_times(store: Store) -> None:
    a_large_night(store, 300)

    told = run(store, "report", "--json").json

    first, *rest = told["causes"]
    assert (first["ending"], first["title"], first["where"]) == (
        "exception",
        "URLError: <urlopen error [Errno 111] Connection refused>",
        "at fetch.py:10",
    )
    assert first["jobs"] + sum(one["jobs"] for one in rest) == told["counts"]["failed"] == 9
    assert (first["ids"], first["examples"]) == ("8,41,107,140,206", [8, 41, 107])
    assert first["retry"] == f"batchq --db {store.path} retry 8,41,107,140,206"
    assert (len(first["causes"]), first["last_time"], first["queues"]) == (1, None, {"cpu": 3, "net": 2})
    assert first["first_failed_at"] == "2023-11-14T22:13:20.022Z"
    assert told["took"] == {"p50": 0.046, "p90": 0.086, "p99": 0.095, "max": 0.096, "sample": None}
    assert told["waited"]["p50"] < 1


def test_the_exit_code_of_a_report_is_about_failed_jobs_when_asked(store: Store) -> None:
    a_night(store)

    assert run(store, "report").code == 0
    assert run(store, "report", "--exit-code").code == 1
    assert run(store, "report", "--exit-code", "--json", "2").code == 1
    assert run(store, "report", "--exit-code", "1", "3").code == 0
    assert run(store, "report", "--exit-code", "last").code == 0


def test_of_many_reasons_ten_are_shown_and_the_command_for_the_rest(store: Store) -> None:
    words = (
        "alpha",
        "beta is",
        "c has no",
        "delta was not so",
        "e",
        "f was of no",
        "gamma",
        "no h",
        "i did it so that",
        "j",
    )
    add(store, *["false"] * 26, batch="night")
    play(store, *[FAILED._replace(stderr=out(f"error: {word}\n".encode())) for word in words for _ in range(2)])
    play(store, *[FAILED._replace(exit_code=code) for code in range(6)])

    told = run(store, "report", "--batch", "night").out

    assert told.startswith("26 jobs: 26 failed for 16 reasons, in ")
    assert told.count(" retry ") == 11
    assert f"and 6 jobs for 6 rarer reasons:\n      batchq --db {store.path} list 1-26\n" in told
    assert f"All of them again:\n      batchq --db {store.path} retry 1-26\n" in told


def test_the_first_ten_lines_name_the_most_frequent_reason_its_place_and_its_command(store: Store) -> None:
    a_large_night(store, 3_000)

    told = run(store, "report").out

    first = "\n".join(told.splitlines()[:10])
    for fact in (
        "3,000 jobs",
        "91 failed for 5 reasons",
        "\n  46  URLError: <urlopen error [Errno 111] Connection",
    ):
        assert fact in first
    assert "\n      at fetch.py:10, " in first
    assert f"\n      batchq --db {store.path} retry 8-2978 --cause " in first
    assert "    … 1 frame in request.py\n" in told
    assert "\nTIMES  half up to 48 ms, 90 % 87 ms, 99 % 95 ms, longest 96 ms\n" in told


def test_a_report_names_what_is_estimated_if_there_are_very_many_jobs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "MOST", 2_000)
    monkeypatch.setattr(times, "SAMPLE", 1_500)
    a_large_night(store, 3_000)

    told = run(store, "report").out

    assert told.startswith("3,000 jobs: 2,909 succeeded, 91 failed for 5 reasons, in ")
    assert "\nabout 3,000 attempts, " in told
    assert "(estimated from 1,500 of the jobs)\n" in told
    assert "longest 96 ms (of 1,500 of the jobs)\n" in told
    assert "SLOWEST" not in told
    exact = run(store, "report", "--json").json
    assert exact["attempts"] == 3_010
    assert len(exact["slowest"]) == 5


def test_signs_that_an_encoding_does_not_have_are_spelled_out(batchq: Shell) -> None:
    for number in range(2):
        batchq("add", "-q", "-c", f"echo 'error: no lease on shard {number}' >&2; exit 3")
    batchq("run", "-q", code=None)

    told = batchq("report", env={"PYTHONIOENCODING": "ascii"}).out

    assert "exit 3: error: no lease on shard ..." in told
    assert "\\u" not in told


def test_a_report_on_nothing_says_so(store: Store) -> None:
    assert run(store, "report").out == f"no jobs to report in {store.path}\n"
    assert run(store, "report", "--json").json["jobs"] == 0


def test_nothing_has_run_yet(store: Store) -> None:
    add(store, "a", "b")

    assert run(store, "report").out.splitlines()[0] == "2 jobs: 2 queued; nothing has run yet"


def test_what_runs_and_what_is_due_is_named(store: Store) -> None:
    add(store, "a", name="busy")
    claim(store)
    life = LockFile(store.path)
    store.db.execute("UPDATE runners SET liveness = ?", (life.hold_liveness(),))
    add(store, "b", run_at="2100-01-01T00:00Z")

    told = run(store, "report").out

    assert "job 1 (busy) for " in told
    assert "next due " in told
    life.close()
    assert "lost" in run(store, "report").out


@pytest.mark.parametrize(
    "words", [("report",), ("list",), ("show", "1"), ("report", "--json"), ("show", "1", "--json")]
)
def test_hostile_output_reaches_nobody_unescaped(store: Store, words: tuple[str, ...]) -> None:
    add(store, "echo \x1b[31m\u202e", name="x")
    trouble = Failure("Error\x1b", "\x1b[2J\u2066", "Traceback \x1b[31m\n")
    play(store, Outcome("failed", failure=trouble, stdout=out(HOSTILE), stderr=out(HOSTILE)))

    told = run(store, *words).raw

    assert not any(byte < 32 and byte != 10 for byte in told)
    for bad in ("\x7f", "\u009b", "\u202e", "\u2066"):
        assert bad.encode() not in told


def test_words_that_are_no_utf8_make_valid_json(store: Store) -> None:
    add(store, command=["cat", os.fsdecode(b"\xff.txt"), "\\ud800 🎉"])
    play(store, SUCCEEDED)

    (job,) = run(store, "list", "--json").json["jobs"]

    assert job["work"] == ["cat", "\\xff.txt", "\\ud800 🎉"]
    json.dumps(job, ensure_ascii=False).encode()


# --- list --------------------------------------------------------------------------------------------------------------


def test_a_list_has_one_whole_line_for_each_job_off_a_terminal(store: Store) -> None:
    a_night(store)
    add(store, "echo " + "x" * 500 + "\necho two")

    lines = run(store, "list").out.splitlines()
    ((added,),) = store.fetch("SELECT created_at FROM jobs WHERE id = 2")

    assert lines[0].split() == [
        *("ID", "STATE", "TRIES", "TOOK", "SINCE", "BATCH", "QUEUE", "NAME", "REASON", "COMMAND")
    ]
    assert lines[2].split() == [
        *("2", "failed", "3", "2.0", "s", *clock.local(added).split(), "night", "default", "load"),
        *("exit", "code", "3:", "refused", "psql", "-f", "load.sql"),
    ]
    assert lines[4].endswith("x" * 500 + r"\necho two'")
    assert len(lines) == 5


def test_a_list_without_selection_shows_the_newest_fifty_and_says_so(store: Store) -> None:
    add(store, *["true"] * 60)

    done = run(store, "list")
    assert [line.split()[0] for line in done.out.splitlines()] == ["ID", *map(str, range(11, 61))]
    assert done.err == "batchq: list: the newest 50 of 60 jobs; --limit 0 shows all\n"

    assert len(run(store, "list", "--limit", "0").out.splitlines()) == 61
    assert len(run(store, "list", "--all").out.splitlines()) == 61
    assert len(run(store, "list", "1-55").out.splitlines()) == 56
    assert [job["id"] for job in run(store, "list", "--limit", "2", "--json", "1-55").json["jobs"]] == [54, 55]


def test_a_long_list_comes_in_pages_without_a_gap(store: Store) -> None:
    add(store, *["true"] * 2500)

    listed = run(store, "list", "--all", "--json").json
    assert [job["id"] for job in listed["jobs"]] == list(range(1, 2501))
    assert listed["total"] == 2500


def test_an_empty_list_is_empty_on_stdout(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/nowhere")  # no other store that may have jobs
    assert run(store, "list").out == ""
    assert run(store, "list").err == f"batchq: list: no jobs in {store.path}\n"
    assert run(store, "list", "--json").json == {"schema": 1, "kind": "list", "total": 0, "jobs": []}


def test_words_after_the_dashes_are_a_selection_too(store: Store) -> None:
    add(store, "a", "b")

    assert [job["id"] for job in run(store, "list", "--json", after=["2"]).json["jobs"]] == [2]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("list", "17"), 66, "there is no job 17 in "),
        (("report", "17"), 66, "there is no job 17 in "),
        (("show", "17"), 66, "there is no job 17 in "),
        (("logs", "17"), 66, "there is no job 17 in "),
        (("retry", "17"), 66, "there is no job 17 in "),
        (("list", "x"), 2, "'x' is not a job"),
        (("list", ""), 2, "an empty word selects nothing"),
        (("list", "--batch", ""), 2, "--batch is empty"),
        (("list", "--state", "faild"), 2, "did you mean 'failed'?"),
        (("show", "3-9"), 66, "there is no job from 3 to 9 in "),
        (("show", "load-*"), 66, "no job has a name like 'load-*' in "),
        (("explain", "x"), 2, "'x' is not a job"),
        (("show",), 2, "say which jobs"),
        (("explain",), 2, "say which jobs"),
        (("logs",), 2, "say which jobs"),
        (("retry",), 2, "say which jobs: ids, --failed, --batch NAME or last"),
        (("hold",), 2, "say which jobs"),
        (("release",), 2, "say which jobs"),
    ],
)
def test_what_cannot_be_meant_is_refused(store: Store, words: tuple[str, ...], code: int, sentence: str) -> None:
    add(store, "a", "b")

    done = run(store, *words)

    assert done.code == code
    assert sentence in done.err
    assert done.out == ""


def test_a_locale_that_knows_only_ascii_ends_no_report(batchq: Shell) -> None:
    with open_at(str(batchq.db())) as store:
        add(store, "echo ü", name="größe")
        play(store, FAILED)

    assert r"gr\xf6\xdfe" in batchq("report", env={"PYTHONIOENCODING": "ascii"}).out
    assert r"gr\xf6\xdfe" in batchq("list", env={"PYTHONIOENCODING": "ascii"}).out
    assert "größe" in batchq("list").out
