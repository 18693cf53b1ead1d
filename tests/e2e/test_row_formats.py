"""``csv``, ``jsonl`` and ``joblog``, read by the programs for which they are made: pandas, json, GNU parallel."""

import csv
import io
import json
import math
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from commands import run
from conftest import Shell
from history import FAILED, NOW, SUCCEEDED, a_past, add, play

from batchq.jobs.attempt import Failure
from batchq.report.spreadsheet import COLUMNS
from batchq.store.file.connection import Store
from batchq.store.looking import details, queries

HOSTILE = (
    '=HYPERLINK("http://evil","x")', "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "a,b;c\td", 'a"b""c', "a'b", "a\nb\r\nc",
    "\x1b]0;pwned\x07\x1b[2J", "\x00", "\x7f\x9b31m", "\u202eevil", "a\u2028b", "\ud800", "\ufeffbom", "\ufffe\uffff",
    "NULL", "NaN", "0x10", "1e9", "</script>", "-- ", "{}", "$(touch pwned)", "日本語 🎉", " ", "back\\slash\\n",
)  # fmt: skip
_UNSAFE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
def hostile(store: Store) -> Iterator[Store]:
    """A failed job for each text, which is its name, its command, and its exception."""
    for text in HOSTILE:
        clean = text.replace("\0", "").replace("\ud800", "")
        add(store, f"echo {clean}", name=text)
        failure = Failure(f"E{text}", text)
        play(store, FAILED._replace(failure=failure, exit_code=None, is_final=True))
    yield store


def rows_of(store: Store, *words: str) -> list[dict[str, str]]:
    return [*csv.DictReader(io.StringIO(run(store, *words).out, newline=""))]


def test_csv_has_a_row_for_each_job_with_these_columns(store: Store) -> None:
    add(store, "extract", name="extract", batch="night", key="k1")
    add(store, "load", batch="night", max_attempts=2, queue="net")
    play(store, SUCCEEDED._replace(cpu=0.5, peak=2048), FAILED._replace(is_final=True), now=NOW)

    first, second = rows_of(store, "report", "--format", "csv")

    assert tuple(first) == COLUMNS
    assert first == dict.fromkeys(COLUMNS, "") | {
        "id": "1", "name": "extract", "batch": "night", "queue": "default", "state": "succeeded", "outcome": "succeeded",
        "exit_code": "0", "attempt": "1", "max_attempts": "1", "key": "k1", "command": "extract",
        "created_at": first["created_at"], "started_at": "2023-11-14T22:13:20.000Z",
        "finished_at": "2023-11-14T22:13:21.000Z", "seconds": "1.0", "cpu_seconds": "0.5", "peak_kib": "2048",
    }  # fmt: skip
    assert (second["state"], second["exit_code"], second["queue"]) == ("failed", "3", "net")
    assert re.match("[0-9a-f]{8} exit 3", second["cause"])
    assert b"\r" not in run(store, "list", "--format", "csv").raw


def test_pandas_reads_the_csv_with_the_types_of_the_columns(store: Store) -> None:
    import pandas

    a_past(store, 50)
    table = pandas.read_csv(
        io.BytesIO(run(store, "report", "--format", "csv").raw), parse_dates=["created_at", "started_at", "finished_at"]
    )

    assert len(table) == 50
    assert table["id"].tolist() == [*range(1, 51)]
    assert str(table["started_at"].dtype).startswith("datetime64")
    assert math.isclose(table["seconds"].sum(), run(store, "report", "--json").json["busy_seconds"], abs_tol=0.01)
    assert (table["state"] == "failed").sum() == run(store, "report", "--json").json["counts"].get("failed", 0)


def test_hostile_texts_parse_back_and_no_cell_is_a_formula(hostile: Store) -> None:
    import pandas

    data = run(hostile, "report", "--format", "csv").raw
    rows = rows_of(hostile, "report", "--format", "csv")
    read = pandas.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)

    assert not _UNSAFE.search(data.decode())
    assert len(rows) == len(read) == len(HOSTILE)
    for text, row in zip(HOSTILE, rows, strict=True):
        assert all(not value.startswith(("=", "+", "-", "@", "\t", "\r")) for value in row.values()), row
        assert None not in row and None not in row.values()
        if text.isprintable():
            assert row["error"].removeprefix("'") == text
            assert row["error_type"] == f"E{text}"
    for column in COLUMNS:
        assert [row[column] for row in rows] == read[column].tolist()


def test_each_json_line_is_the_object_of_list_with_its_schema(hostile: Store) -> None:
    data = run(hostile, "report", "--format", "jsonl").raw
    lines = data.decode("ascii").splitlines()
    jobs = run(hostile, "list", "--all", "--json").json["jobs"]

    assert [json.loads(line) for line in lines] == [{"schema": 1} | job for job in jobs]
    assert [job["error"] for job in jobs] == [details.job(hostile, n + 1).job.end.error for n in range(len(HOSTILE))]  # type: ignore[union-attr]
    assert run(hostile, "list", "--all", "--format", "jsonl").raw == data


