"""Printed commands do what they say: run on a copy of the store, each takes the jobs that were reported and no others."""

import html
import random
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commands import run
from history import FAILED, SUCCEEDED, add, out, play_together

from batchq.cli import choosing, commands
from batchq.jobs.attempt import Failure, Outcome
from batchq.jobs.selection import Range, Selection, of_ids, parse
from batchq.report import again, reasons, summary
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.looking import causes, queries

TRACE = 'Traceback (most recent call last):\n  File "/srv/w.py", line 1, in f\n    g({})\nE: x\n'
OUTCOMES = (
    SUCCEEDED,
    *(
        FAILED._replace(stderr=out(f"error: {what} is full\n".encode()))
        for what in ("disk", "table 7", "queue of mails")
    ),
    Outcome("failed", failure=Failure("KeyError", "'a'", TRACE.format("a")), seconds=1.0),
    Outcome("failed", failure=Failure("E", "x", TRACE.format("b")), seconds=1.0),
    Outcome("timed_out", seconds=2.0),
)


def taken(store: Store, command: str) -> list[int]:
    """The jobs that a command queues on a copy of the store."""
    path = Path(store.path).with_name("copy.db")
    for old in path.parent.glob("copy.db*"):
        old.unlink()
    store.db.execute("VACUUM INTO ?", (str(path),))
    batchq, *words = shlex.split(command)
    assert batchq == "batchq"
    if words[0] == "--db":
        assert words[1] == store.path
        words = words[2:]
    with open_at(str(path)) as copy:
        return sorted(run(copy, *words, "--json").json["jobs"])


def ids(ranges: "list[Range] | tuple[Range, ...]") -> list[int]:
    return [id for low, high in ranges for id in range(low, high + 1)]


def a_past_of_all_kinds(store: Store, seed: int) -> None:
    """Adds of several batches and queues with failures of several kinds; some were cancelled or retried, or wait."""
    chance = random.Random(seed)
    for number in range(5):
        jobs = chance.randrange(3, 60)
        batch, queue = chance.choice(("night", "day")), chance.choice(("cpu", "my net"))
        added = add(
            store, *["true"] * jobs, batch=batch, queue=queue, max_attempts=chance.choice((1, 2)) if number else 1
        )
        few = chance.sample(OUTCOMES, 3)
        ((queued,),) = store.fetch("SELECT count(*) FROM jobs WHERE state = 'queued'")
        play_together(store, *(chance.choice(few) for _ in range(queued - chance.choice((0, 0, 2)))))
        if chance.random() < 0.5:  # among these are some that wait for their next attempt
            control.cancel(store, of_ids(added))
    if chance.random() < 0.5:
        control.cancel(store, Selection(everything=True))


SELECTIONS = (
    Selection(),
    Selection(batch="night"),
    Selection(queue="my net"),
    Selection(batch="day", queue="cpu"),
    Selection(((1, 60),)),
    Selection(((1, 20), (31, 31), (40, 90))),
    Selection(name="*"),
    Selection(last=True),
    Selection(since=1),
)


@pytest.mark.parametrize("seed", range(3))
def test_each_command_of_a_summary_takes_exactly_the_jobs_that_were_reported(store: Store, seed: int) -> None:
    a_past_of_all_kinds(store, seed)
    commands: dict[str, list[int]] = {}
    for selection in SELECTIONS:
        built = summary.build(store, selection, at=1, failures=10, db=store.path)
        failed = list(queries.failed_ids(store, selection))
        assert sorted(id for one in built.reasons for id in ids(one.ids)) == failed
        if built.retry is not None:
            commands[built.retry] = failed
        commands |= {one.retry: ids(one.ids) for one in built.reasons}
    assert commands

    for command, reported in commands.items():
        assert taken(store, command) == reported, command
        assert " last" not in command

    add(store, *["true"] * 30, batch="night", queue="my net")
    play_together(store, *[OUTCOMES[1]] * 30)
    for command, reported in commands.items():
        assert taken(store, command) == reported, f"after another add: {command}"


WORDS: dict[tuple[str, ...], Selection] = {
    (): Selection(),
    ("--batch", "night"): Selection(batch="night"),
    ("1-60", "--queue", "my net"): Selection(((1, 60),), queue="my net"),
}


@pytest.mark.parametrize("format", ["table", "json", "md", "html"])
def test_each_command_that_a_report_prints_takes_exactly_the_jobs_that_it_reports(store: Store, format: str) -> None:
    a_past_of_all_kinds(store, 1)
    for words, selection in WORDS.items():
        found = reasons.find(store, selection, db=store.path)
        reported = sorted([ids(one.ids) for one in found] + [list(queries.failed_ids(store, selection))])

        text = run(store, "report", *words, "--format", format).out
        printed = set(printed_commands(html.unescape(re.sub("<[^>]*>", "\n", text)) if format == "html" else text))

        assert sorted(taken(store, command) for command in printed) == (reported if len(found) > 1 else reported[:1])


def test_each_command_of_junit_takes_the_job_that_it_stands_at(store: Store) -> None:
    a_past_of_all_kinds(store, 1)
    cases = ElementTree.fromstring(run(store, "report", "1-60", "--format", "junit").out).iter("testcase")
    texts = ["\n".join(case.itertext()) for case in cases]
    printed = {int(found[1]): printed_commands(text) for text in texts if (found := re.search(r"job (\d+)", text))}
    again = {id: commands for id, commands in printed.items() if commands}

    assert list(again) == list(queries.failed_ids(store, Selection(((1, 60),))))
    add(store, *["true"] * 30, batch="night", queue="my net")
    for id, (command,) in list(again.items())[::5]:
        assert taken(store, command) == [id]


