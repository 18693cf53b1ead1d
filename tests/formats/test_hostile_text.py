"""Hostile text in every format and on a terminal: real readers read each file back, and no control is left in it."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import invariants
import pytest
from commands import on_a_terminal, run
from conftest import Done, Shell, nothing_left
from hostile import HELD, SCREEN, TEXTS, UNSAFE, environment_of, jobs_of, store_of, without_visible
from readers import READERS, Seen

from batchq.report.formats import DRAWN, FORMATS, NAMES, OF_LISTS
from batchq.store.file.opening import open_at


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shell, Done]]:
    with nothing_left(tmp_path_factory.mktemp("hostile")) as folder:
        yield store_of(folder)
        invariants.check_all(folder)


@pytest.fixture(scope="module")
def hostile(made: tuple[Shell, Done]) -> Shell:
    return made[0]


@pytest.fixture(scope="module")
def truth(hostile: Shell) -> Seen:
    """What the store says itself."""
    rows = hostile.rows("SELECT id, state FROM jobs")
    failed = sum(state == "failed" for _, state in rows)
    assert (len(rows), failed) == (4 * len(TEXTS) + 5, 3 * len(TEXTS) + 3)
    return Seen(len(rows), failed, {int(str(id)) for id, _ in rows})


def controls(data: bytes, name: str = "") -> list[str]:
    """The characters of a file that must not be there; it must be UTF-8."""
    text = data.decode()
    if name == "joblog":  # GNU parallel's own sign for a newline
        text = text.replace("\0", "")
    return sorted(set(UNSAFE.findall(text)))


def differs(seen: Seen, truth: Seen) -> bool:
    return any(found is not None and found != true for found, true in zip(seen, truth, strict=True))


def test_every_format_has_a_reader_here() -> None:
    assert set(NAMES) <= set(READERS)


@pytest.mark.parametrize("name", NAMES)
def test_a_report_of_hostile_jobs_is_read_back_and_harmless(hostile: Shell, truth: Seen, name: str) -> None:
    file = hostile.folder / f"report-{name}"
    hostile("report", "--format", name, "-o", file.name)

    data = file.read_bytes()

    assert controls(data, name) == []
    assert not differs(READERS[name](data.decode()), truth)
    file.unlink()


@pytest.mark.parametrize("name", OF_LISTS)
def test_a_list_of_hostile_jobs_is_read_back_and_harmless(hostile: Shell, truth: Seen, name: str) -> None:
    printed = hostile("list", "--limit", "0", "--format", name).out

    assert controls(printed.encode(), name) == []
    seen = READERS[name](printed)
    assert not differs(seen, truth)
    assert name == "joblog" or seen.ids == truth.ids


@pytest.mark.parametrize("name", [one.name for one in FORMATS if one.takes != DRAWN and one.name != "prometheus"])
def test_a_report_of_the_jobs_with_one_text_shows_it_harmlessly(hostile: Shell, name: str) -> None:
    with open_at(str(hostile.db())) as store:
        for n, text in enumerate(TEXTS):
            done = run(store, "report", jobs_of(n), "--format", name)
            assert controls(done.raw, name) == [], text
            seen = READERS[name](done.out)
            assert seen.jobs in (None, 4)
            assert seen.failed == 3


@contextmanager
def a_label_of_controls(hostile: Shell) -> Iterator[str]:
    """A copy of the store with a batch and jobs of a name that batchq refuses: other programs may have written it."""
    path = hostile.folder / "labelled.db"
    hostile("backup", "-q", path.name)
    with closing(sqlite3.connect(path)) as db, db:
        for table in ("jobs", "counters"):
            db.execute(f"UPDATE {table} SET batch = ? WHERE batch = 'default'", (TEXTS[SCREEN],))
        name = f"{TEXTS[SCREEN]}\x9b\u202e"  # JSON escapes the others by itself
        db.execute("UPDATE jobs SET name = ? WHERE id BETWEEN ? AND ?", (name, *map(int, jobs_of(SCREEN).split("-"))))
    yield str(path)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def test_a_label_of_controls_is_harmless_as_well(hostile: Shell, truth: Seen) -> None:
    with a_label_of_controls(hostile) as labelled:
        for name in NAMES:
            printed = hostile("--db", labelled, "report", "--format", name).out
            assert controls(printed.encode(), name) == []
            assert not differs(READERS[name](printed), truth)


@pytest.mark.parametrize("name", NAMES)
def test_a_format_that_lets_text_through_is_caught(hostile: Shell, name: str) -> None:
    jobs = (
        [jobs_of(SCREEN)] if name != "prometheus" else []
    )  # it has metrics of all jobs, and takes no selection of them
    with a_label_of_controls(hostile) as labelled:
        printed = subprocess.run(
            [sys.executable, "-c", without_visible(), "--db", labelled, "report", *jobs, "--format", name],
            cwd=hostile.folder, env=environment_of(hostile), capture_output=True, check=True,
        ).stdout  # fmt: skip
    assert controls(printed, name)


@pytest.mark.parametrize(
    "words",
    [
        ("report",),
        ("list", "--limit", "0"),
        ("list", "--limit", "0", "--json"),
        ("show", "{id}"),
        ("show", "{id}", "--json"),
        ("explain", "{id}"),
        ("explain", "{id}", "--json"),
        ("wait", "{id}"),
        ("wait", "{id}", "--json"),
        ("doctor",),
        ("doctor", "--json"),
        ("queue", "list"),
        ("queue", "list", "--json"),
    ],
    ids=" ".join,
)
def test_no_command_prints_a_control(hostile: Shell, truth: Seen, words: tuple[str, ...]) -> None:
    ids = truth.ids if "{id}" in words and truth.ids else {0}
    with open_at(str(hostile.db())) as store:
        for id in ids - {HELD} if words[0] == "wait" else ids:
            done = run(store, *(word.format(id=id) for word in words))
            assert done.code in (0, 1)
            assert controls(done.raw + done.err.encode()) == []


def test_a_run_of_hostile_jobs_prints_no_control(made: tuple[Shell, Done]) -> None:
    _, ran = made

    assert "failed" in ran.err + ran.out
    assert controls((ran.out + ran.err).encode()) == []


@pytest.mark.parametrize(
    "words", [("logs", "1-40"), ("report",), ("list", "--limit", "0"), ("show", "17")], ids=" ".join
)
def test_on_a_terminal_only_colours_are_controls(hostile: Shell, words: tuple[str, ...]) -> None:
    with open_at(str(hostile.db())) as store:
        seen = on_a_terminal(store, *words)

    assert controls(re.sub("\x1b\\[[0-9;]*m", "", seen.replace("\r\n", "\n")).encode()) == []


def test_the_texts_are_hostile() -> None:
    assert len(TEXTS) >= 30
    assert len(UNSAFE.findall("".join(TEXTS))) > 20
