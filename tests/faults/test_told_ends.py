"""S33: runs of jobs whose ends are known: exit code, digest and the command that it names, ``--json``, ``report``."""

import json
import random
import re
from typing import Any

import sizes
from conftest import Done, Shell
from figures import record

pytest_plugins = ("figures",)

LIFE = {  #: what a job does, and how it ends
    "true": "succeeded",
    "exit 3": "failed",
    "kill -9 $$": "failed",
    "test $BATCHQ_ATTEMPT -gt 1": "failed",
    "exec no-such-program": "failed",
}


def a_file(chance: random.Random) -> tuple[str, list[str]]:
    """Job lines, and the states in which they end, in this order."""
    lines: list[str] = []
    ends: list[str] = []
    for _ in range(chance.randint(1, 12)):
        command = chance.choice(["true", *LIFE])
        fields: dict[str, Any] = {"command": command, "name": f"n{len(lines)}", "backoff": "1ms"}
        end = LIFE[command]
        if chance.random() < 0.3:
            fields["max_attempts"] = 2
            end = "succeeded" if "ATTEMPT" in command else end
        if ends and chance.random() < 0.3:
            parent = chance.randrange(len(ends))
            kind = chance.choice(["after", "after_any"])
            fields[kind] = [f"n{parent}"]
            end = "cancelled" if kind == "after" and ends[parent] != "succeeded" else end
        lines.append(json.dumps(fields))
        ends.append(end)
    return "\n".join(lines) + "\n", ends


def in_ranges(words: str) -> list[int]:
    """The ids of ``3-5,9``."""
    bounds = [[int(end) for end in part.split("-")] for part in words.split(",")]
    return [number for bound in bounds for number in range(bound[0], bound[-1] + 1)]


def faults_of(done: Done, failed: list[int], cancelled: list[int], is_json: bool) -> list[str]:
    """What a run tells wrongly."""
    found = []
    if done.code != bool(failed):
        found.append(f"exit code {done.code}")
    if is_json:
        if sorted(json.loads(done.out)["failed"]) != failed:
            found.append(f"--json says {done.out}")
        return found
    if not failed:
        return [*found, "it is not silent"] if done.out or done.err else found
    told = re.search(r"Run (?:it|them) again:  batchq --db \S+ retry ([\d,-]+)\n", done.err)
    if told is None or in_ranges(told[1]) != failed:
        found.append(f"the command is {told and told[0]}")
    of_reasons = [
        in_ranges(ids) for ids in re.findall(r"again: batchq --db \S+ retry ([\d,-]+)$", done.err, re.MULTILINE)
    ]
    shown = list(map(int, re.findall(r"^(?:    like )?job (\d+)", done.err, re.MULTILINE)))
    if sorted(id for ids in of_reasons for id in ids) != (failed if len(failed) > 1 else []):
        found.append(f"the commands of the reasons are for {of_reasons}")
    if shown != ([ids[0] for ids in of_reasons] or failed):
        found.append(f"jobs {shown} are shown in full")
    if cancelled and f"{len(cancelled)} job" not in done.err.rpartition(" cancelled; the retr")[0]:
        found.append("those that were cancelled are not counted")
    return found


def test_a_run_says_what_has_become_of_its_jobs(batchq: Shell) -> None:
    chance = sizes.chance("S33")
    bad = []
    known: dict[int, str] = {}
    for _ in range(sizes.TOLD_RUNS):
        lines, ends = a_file(chance)
        ids = [int(line) for line in batchq("add", "--format", "jsonl", "-", stdin=lines).out.split()]
        mine = dict(zip(ids, ends, strict=True))
        known |= mine
        failed, cancelled = ([job for job, end in mine.items() if end == one] for one in ("failed", "cancelled"))
        is_json = chance.random() < 0.3
        done = batchq("run", "-j", str(chance.randint(1, 4)), *(["--json"] if is_json else []), code=None)
        bad += [(told, lines, done) for told in faults_of(done, failed, cancelled, is_json)]
        reported = json.loads(batchq("report", f"{ids[0]}-{ids[-1]}", "--json").out)["counts"]
        if {state: number for state, number in reported.items() if number} != {
            end: ends.count(end) for end in set(ends)
        }:
            bad.append((f"report says {reported}", lines, done))
        batchq("report", "--exit-code", *map(str, ids), code=int(bool(failed)))
        batchq("wait", *map(str, ids), code=int(bool(failed or cancelled)))
    listed = {
        job["id"]: job["state"] for job in json.loads(batchq("list", "--all", "--limit", "0", "--json").out)["jobs"]
    }
    record("S33 runs with known ends", sizes.TOLD_RUNS, "runs", len(bad), jobs=len(known))
    assert bad == []
    assert listed == known
