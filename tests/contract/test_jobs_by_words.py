"""``last``, ids, ranges, lists and patterns of names mean the same jobs wherever a job or a parent is named."""

import pytest
from commands import run
from conftest import Shell
from history import FAILED, SUCCEEDED, add, play

from batchq.jobs.model import job_spec
from batchq.jobs.selection import Selection, parse
from batchq.store.adding import intake
from batchq.store.file.connection import Store
from batchq.store.selecting import resolved


@pytest.fixture(name="named")
def _named(store: Store) -> Store:
    """Jobs 1 load-a, 2 load-b, 3 extract, 4 without a name; the first failed. 5 and 6, load-c, are the newest add."""
    for name in ("load-a", "load-b", "extract"):
        add(store, "true", name=name)
    add(store, "true")
    play(store, FAILED)
    add(store, "true", "false", name="load-c")
    return store


def parents(store: Store) -> list[tuple[int, int]]:
    return [(child, parent) for child, parent in store.fetch("SELECT child, parent FROM dependencies ORDER BY 1, 2")]


WORDS = [
    (["last"], [5, 6]),
    (["2-3"], [2, 3]),
    (["1,5-6"], [1, 5, 6]),
    (["load-*"], [1, 2, 5, 6]),
    (["load-[ab]"], [1, 2]),
    (["extrac?", "1"], [1, 3]),
    (["load-a*,last"], [1, 5, 6]),
]


@pytest.mark.parametrize(("words", "ids"), WORDS)
def test_words_mean_the_same_jobs_in_each_command_that_looks(named: Store, words: list[str], ids: list[int]) -> None:
    assert [job["id"] for job in run(named, "list", *words, "--json").json["jobs"]] == ids
    assert [job["id"] for job in run(named, "show", *words, "--json").json["jobs"]] == ids
    assert [job["job"] for job in run(named, "explain", *words, "--json").json["jobs"]] == ids
    assert run(named, "report", *words, "--json").json["jobs"] == len(ids)
    assert run(named, "logs", *words).code == 0
    assert run(named, "wait", *words, "--timeout", "0s", "--json").json["jobs"] == (
        {"queued": len(ids) - 1, "failed": 1} if 1 in ids else {"queued": len(ids)}
    )


@pytest.mark.parametrize(("words", "ids"), WORDS)
def test_words_mean_the_same_jobs_in_each_command_that_changes(named: Store, words: list[str], ids: list[int]) -> None:
    waiting = [id for id in ids if id != 1]

    assert run(named, "update", *words, "--priority", "9", "--json").json["jobs"] == waiting
    assert run(named, "hold", *words, "--json").json["jobs"] == waiting
    assert run(named, "release", *words, "--json").json["jobs"] == waiting
    assert run(named, "cancel", *words, "--json").json["jobs"] == waiting
    assert run(named, "retry", *words, "--json").json["jobs"] == ids
    assert run(named, "remove", *words, "--json").json["removed"] == len(waiting)


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("last", [5, 6]),
        ("2-3", [2, 3]),
        ("2,3", [2, 3]),
        ("2,5-6", [2, 5, 6]),
        ("load-[bc]", [2, 5, 6]),
        ("extract,4", [3, 4]),
        ("extract, load-b*", [2, 3]),
        ("3-900", [3, 4, 5, 6]),
    ],
)
@pytest.mark.parametrize("option", ["--after", "--after-any"])
def test_words_mean_the_same_jobs_as_parents(named: Store, option: str, word: str, ids: list[int]) -> None:
    run(named, "add", option, word, after=["true"])

    assert parents(named) == [(7, id) for id in ids]
    assert named.fetch("SELECT state, open_parents FROM jobs WHERE id = 7") == [("blocked", len(ids))]


def test_a_job_after_a_range_or_pattern_with_a_failed_job_is_cancelled_at_once(named: Store) -> None:
    run(named, "add", "--after", "1-3", after=["true"])
    run(named, "add", "--after", "load-*", after=["true"])

    assert named.fetch("SELECT state, cause FROM jobs WHERE id > 6") == [("cancelled", 1)] * 2


def test_a_name_comes_before_what_its_characters_mean(store: Store) -> None:
    for name in ("1-2", "a,b", "load-*", "load-x", "7"):
        add(store, "true", name=name)
    for word in ("1-2", "a,b", "load-*", "7"):
        run(store, "add", "--after", word, after=["true"])

    assert parents(store) == [(6, 1), (7, 2), (8, 3), (9, 5)]