@pytest.mark.parametrize("form", ["csv", "jsonl", "joblog"])
def test_more_jobs_than_a_page_are_all_there_and_list_and_report_agree(
    store: Store, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(queries, "PAGE", 7)
    a_past(store, 30)
    heads = int(form != "jsonl")

    report = run(store, "report", "--format", form).out.splitlines()

    assert len(report) == 30 + heads
    assert run(store, "list", "--limit", "0", "--format", form).out.splitlines() == report
    newest = run(store, "list", "--limit", "3", "--format", form)
    assert len(newest.out.splitlines()) == 3 + heads
    assert "the newest 3 of 30 jobs" in newest.err
    assert run(store, "list", "999", "--format", form).code == 66


def test_a_job_log_has_one_line_of_nine_columns_for_each_hostile_command(hostile: Store) -> None:
    lines = run(hostile, "report", "--format", "joblog").out.split("\n")[1:-1]

    assert len(lines) == len(HOSTILE)
    for seq, (text, line) in enumerate(zip(HOSTILE, lines, strict=True), 1):
        command = f"echo {text}".replace("\0", "").replace("\ud800", "")
        columns = line.split("\t", 8)
        assert (columns[0], columns[6], columns[7]) == (str(seq), "1", "0")
        if _UNSAFE.search(command):
            assert columns[8] == f"batchq --db {shlex.quote(hostile.path)} retry {seq}"
        else:
            assert columns[8] == command.replace("\n", "\0")


COMMANDS = ("true", "exit 3", "echo {} $(true)\nexit 4", "sleep 60", "kill -9 $$", "exit 5 # tab\there")


@pytest.fixture
def night(batchq: Shell) -> Shell:
    jobs: list[dict[str, Any]] = [
        {"command": command, "timeout": "200ms" if "sleep" in command else "60s"} for command in COMMANDS
    ]
    jobs += [
        {"command": "exit 24", "success_codes": [0, 24]},
        {"command": ["sh", "-c", "exit $0", "7"]},
        {"call": "json:loads"},
        {"command": "exit 8 # \x1b[2J"},
        {"command": "never", "hold": True},
    ]
    batchq("add", "-q", "--format", "jsonl", "-", stdin="\n".join(map(json.dumps, jobs)))
    batchq("add", "-q", "-c", 'echo "$1" "$2"; exit 6', "--", "a b", "'")
    batchq("run", "-q", code=1)
    batchq("report", "-o", "night.joblog")
    return batchq


#: what failed of ``night``: in the words of the log
FAILED_THERE = (
    *COMMANDS[1:],
    "sh -c 'exit $0' 7",
    "batchq retry 9",
    "batchq retry 10",
    """/bin/sh -c 'echo "$1" "$2"; exit 6' sh 'a b' ''"'"''""",
)


def parallel(shell: Shell, *words: str, stdin: str = "") -> list[str]:
    """The commands that parallel would run; they are separated by NUL in ``stdin``."""
    found = subprocess.run(
        ["parallel", "--will-cite", "--joblog", "night.joblog", "--dry-run", "-j1", "-k", *words],
        cwd=shell.folder, env=shell.env, input=stdin, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [line for line in found.stdout.split("\n") if line]


def test_parallel_retries_exactly_the_failed_commands(night: Shell) -> None:
    assert parallel(night, "--retry-failed") == night.full("\n".join(FAILED_THERE)).split("\n")


def test_parallel_resumes_with_the_failed_and_the_unfinished_commands(night: Shell) -> None:
    listed = json.loads(night("list", "--json").out)["jobs"]
    commands = [job["command"] for job in listed]

    again = parallel(night, "--resume-failed", "-0", "{}", stdin="\0".join(commands))

    assert again == "\n".join([*commands[1:6], *commands[7:]]).split("\n")
    assert commands[6] == "exit 24", "which counts as a success"


def test_the_job_log_is_as_parallel_itself_writes_it(night: Shell) -> None:
    def logged(*commands: str, timeout: str) -> list[list[str]]:
        """What parallel writes of these commands, with their sequence numbers at the head."""
        log = night.folder / f"{timeout}.joblog"
        subprocess.run(
            ["parallel", "--will-cite", "--joblog", str(log), "-j1", "--timeout", timeout, "-0"],
            cwd=night.folder, env=night.env, input="\0".join(commands).encode(), capture_output=True, check=False,
            timeout=60,
        )  # fmt: skip
        return [line.split("\t", 8) for line in log.read_text().splitlines()]

    slow = [command for command in COMMANDS if "sleep" in command]
    its = logged(*(command for command in COMMANDS if command not in slow), timeout="50")
    its += logged(*slow, timeout="0.3")[1:]
    ours = [line.split("\t", 8) for line in (night.folder / "night.joblog").read_text().splitlines()]

    assert its[0] == ours[0]
    of_command = {line[8]: line for line in its[1:]}
    for seq, (command, mine) in enumerate(zip(COMMANDS, ours[1:], strict=False), 1):
        theirs = of_command[command.replace("\n", "\0")]
        assert (mine[0], mine[1], mine[4], mine[5]) == (str(seq), theirs[1], "0", "0")
        assert len(mine[3]) == len(theirs[3]) == 10
        assert mine[6:] == theirs[6:]
    assert [line[0] for line in its[1:-1]] == [str(seq) for seq in range(1, len(COMMANDS))]
    assert ours[3][8] == "echo {} $(true)\0exit 4"


def test_seq_is_the_position_in_the_selection_and_commands_name_the_store(night: Shell) -> None:
    lines = night("report", "8-10", "--db", str(night.db()), "--format", "joblog").out.splitlines()[1:]

    assert [line.split("\t")[0] for line in lines] == ["1", "2", "3"]
    assert lines[1].split("\t")[8] == f"batchq --db {shlex.quote(str(night.db()))} retry 9"