def test_junit_has_a_command_for_each_failed_job_alone(store: Store) -> None:
    a_past_of_all_kinds(store, 1)
    failed = list(queries.failed_ids(store, Selection(batch="night")))

    printed = printed_commands(run(store, "report", "--batch", "night", "--format", "junit").out)

    assert sorted(taken(store, command) for command in printed) == [[id] for id in failed]


def printed_commands(text: str) -> list[str]:
    """The retry commands in a text, each of which ends at the end of its line, or of its string or element."""
    return re.findall(r"batchq (?:--db \S+ )?retry [^\n\"`<]+", text)


def test_of_one_add_the_command_is_a_range_and_a_cause(store: Store) -> None:
    add(store, *["true"] * 5)
    first, *_ = add(store, *["true"] * 60)
    play_together(store, *[OUTCOMES[1]] * 5, *[OUTCOMES[1], OUTCOMES[4]] * 30)

    built = summary.build(store, Selection(last=True, meant=((6, 65),)), at=1, failures=10)

    assert first == 6
    assert built.retry == "batchq retry 6-65"  # every one of them failed
    assert [one.retry for one in built.reasons] == [
        f"batchq retry 6-65 --cause {one.causes[0]}" for one in built.reasons
    ]

    add(store, *["true"] * 60)
    play_together(store, *[OUTCOMES[1], SUCCEEDED] * 30)
    built = summary.build(store, Selection(((66, 125),)), at=1, failures=10)
    assert built.retry == "batchq retry 66-125 --failed"


def test_a_job_that_was_cancelled_after_a_failure_of_the_same_cause_is_not_taken(store: Store) -> None:
    add(store, *["true"] * 60, max_attempts=2)
    play_together(store, OUTCOMES[1])
    control.cancel(store, parse(["1"]))
    store.db.execute("UPDATE jobs SET max_attempts = 1 WHERE state = 'queued'")
    play_together(store, *[OUTCOMES[1], SUCCEEDED] * 29, OUTCOMES[1])

    (found,) = reasons.find(store, Selection())

    assert found.retry == f"batchq retry 2-60 --cause {found.causes[0]}"
    (found,) = reasons.find(store, Selection(((1, 60),)))
    assert found.retry == f"batchq retry 1-60 --cause {found.causes[0]} --failed"
    assert taken(store, found.retry) == ids(found.ids)


def test_while_jobs_of_the_range_may_still_fail_the_ids_are_listed(store: Store) -> None:
    add(store, *["true"] * 90)
    play_together(store, *[OUTCOMES[1], SUCCEEDED] * 30)

    (found,) = reasons.find(store, Selection(((1, 90),)))

    assert found.retry == f"batchq retry {','.join(str(id) for id in range(1, 60, 2))}"


def test_many_scattered_failures_outside_the_selection_are_kept_out(store: Store) -> None:
    for _ in range(150):
        add(store, "true", batch="night")
        add(store, "true", batch="day")
        add(store, "true")
    play_together(store, *[OUTCOMES[1], OUTCOMES[1], SUCCEEDED] * 150)

    built = summary.build(store, Selection(batch="night"), at=1, failures=10)

    (found,) = built.reasons
    assert found.retry == f"batchq retry 1-448 --batch night --cause {found.causes[0]} --failed"
    assert built.retry == "batchq retry 1-448 --batch night --failed"
    assert taken(store, found.retry) == ids(found.ids) == taken(store, built.retry)


def test_of_very_many_failures_without_a_cause_the_command_is_a_range_with_no_others_or_has_all_ids(
    store: Store,
) -> None:
    add(store, *["true"] * 1_200)
    play_together(store, *[OUTCOMES[1], SUCCEEDED] * 300, *[OUTCOMES[4], OUTCOMES[1]] * 300)
    store.db.execute("UPDATE attempts SET cause = NULL WHERE cause IS NOT NULL")

    for computed in (600, 450):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(causes, "COMPUTED", computed)
            found = reasons.find(store, Selection())

        for one in found:
            assert taken(store, one.retry) == ids(one.ids)
        assert "batchq retry 1-599 --failed" in [one.retry for one in found] or computed == 450


def test_each_filter_of_a_selection_is_in_its_command() -> None:
    filters: dict[str, object] = {
        "ids": ((3, 5), (9, 9)), "batch": "my night", "queue": "-q", "name": "-*'", "since": 1_700_000_000_123,
        "causes": ("23d8c864", "606e2443"), "run": 17, "tags": ("a b", "-c"), "grep": "--x $HOME",
    }  # fmt: skip
    left = {"last", "globs", "meant", "states", "everything", "ran"}
    assert filters.keys() | left == set(Selection._fields)

    for names in [*([name] for name in filters), [*filters]]:
        selection = Selection(**{name: filters[name] for name in names})  # type: ignore[arg-type]
        found = commands.read(["retry", *shlex.split(again.failed_of(selection))], None)
        assert found is not None
        assert choosing.selection_of(found[1])["selection"] == selection.in_state("failed"), names


def test_the_test_would_notice_a_command_that_takes_more(store: Store) -> None:
    add(store, "true", batch="night")
    add(store, "true", batch="day")
    play_together(store, OUTCOMES[1], OUTCOMES[1])
    built = summary.build(store, Selection(batch="night"), at=1, failures=10)

    assert built.retry == "batchq retry 1"
    assert taken(store, "batchq retry --failed") == [1, 2] != ids(built.reasons[0].ids)
