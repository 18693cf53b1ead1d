"""``batchq prune`` as a user types it."""

from pathlib import Path

import pytest
from conftest import Shell
from history import a_past

from batchq.store.file.opening import open_at


def test_prune_says_how_much_it_removed(batchq: Shell) -> None:
    batchq("add", "-", stdin="true\nfalse\n")
    batchq("run", code=1)

    assert batchq("prune", "--older-than", "0s", "--dry-run").err == "batchq: prune: 2 jobs would be removed\n"
    assert '"jobs": 1, "states": {"failed": 1}' in batchq(
        "prune", "--older-than", "0s", "--state", "failed", "--dry-run", "--json"
    ).out  # fmt: skip
    assert batchq("prune", "--older-than", "30d").err.startswith("batchq: prune: 0 jobs removed")
    assert batchq("prune", "--older-than", "0s", "--state", "succeeded").err.startswith("batchq: prune: 1 job removed")
    assert batchq("prune", "--older-than", "0s", "-q").err == ""
    assert batchq.rows("SELECT count(*) FROM jobs") == [(0,)]


def test_a_rule_is_set_shown_and_taken_away(batchq: Shell) -> None:
    assert "runs remove nothing" in batchq("prune", "--show").out
    batchq("prune", "--set-retention", "30d", "--state", "succeeded,cancelled", "--keep", "10")

    assert batchq("prune", "--show").out == (
        "runs remove succeeded, cancelled jobs older than 30 d 00 h, but not the newest 10\n"
    )
    assert '"retention": {"older_than_seconds": 2592000.0' in batchq("prune", "--show", "--json").out
    assert "remove nothing" in batchq("prune", "--no-retention").err
    assert "runs remove nothing" in batchq("prune", "--show").out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--older-than", "1d", "--show"],
        ["--older-than", "yesterday"],
        ["--older-than", "1d", "--state", "queued"],
        ["--set-retention", "1d", "--dry-run"],
        ["--show", "--keep", "3"],
    ],
)
def test_a_prune_that_is_unclear_is_refused(batchq: Shell, words: list[str]) -> None:
    batchq("prune", *words, code=2)


def test_a_prune_that_was_killed_removed_nothing_by_halves(batchq: Shell) -> None:
    with open_at(str(batchq.db())) as store:
        a_past(store, 1200)
    killed = batchq("prune", "--older-than", "30d", code=None, env={"BATCHQ_FAIL": "prune_before_commit:kill:2"})

    assert killed.code == -9
    assert batchq.rows("SELECT count(*) FROM jobs") == [(700,)]
    batchq("prune", "--older-than", "30d")
    assert batchq.rows("SELECT count(*) FROM jobs") == [(0,)]
    assert not Path(f"{batchq.db()}-wal").exists()
