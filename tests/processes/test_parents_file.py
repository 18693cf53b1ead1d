"""What a job can read about the jobs after which it runs: ``$BATCHQ_PARENTS_FILE`` and ``batchq.parents()``."""

import json
import sys
from typing import Any

import pytest
from conftest import Shell
from scene import Scene, ended, python

pytest_plugins = ("scene",)

MODULE = """
import batchq, os

def rows(n=42):
    return {"rows": n}

def parents():
    return [[one.id, one.kind, one.state, one.result] for one in batchq.parents()]

def fail():
    raise ValueError("no \\udcff rows\\n" + "x" * 5000)

def big(size=600_000):
    return "x" * size

def look():
    assert "BATCHQ_PARENTS_FILE" not in os.environ and batchq.parents() == []
"""


@pytest.fixture
def module(batchq: Shell) -> None:
    (batchq.folder / "m.py").write_text(MODULE)


def result(batchq: Shell, job: int) -> Any:
    ((text,),) = batchq.rows(f"SELECT result FROM attempts WHERE job = {job} ORDER BY number DESC LIMIT 1")
    return json.loads(str(text))


@pytest.mark.usefixtures("module")
def test_a_command_and_a_callable_see_how_their_parents_ended_and_what_they_returned(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "load", "--key", "k", "--call", "m:rows")
    batchq("add", "-q", "--name", "bad", "-c", "exit 3")
    tied = ("--after", "load", "--after-any", "bad")
    batchq("add", "-q", *tied, "-c", 'cp "$BATCHQ_PARENTS_FILE" seen; stat -c %a "$BATCHQ_PARENTS_FILE"')
    batchq("add", "-q", *tied, "--call", "m:parents")
    batchq("run", code=1)

    seen = json.loads((batchq.folder / "seen").read_text())
    first, second = seen.pop("parents")
    assert seen == {"schema": 1, "job": 3, "count": 2}
    known = {name: first[name] for name in ("id", "name", "key", "kind", "state", "outcome", "attempt", "result")}
    assert known == {
        "id": 1, "name": "load", "key": "k", "kind": "after", "state": "succeeded", "outcome": "succeeded", "attempt": 1,
        "result": {"rows": 42},
    }  # fmt: skip
    assert (second["state"], second["kind"], second["exit_code"], second["result"]) == ("failed", "after_any", 3, None)
    assert batchq("logs", "3").out == "600\n", "nobody else can read it"
    assert result(batchq, 4) == [[1, "after", "succeeded", {"rows": 42}], [2, "after_any", "failed", None]]


@pytest.mark.usefixtures("module")
def test_after_a_retry_of_a_parent_its_last_attempt_counts(batchq: Shell) -> None:
    batchq("add", "-q", "-c", 'echo $BATCHQ_ATTEMPT >"$BATCHQ_RESULT_FILE"; test $BATCHQ_ATTEMPT = 2')
    batchq("add", "-q", "--after", "1", "--call", "m:parents")
    batchq("run", code=1)
    batchq("retry", "1")
    batchq("run")

    assert result(batchq, 2) == [[1, "after", "succeeded", 2]]


@pytest.mark.usefixtures("module")
def test_what_is_too_much_is_left_out_and_said_to_be(batchq: Shell) -> None:
    lines = [{"call": "m:big", "name": "big"}] * 2 + [
        {"call": "m:rows", "args": {"n": n}, "name": "small"} for n in range(1_100)
    ]
    (batchq.folder / "j.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    batchq("add", "-q", "j.jsonl")
    batchq("add", "-q", "--after", "big", "--after", "small", "-c", 'cp "$BATCHQ_PARENTS_FILE" seen')
    batchq("run", "-q")

    text = (batchq.folder / "seen").read_text()
    seen = json.loads(text)
    assert len(text) < 2 * 1024 * 1024
    assert (seen["count"], len(seen["parents"])) == (1_102, 1_000)
    assert [one["result_left_out"] for one in seen["parents"][:3]] == [False, True, False]
    assert seen["parents"][2]["result"] == {"rows": 0}


@pytest.mark.usefixtures("module")
def test_hostile_names_keys_and_errors_are_read_back(batchq: Shell) -> None:
    name, key = 'a"\\ ]},é\u2026', 'k"]}'
    (batchq.folder / "j.jsonl").write_text(
        json.dumps({"call": "m:fail", "name": name, "key": key, "batch": name}) + "\n"
    )
    batchq("add", "-q", "j.jsonl")
    batchq("add", "-q", "--after-failed", "1", "-c", 'cp "$BATCHQ_PARENTS_FILE" seen')
    batchq("run", code=1)

    (one,) = json.loads((batchq.folder / "seen").read_text())["parents"]
    assert (one["name"], one["key"], one["batch"], one["error_type"]) == (name, key, name, "ValueError")
    assert one["error"].startswith("no ")
    assert len(one["error"]) == 500


@pytest.mark.usefixtures("module")
def test_a_job_without_parents_has_no_such_file_next_to_jobs_that_have(batchq: Shell) -> None:
    lines = [{"call": "m:rows"}]
    for number in range(200):  # short ones, of which a worker gets several in one message
        lines.append({"call": "m:look"} if number % 3 else {"call": "m:parents", "after": [1]})  # type: ignore[dict-item]
    (batchq.folder / "j.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    batchq("add", "-q", "j.jsonl")
    batchq("add", "-q", "-c", "env | grep PARENTS && exit 1; exit 0")
    batchq(
        "add",
        "-q",
        "--after",
        "1",
        "-c",
        f"B='{sys.executable} -m batchq --db inner.db'; $B add -q -- env; $B run; $B logs 1",
    )

    batchq("run")

    assert result(batchq, 2) == [[1, "after", "succeeded", {"rows": 42}]]
    assert "BATCHQ_JOB_ID=1\n" in batchq("logs", "203").out
    assert "PARENTS" not in batchq("logs", "203").out, "the job of a run inside a job has not the parents of that one"


# --- the file is removed with its attempt ------------------------------------------------------------------------------

VARIANTS = {
    "as it is": "",
    "nothing is removed": "ExecutorContext.remove_parents = lambda *_: None",
}
LAUNCH = """
import sys
from batchq.executors.shared import ExecutorContext
assert callable(ExecutorContext.remove_parents)
{variant}
sys.argv = ["batchq", "run", "-j", "1", "-q"]
from batchq.__main__ import main
main()
"""


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_file_is_gone_when_its_attempt_has_ended(scene: Scene, variant: str) -> None:
    (scene.folder / "m.py").write_text(MODULE)
    last = 'ls $(dirname "$BATCHQ_RESULT_FILE") >left'
    scene.add(
        {"command": "true", "name": "a"}, {"command": "exit 1", "after": ["a"], "name": "b"},
        {"call": "m:parents", "after": ["a"], "name": "c"}, {"command": last, "after_any": ["b", "c"]},
    )  # fmt: skip

    ended(scene.start_program(*python("-c", LAUNCH.format(variant=VARIANTS[variant]))))

    left = (scene.folder / "left").read_text().split()
    assert left == (["parents-4-1"] if variant == "as it is" else ["parents-2-1", "parents-3-1", "parents-4-1"])
