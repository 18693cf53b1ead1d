"""JUnit files: they follow the schema of Jenkins, count what the store counts, and name a job equally each night."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import junitparser
import pytest
from conftest import Shell, nothing_left
from lxml import etree
from nights import a_large_night
from soaking import SOAK

from batchq.report import junit
from batchq.report.numbering import Numbering
from batchq.store.file.opening import open_at

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).parents[1] / "data" / "junit-10.xsd"))
HARMFUL = (
    "]]>&amp;<b>&#27;",
    "\x1b[2J\x07\x9b31m",
    "a\u202egpj.exe\u2028\u2029",
    "\ufffe\uffff",
    "line 1\r\nline 2\ttab",
    "\"'><testcase name='x'/>",
    "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    "x" * 3000,
    "𝕏\u0301" * 300,
)
MODULE = f"""
import os, pathlib, signal
HARMFUL = {HARMFUL!r}
def fail(n): raise ValueError(HARMFUL[n])
def second(): 
    if os.environ["BATCHQ_ATTEMPT"] == "1": raise KeyError("price")
def crash(): os.kill(os.getpid(), signal.SIGKILL)
"""


def night() -> str:
    jobs: list[dict[str, Any]] = [
        {"command": "true", "name": "same"},
        {"command": "true", "name": "same"},
        {"command": "true", "name": "same [2]"},
        {"command": "true", "name": "same", "batch": "other"},
        {"command": ["echo", "no name"]},
        {"command": ["echo", "no name"]},
        {"command": "echo to stdout; echo 'bad <sum> of part-7' >&2; exit 3", "name": "sum"},
        {"command": "exit 4", "name": "silent", "max_attempts": 8, "backoff": "1ms"},
        {"command": ["sleep", "9"], "timeout": "50ms", "name": "slow"},
        {"call": "mine:second", "name": "flaky", "max_attempts": 2, "backoff": "1ms"},
        {"command": "true", "name": "held", "hold": True},
        {"command": "exit 1", "name": "parent"},
        {"command": "true", "name": "child", "after": ["parent"]},
    ]
    for n, text in enumerate(HARMFUL):
        jobs += [
            {"command": [text], "name": f"{n} {''.join(c for c in text[:60] if c.isprintable())}"},
            {"command": ["sh", "-c", f"cat harm{n} >&2; exit 3"]},
            {"call": "mine:fail", "args": {"n": n}, "batch": "<i>&\"'"},
        ]
    return "".join(json.dumps({"batch": "night"} | job) + "\n" for job in jobs)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """The store after two nights of the same jobs."""
    folder = tmp_path_factory.mktemp("nights")
    with nothing_left(folder):
        shell = Shell(folder)
        shell.make_store()
        (folder / "mine.py").write_text(MODULE)
        for n, text in enumerate(HARMFUL):
            (folder / f"harm{n}").write_bytes(b"first\n" + text.encode("utf-8", "surrogatepass") + b"\xff\xfe\n")
        for _ in range(2):
            shell("add", "-q", "--format", "jsonl", "-", stdin=night())
            shell("run", "-q", "-j4", code=1)
        yield shell


def parsed(text: str) -> Any:
    """The root of a file that is well-formed, follows the schema, and has no character that XML or a reader refuses."""
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]", text)
    root = etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
    SCHEMA.assertValid(root)
    return root


def written(shell: Shell, *words: str) -> Any:
    shell("report", *words, "-o", "night.xml")
    return parsed((shell.folder / "night.xml").read_text())


def cases_of(root: Any) -> list[tuple[str, str]]:
    return [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]


def nights(shell: Shell) -> tuple[str, str]:
    """The ids of the jobs of the first and of the second night."""
    (low, high), (low2, high2), *_ = shell.rows("SELECT min(id), max(id) FROM jobs GROUP BY add_id ORDER BY 1")
    return f"{low}-{high}", f"{low2}-{high2}"


def test_the_file_follows_the_schema_and_counts_what_the_store_counts(shell: Shell) -> None:
    written(shell)

    read = junitparser.JUnitXml.fromfile(str(shell.folder / "night.xml"))
    suites = {suite.name: (suite.tests, suite.failures, suite.errors, suite.skipped) for suite in read}
    of_store = shell.rows(
        "SELECT batch, count(*), sum(state = 'failed' AND outcome IS NOT 'crashed'),"
        " sum(state = 'failed' AND outcome IS 'crashed'), sum(state NOT IN ('failed', 'succeeded'))"
        " FROM jobs LEFT JOIN attempts ON job = id AND number = attempt GROUP BY batch"
    )
    assert suites == {batch: (jobs, failed, errors, skipped) for batch, jobs, failed, errors, skipped in of_store}
    for suite in read:
        found = Counter(type(one).__name__ for case in suite for one in case.result)
        assert (found["Failure"], found["Error"], found["Skipped"]) == suites[suite.name][1:]
    assert (read.tests, read.failures, read.errors) == tuple(
        sum(of_one[place] for of_one in suites.values()) for place in range(3)
    )


def test_no_two_cases_are_equal_and_their_names_are_those_of_the_night_before(shell: Shell) -> None:
    first, second = (cases_of(written(shell, ids)) for ids in nights(shell))

    assert first == second
    assert len(set(first)) == len(first)
    assert [name for batch, name in first if batch == "night"][:8] == [
        "same", "same [2]", "same [2] [2]", "echo 'no name'", "echo 'no name' [2]", "sum", "silent", "slow",
    ]  # fmt: skip
    assert ("other", "same") in first
    assert len(set(cases_of(written(shell)))) == 2 * len(first)


def test_a_failure_says_why_and_how_to_run_the_job_again(shell: Shell) -> None:
    root = written(shell, nights(shell)[1])
    failures = {case.get("name"): case for case in root.iter("testcase") if case.find("failure") is not None}

    failure = failures["sum"].find("failure")
    assert (failure.get("type"), failure.get("message")) == ("exit 3", "exit code 3: bad <sum> of …")
    (id,) = shell.rows("SELECT max(id) FROM jobs WHERE name = 'sum'")[0]
    assert failure.text.startswith(f"job {id}, attempt 1 of 1: exit code 3, after ")
    assert "\nbad <sum> of part-7\n" in failure.text
    assert failure.text.endswith(shell.full(f"\nrun it again: batchq retry {id}\n"))
    assert failures["sum"].findtext("system-out") == "to stdout"
    assert failures["slow"].find("failure").get("type") == "timed out"

    shell("retry", failure.text.rstrip().rpartition(" ")[2])
    assert shell.rows(f"SELECT name FROM jobs WHERE state = 'queued' AND id <> {id}") == []
    shell("run", "-q", code=1)


def test_earlier_failures_are_flaky_or_reruns_and_the_oldest_of_many_are_left_out(shell: Shell) -> None:
    cases = {case.get("name"): case for case in written(shell, nights(shell)[1]).iter("testcase")}

    (flaky,) = cases["flaky"]
    assert (flaky.tag, flaky.get("type"), flaky.get("message")) == (
        "flakyFailure", "KeyError", "attempt 1: KeyError: 'price'",
    )  # fmt: skip
    assert flaky.findtext("stackTrace").splitlines()[-1] == "KeyError: 'price'"
    reruns = cases["silent"].findall("rerunFailure")
    assert [one.get("message").partition(":")[0] for one in reruns] == [
        f"attempt {number}, one of 7 that failed before" for number in range(3, 8)
    ]
    assert cases["held"].find("skipped").get("message") == "held: added with hold"
    assert cases["child"].find("skipped").get("message").startswith("cancelled: ")


def test_an_output_without_end_takes_little_room(shell: Shell) -> None:
    shell(
        "add",
        "-q",
        "--batch",
        "loud",
        "-c",
        "yes 'a line of some length' | head -c 900000; yes é | head -c 900000 >&2; exit 1",
    )
    shell("run", "-q", code=1)

    written(shell, "--batch", "loud")
    assert (shell.folder / "night.xml").stat().st_size < 10_000


def test_a_reader_that_has_enough_ends_it_quietly(shell: Shell) -> None:
    with shell.start("report", "--format", "junit") as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.readline()
        started.stdout.close()
        assert started.stderr.read() == b""


def test_a_job_is_called_by_its_name_else_its_key_unless_that_is_automatic_else_its_command(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "name", "--key", "one", "--", "true")
    batchq("add", "-q", "--key", "two", "--", "true")
    batchq("add", "-q", "--key", "auto", "--", "true")
    batchq("add", "-q", "-c", f"echo {'x' * 500}")

    names = [name for _, name in cases_of(written(batchq))]
    assert names[:3] == ["name", "two", "true"]
    assert len(names[3]) == 200


@pytest.mark.parametrize("seconds", ["-1.0", "1e308", "9e999", "-9e999"])
def test_a_time_that_somebody_else_wrote_is_still_a_time(batchq: Shell, seconds: str) -> None:
    batchq("add", "-q", "--", "true")
    batchq("run", "-q")
    with closing(sqlite3.connect(batchq.db())) as db, db:
        db.execute(f"UPDATE attempts SET seconds = {seconds}")

    (case,) = written(batchq).iter("testcase")
    assert 0 <= float(case.get("time")) <= 1e9


def test_a_crash_is_an_error(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text(MODULE)
    batchq("add", "-q", "--name", "crashing", "--max-crashes", "1", "--call", "mine:crash")
    batchq("run", "-q", code=1)

    root = written(batchq)
    (case,) = root.iter("testcase")
    assert [one.tag for one in case] == ["error"]


def test_names_with_ids_would_be_noticed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken variant: what the checks of names are for."""
    from batchq import clock
    from batchq.jobs.selection import parse
    from batchq.report.formats import Scope

    def cases(ids: str) -> list[tuple[str, str]]:
        return cases_of(parsed("".join(junit.document(Scope(store, parse([ids]), clock.now())))))

    with open_at(str(shell.db()), reading=True) as store:
        first, second = nights(shell)
        assert cases(first) == cases(second)
        monkeypatch.setattr(junit, "_name", lambda job: f"{job.id}")
        assert cases(first) != cases(second)


