"""The digest at the end of a run: reasons with exact commands, the change since last time, and ``--mail-on change``."""

import json
import os
import re
import shlex
import shutil
from typing import Any

import pytest
from conftest import Done, Shell

WORK = "def column(row, name):\n    return row[name]\ndef image(n):\n    column({'sku': n}, 'price')\n"
Kinds = tuple[tuple[int, dict[str, Any]], ...]
KINDS: Kinds = (  #: how many jobs, and what each does
    (150, {"call": "shop:image", "args": {"n": "N"}}),
    (80, {"command": "echo 'connecting to host N' >&2; echo 'error: no route to host N' >&2; exit 3"}),
    (40, {"command": "echo 'error: checksum of part-N.dat does not match' >&2; exit 4"}),
    (20, {"command": "echo 'waiting for N'; kill -9 $$"}),
    (10, {"command": "exit 5"}),
)

FEW = tuple((2, work) for _, work in KINDS)


def jobs(kinds: Kinds = KINDS) -> str:
    """The lines of a job file in which kinds of failures and successes are mixed."""
    lines = []
    for number in range(max(count for count, _ in kinds)):
        lines += [
            json.dumps(work | {"max_attempts": 1, "name": f"{place}-{number}"}).replace("N", str(number))
            for place, (count, work) in enumerate(kinds)
            if number < count
        ]
        lines.append(json.dumps({"command": "true", "name": f"fine-{number}"}))
    return "\n".join(lines) + "\n"


def a_run(batchq: Shell, lines: str, *words: str, code: int = 1) -> Done:
    """Run the jobs of a file."""
    (batchq.folder / "jobs.jsonl").write_text(lines)
    return batchq("run", *words, "jobs.jsonl", code=code)


def taken(batchq: Shell, command: str) -> list[int]:
    """The jobs that a printed command queues on a copy of the store."""
    copy = batchq.folder / "copy.db"
    for old in batchq.folder.glob("copy.db*"):
        old.unlink()
    batchq("backup", str(copy))
    program, *named, words = *shlex.split(command)[:3], shlex.split(command)[3:]
    assert [program, *named] == ["batchq", "--db", str(batchq.db())]
    return sorted(json.loads(batchq("--db", str(copy), *words, "--json").out)["jobs"])


def failed(batchq: Shell, of: str) -> list[int]:
    return [int(str(id)) for (id,) in batchq.rows(f"SELECT id FROM jobs WHERE state = 'failed' AND {of} ORDER BY id")]


@pytest.fixture(name="night")
def _night(batchq: Shell) -> str:
    """The digest of a run of a few hundred jobs of which 300 failed in five ways, after an older failure."""
    a_run(batchq, '{"command": "exit 3", "name": "old"}\n')
    (batchq.folder / "shop.py").write_text(WORK)
    return a_run(batchq, jobs(), "-j8").err


def test_300_failures_of_five_kinds_are_few_lines_and_begin_with_the_most_frequent(batchq: Shell, night: str) -> None:
    first = "\n".join(night.splitlines()[:10])

    assert len(night.splitlines()) <= 46
    assert "300 jobs failed for 5 reasons" in first
    again = batchq.full("again: batchq retry 2-451 --cause ")
    assert f"150 jobs: KeyError: 'price', at shop.py:2\n    {again}" in first
    assert '      File "' in night and "in column\n" in night

    def commands() -> list[str]:
        return re.findall(r"^    again: (.*)$", night, re.MULTILINE)

    by_name = [failed(batchq, f"name GLOB '{place}-*'") for place in range(5)]
    for _ in range(2):
        assert [taken(batchq, command) for command in commands()] == by_name
        assert night.splitlines()[-1] == batchq.full("Run them again:  batchq retry 2-451 --failed")
        assert taken(batchq, batchq.full("batchq retry 2-451 --failed")) == sorted(id for ids in by_name for id in ids)
        a_run(batchq, jobs(FEW))  # another night

    assert not any("last" in command for command in re.findall(r"\bretry .*", night))


def test_the_tests_would_notice_last_in_a_command(batchq: Shell, night: str) -> None:
    """What 0.1.0 could print: right today, another add tomorrow."""
    broken = re.sub(r"(again: batchq .*retry) 2-451", r"\1 last", night, count=1)
    assert broken != night
    command = re.findall(r"^    again: (.*)$", broken, re.MULTILINE)[0]
    of_key_errors = failed(batchq, "name GLOB '0-*'")
    assert taken(batchq, command) == of_key_errors

    a_run(batchq, jobs(FEW))

    assert taken(batchq, command) != of_key_errors


