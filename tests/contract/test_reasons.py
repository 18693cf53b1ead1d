"""Why jobs failed: the reasons of a report, from the causes that are stored with the failures of a real store."""

import pytest
from history import FAILED, SUCCEEDED, add, out, play

from batchq.jobs.attempt import Failure, Outcome
from batchq.jobs.selection import Selection
from batchq.report import reasons
from batchq.store.file.connection import Store
from batchq.store.looking import causes

TRACEBACK = (
    'Traceback (most recent call last):\n  File "/srv/work.py", line 14, in total\n    return row[name]\nKeyError: {}\n'
)


def a_key_error(name: str = "'price'") -> Outcome:
    return Outcome("failed", failure=Failure("KeyError", name, TRACEBACK.format(name)), seconds=1.0)


def printing(line: str) -> Outcome:
    return FAILED._replace(stderr=out(line.encode() + b"\n"))


def test_failures_are_put_together_by_reason_the_most_frequent_first(store: Store) -> None:
    add(store, *["true"] * 6, queue="cpu")
    add(store, *["true"] * 3, queue="net")
    disk = printing("error: no space on shard 17")
    play(store, disk, a_key_error(), SUCCEEDED, a_key_error(), disk, a_key_error(), a_key_error(), disk, SUCCEEDED)

    key, space = reasons.find(store, Selection())

    assert (key.text, key.where, key.jobs, key.ids) == (
        "KeyError: 'price'",
        "at work.py:14",
        4,
        ((2, 2), (4, 4), (6, 7)),
    )
    assert (key.queues, key.before) == ({"cpu": 3, "net": 1}, None)
    assert [one.job.id for one in key.examples] == [2, 4, 6]
    assert (space.text, space.where, space.ids) == ("exit 3: error: no space on shard 17", "", ((1, 1), (5, 5), (8, 8)))
    assert [one.log and one.log.data for one in space.examples] == [b"error: no space on shard 17\n"] * 3
    assert space.causes == tuple({hit.id for hit in causes.by_cause(store, Selection(((1, 1),)))})


def test_a_title_shows_what_all_jobs_of_a_reason_printed_and_where_they_differ(store: Store) -> None:
    add(store, *["true"] * 40)
    play(store, *(printing(f"error: no lease on shard {number} of 12") for number in range(40)))

    (found,) = reasons.find(store, Selection())

    assert found.text == "exit 3: error: no lease on shard … of 12"


def test_causes_that_differ_in_a_word_alone_are_one_reason(store: Store) -> None:
    add(store, *["true"] * 5)
    play(store, *(printing(f"error: table {name} is locked") for name in ("orders", "items", "users", "carts", "tags")))

    (found,) = reasons.find(store, Selection())

    assert (found.text, found.jobs, len(found.causes)) == ("exit 3: error: table … is locked", 5, 5)


def test_a_reason_counts_the_jobs_that_it_hit_last_time(store: Store) -> None:
    add(store, *["true"] * 2)
    add(store, *["true"] * 3)
    play(store, a_key_error(), SUCCEEDED, a_key_error("'tax'"), a_key_error(), printing("error: no space"))

    old, new = reasons.find(store, Selection(((3, 5),)), past=Selection(((1, 2),)))

    assert (old.jobs, old.before, old.text) == (2, 1, "KeyError: …")
    assert (new.jobs, new.before) == (1, 0)


def test_the_cause_of_a_failure_of_the_first_version_is_computed_and_named_by_ids(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, *["true"] * 4)
    play(store, *[a_key_error()] * 3, printing("error: no space"))
    store.db.execute("UPDATE attempts SET cause = NULL WHERE job <= 2 OR job = 4")
    monkeypatch.setattr(causes, "COMPUTED", 2)

    key, unknown, space = reasons.find(store, Selection())

    assert (key.ids, key.text, key.retry) == (((2, 3),), "KeyError: 'price'", "batchq retry 2-3")
    assert (unknown.ids, unknown.causes, unknown.retry) == (((1, 1),), (), "batchq retry 1")
    assert "batchq 0.1.0" in unknown.text
    assert space.text == "exit 3: error: no space"


def test_hostile_text_is_harmless_in_a_reason(store: Store) -> None:
    add(store, "true", "true")
    play(store, printing("error: \x1b[31m \u202egone"), a_key_error("\x1b[2J"))

    for found in reasons.find(store, Selection()):
        assert found.text.isprintable()