def test_numbers_are_free_whatever_the_names_are_and_found_without_going_through_all_of_them() -> None:
    many = 20_000
    names = Numbering(2 * many)

    taken = [names.unique(f"x [{n}]") for n in range(2, many)]
    found = [names.unique("x") for _ in range(many)]

    assert taken == [f"x [{n}]" for n in range(2, many)]
    assert len({*taken, *found}) == len(taken) + len(found)
    assert found[:2] == ["x", f"x [{many}]"]
    assert names.unique("x", "another scope") == "x"


_PEAK = """
import re, sys
from batchq.jobs.selection import Selection
from batchq.report import junit
from batchq.report.formats import Scope
from batchq.store.file.opening import open_at
with open_at(sys.argv[1], reading=True) as store, open(sys.argv[2], "w") as file:
    file.writelines(junit.document(Scope(store, Selection(), 0)))
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see the peak of memory")
def test_memory_grows_by_some_bytes_a_job_and_not_with_the_file(folder: Path) -> None:
    """At soak size a million jobs within 200 MB."""
    jobs = 1_000_000 if SOAK else 20_000
    peaks, cases = [], 0
    for size in (100, jobs):
        path, target = folder / f"{size}.db", folder / f"{size}.xml"
        with open_at(str(path), create=True) as store:
            a_large_night(store, size)
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, str(path), str(target)],
            env={"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, check=True, text=True,
        )  # fmt: skip
        peaks.append(int(done.stdout) * 1024)
        with target.open() as file:
            cases = sum(line.startswith("<testcase ") for line in file)
    assert cases == jobs
    assert peaks[1] - peaks[0] < 30 * jobs + (12 << 20)
    assert peaks[1] < 200_000_000


def test_a_job_that_batchq_put_on_hold_is_an_error(batchq: Shell) -> None:
    batchq("add", "--on-crash", "hold", "--name", "mine", "-c", "sleep 600")
    batchq.interrupted(code=1)

    root = parsed(batchq("report", "--format", "junit").out)

    (suite,) = root.iter("testsuite")
    assert (suite.get("errors"), suite.get("skipped"), root.get("errors")) == ("1", "0", "1")
    (error,) = root.iter("error")
    assert error.get("message") == "on hold: interrupted while it ran, and on_crash is 'hold'"
    assert batchq.full("batchq release 1") in error.text