def test_twenty_reasons_are_all_named_and_the_last_line_takes_them_all(batchq: Shell) -> None:
    words = [f"{chr(97 + n // 10)}{'xyzuvwrstk'[n % 10]}q" for n in range(20)]
    lines = [json.dumps({"command": f"echo 'fatal: {word} {word}' >&2; exit {40 + n}"}) for n, word in enumerate(words)]

    text = a_run(batchq, "\n".join(lines)).err

    assert text.startswith(f"batchq: 20 jobs failed for 20 reasons\non {os.uname().nodename}, store {batchq.db()}\n\n")
    assert len(text.splitlines()) < 75
    named = [int(id) for id in re.findall(rf"again: batchq --db {batchq.db()} retry (\d+)$", text, re.MULTILINE)]
    assert named == list(range(1, 21))
    assert text.splitlines()[-1] == batchq.full("Run them again:  batchq retry 1-20")


NIGHT = '{{"name": "a", "command": "{}"}}\n{{"name": "b", "command": "exit 3"}}\n{{"name": "c", "command": "{}"}}\n'


def a_night(batchq: Shell, first: str, third: str, *words: str, code: int = 1) -> str:
    """Run the file with other ends of its first and third job; what it prints."""
    (batchq.folder / "a").write_text(f"#!/bin/sh\n{first}\n")
    (batchq.folder / "c").write_text(f"#!/bin/sh\n{third}\n")
    (batchq.folder / "night.jsonl").write_text(NIGHT.format("sh ./a", "sh ./c"))
    return batchq("run", *words, "night.jsonl", code=code).err


def test_the_digest_compares_with_last_time_in_one_line(batchq: Shell) -> None:
    assert "last time" not in a_night(batchq, "exit 1", "true")

    second = a_night(batchq, "true", "exit 1")

    _, _, since, *_ = second.splitlines()
    assert re.fullmatch(
        r"since last time, 2[-\d]+ [\d:]+ [-+]\d{4}: 1 newly failed, 1 failed again, 1 recovered(, 1 much slower)?",
        since,
    )
    assert "job 5 (b), attempt 1 of 1: exit code 3" in second and "(last time 1)\n" in second
    assert "job 6 (c), attempt 1 of 1: exit code 1" in second


def test_mail_on_change_is_silent_while_the_same_jobs_fail(batchq: Shell) -> None:
    def night(first: str, third: str, code: int = 1) -> str:
        return a_night(batchq, first, third, "--mail-on", "change", code=code)

    assert "2 jobs failed" in night("exit 1", "true"), "there is no last time: all of it is new"
    assert night("exit 1", "true") == ""
    assert night("exit 1", "true") == ""
    recovered = night("true", "true")
    assert re.fullmatch(
        r"batchq: 1 job failed\non [^\n]*\n"
        r"since last time, [^\n]*: 1 failed again[^\n]*, 1 recovered(, 1 much slower)?\n\njob 11 \(b\).*",
        recovered,
        re.DOTALL,
    )
    assert night("true", "true") == ""
    assert "1 newly failed" in night("true", "exit 1")


def test_mail_on_change_prints_one_line_when_everything_has_recovered(batchq: Shell) -> None:
    for script, code, printed in (
        ("exit 1", 1, "batchq: 1 job failed\n"),
        ("exit 1", 1, ""),
        ("true", 0, "batchq: since last time, "),
        ("true", 0, ""),
    ):
        (batchq.folder / "job").write_text(script)
        batchq("add", "--batch", "night", "-c", "sh ./job")
        done = batchq("run", "--mail-on", "change", code=code)
        assert done.err.startswith(printed) and done.out == ""
        assert bool(done.err) == bool(printed)
    assert batchq("run", "--mail-on", "change").err == ""


def test_a_failure_without_a_counterpart_is_news(batchq: Shell) -> None:
    a_run(batchq, '{"name": "a", "command": "exit 3"}\n', "--mail-on", "change")

    lines = '{"name": "a", "command": "exit 3"}\n{"name": "b", "command": "exit 3"}\n'
    text = a_run(batchq, lines, "--mail-on", "change").err

    assert "1 failed again, 1 failed without a counterpart" in text