def test_in_a_file_a_pattern_means_jobs_of_the_file_and_else_of_the_batch(batchq: Shell) -> None:
    batchq("add", "--name", "load-old", "--batch", "night", "--", "true")
    batchq("add", "--name", "extract-old", "--batch", "night", "--", "true")
    (batchq.folder / "jobs.toml").write_text(
        '[defaults]\nbatch = "night"\n[[job]]\nname = "load-{day}"\ncommand = "true"\nmatrix.day = ["mon", "tue"]\n'
        '[[job]]\nname = "load-all"\ncommand = "true"\nafter = ["load-*"]\n'
        '[[job]]\ncommand = "true"\nafter = ["extract-*", 1]\n'
    )
    batchq("add", "jobs.toml")

    assert batchq.rows("SELECT child, parent FROM dependencies ORDER BY 1, 2") == [(5, 3), (5, 4), (6, 1), (6, 2)]


def test_a_pattern_finds_jobs_of_the_add_that_are_known_by_their_keys(store: Store) -> None:
    fields = {"command": "true", "name": "load-a", "key": "a"}
    intake.add(store, [job_spec(fields, "test", "/", "/bin")])
    after = {"command": "true", "after": ["load-?"]}
    intake.add(store, [job_spec(fields, "test", "/", "/bin"), job_spec(after | {"batch": "b"}, "test", "/", "/bin")])

    assert parents(store) == [(2, 1)]


def test_a_pruned_job_in_a_range_counts_as_it_ended(store: Store) -> None:
    for name, outcome in (("good", SUCCEEDED), ("bad", FAILED)):
        add(store, "true", key=name, max_attempts=1)
        play(store, outcome)
    add(store, "true")
    assert run(store, "prune", "--older-than", "0s").code == 0

    assert run(store, "add", "--after", "1-1,3", after=["true"]).code == 0
    assert parents(store) == [(4, 3)]
    refused = run(store, "add", "--after", "1-3", after=["true"])
    assert refused.code == 65 and "names job 2, which was failed and is pruned since" in refused.err
    assert run(store, "add", "--after-any", "1-2", after=["true"]).code == 0


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("list", "store-*"), 66, "no job has a name like 'store-*' in "),
        (("cancel", "load-*", "store-*"), 66, "no job has a name like 'store-*' in "),
        (("retry", "70-80"), 66, "there is no job from 70 to 80 in "),
        (("explain", "17"), 66, "there is no job 17 in "),
        (("hold", "load"), 2, "last, or a pattern of names as in 'load-*'"),
        (("add", "--after", "70-80"), 65, "names 70-80, but no job has this name, and none has one of these ids"),
        (("add", "--after", "store-*"), 65, "names 'store-*', but neither this add nor batch 'default' has such a job"),
        (("add", "--after", "extract,exract"), 65, "names 'exract', but neither this add nor"),
    ],
)
def test_words_that_mean_no_job_get_one_sentence(
    named: Store, words: tuple[str, ...], code: int, sentence: str
) -> None:
    before = named.fetch("SELECT id, state FROM jobs")
    done = run(named, *words, after=["true"] if words[0] == "add" else None)

    assert (done.code, done.out) == (code, "")
    assert sentence in done.err and done.err.count("\n") <= 1
    assert named.fetch("SELECT id, state FROM jobs") == before


def test_a_pattern_is_looked_up_once_for_a_command(named: Store) -> None:
    meant = resolved(named, parse(["load-*"]))
    add(named, "true", name="load-new")

    assert meant.ranges == ((1, 2), (5, 6))
    assert resolved(named, meant) == meant


def test_retry_of_a_pattern_leaves_what_succeeded(store: Store) -> None:
    add(store, "true", name="load-a")
    add(store, "true", name="load-b")
    play(store, SUCCEEDED, FAILED)

    assert "1 job queued again; 1 left alone (succeeded: name them by id" in run(store, "retry", "load-*").err


def test_one_id_is_one_document_and_other_words_are_a_list(named: Store) -> None:
    assert run(named, "show", "3", "--json").json["job"]["id"] == 3
    assert run(named, "explain", "3", "--json").json["job"] == 3
    assert run(named, "show", "3-3", "--batch", "default", "--json").json["kind"] == "jobs"
    assert run(named, "show", "--queue", "default", "--failed", "--json").json["jobs"][0]["id"] == 1
    shown = run(named, "show", "2-3").out
    assert shown.startswith("job 2 (load-b): queued\n") and "\n\njob 3 (extract): queued\n" in shown
    assert run(named, "explain", "2-3").out.count(" is queued\n") == 2


def test_the_words_of_a_selection_are_found_by_the_index_of_names(store: Store) -> None:
    plan = store.fetch("EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE name GLOB 'load-*' ORDER BY id")

    assert any("jobs_name" in row[3] for row in plan), plan
    assert Selection(globs=("a*",)).is_open