def test_mail_on_change_is_silent_about_nothing_else(batchq: Shell) -> None:
    lines = '{"name": "a", "command": "exit 3"}\n{"name": "b", "command": "true", "hold": true}\n'
    a_run(batchq, lines, "--mail-on", "change")

    done = a_run(batchq, lines, "--mail-on", "change")

    assert done.err == batchq.full("batchq: not run: job 4 (b): held by hand; 'batchq release 4' lets it run\n")
    halted = a_run(batchq, lines, "--mail-on", "change", "--halt", "soon")
    assert "batchq: halted after 1 failed job" in halted.err and "attempt" not in halted.err


def test_mail_on_failure_is_the_default_and_another_word_is_refused(batchq: Shell) -> None:
    for _ in range(2):
        line = '{"name": "a", "command": "exit 3"}\n'
        assert "1 job failed" in a_run(batchq, line, "--mail-on", "failure").err
    assert "--mail-on 'never': write failure or change" in batchq("run", "--mail-on", "never", code=2).err


def test_jobs_that_succeed_by_key_are_not_compared_again(batchq: Shell) -> None:
    line = '{"name": "a", "key": "a", "command": "true"}\n'
    a_run(batchq, line, "--mail-on", "change", code=0)

    assert a_run(batchq, line, "--mail-on", "change", code=0).err == ""


def test_json_has_the_run_and_the_reasons_of_its_failures(batchq: Shell) -> None:
    lines = '{"name": "a", "command": "exit 3"}\n{"name": "b", "command": "echo error: boom; exit 4"}\n'
    a_run(batchq, lines)

    done = a_run(batchq, lines, "--json", "--mail-on", "change")

    facts = json.loads(done.out)
    assert done.err == "" and facts["failed"] == [3, 4]
    assert [(one["title"], one["ids"], one["last_time"], one["retry"]) for one in facts["causes"]] == [
        ("sh -c", "3", 1, batchq.full("batchq retry 3")),
        ("error: boom", "4", 1, batchq.full("batchq retry 4")),
    ]
    assert facts["retry"] == batchq.full("batchq retry 3-4")
    assert facts["change"]["failed_again"] == {"jobs": 2, "ids": "3-4"}
    assert json.loads(batchq("list", "--run", str(facts["run"]), "--json").out)["total"] == 2
    fine = json.loads(a_run(batchq, '{"command": "true"}\n', "--json", code=0).out)
    assert (fine["causes"], fine["change"], fine["retry"]) == ([], None, None)


def test_a_digest_without_its_rules_shows_each_failure(batchq: Shell) -> None:
    """The files of batchq are replaced before the first failure: the reasons are unknown, nothing else is missing."""
    site = batchq.folder / "site"
    import batchq as package

    shutil.copytree(str(package.__path__[0]), site / "batchq")
    batchq.env["PYTHONPATH"] = f"{site}:{batchq.env['PYTHONPATH']}"
    gone = site / "batchq" / "jobs" / "causes" / "signature.py"
    shutil.rmtree(gone.parent / "__pycache__", ignore_errors=True)
    gone.write_text("raise SystemExit('another version')\n")

    text = a_run(batchq, '{"command": "exit 3"}\n{"command": "echo boom; exit 3"}\n').err

    assert text.startswith(
        f"batchq: 2 jobs failed\non {os.uname().nodename}, store {batchq.db()}\n\njob 1, attempt 1 of 1: exit code 3"
    )
    assert text.endswith(batchq.full("    stdout:\n      boom\n\nRun them again:  batchq retry 1-2\n"))


def test_a_traceback_that_a_command_printed_is_folded(batchq: Shell) -> None:
    (batchq.folder / "fetch.py").write_text("import json\njson.loads('{')\n")

    done = a_run(batchq, json.dumps({"command": "python3 fetch.py"}) + "\n")

    assert re.search(
        r"line 2, in <module>\n +json\.loads\('\{'\)\n +… \d+ frames in __init__\.py, decoder\.py\n +json\.", done.err
    )
    assert "^^^" not in done.err


def test_a_report_on_older_adds_as_well_says_of_no_reason_that_it_is_new(batchq: Shell) -> None:
    for _ in range(3):
        batchq("add", "--batch", "night", "--name", "a", "-c", "echo 'no route to host' >&2; exit 3")
        batchq("run", "-q", code=1)

    for words in (("report", "--batch", "night"), ("report", "1-3")):
        text = batchq(*words).out
        assert "since last time" in text and "no route to host" in text
        assert "LAST TIME" not in text and not re.search(r"\bnew\b", text)
    last = batchq("report", "last").out
    assert re.search(r"JOBS +LAST TIME +CAUSE\n +1 +1 +exit 3", last)
    assert "(new)" not in batchq("report", "--batch", "night", "--format", "digest").out
