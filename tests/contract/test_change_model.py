"""What changed since last time against the slow model of the definitions, on generated stores with real adds."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from change_model import Model
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq.jobs.model import job_spec
from batchq.jobs.selection import in_words, merged, of_ids, parse
from batchq.store.adding import intake
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.looking import twins
from batchq.store.looking.change import change

STATES = ("succeeded", "succeeded", "failed", "failed", "cancelled", "queued")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that is emptied before each example: a new one takes far longer."""
    path: Path = tmp_path_factory.mktemp("change") / "batchq.db"
    with open_at(str(path), create=True) as opened:
        opened.db.execute("PRAGMA synchronous = OFF")
        yield opened


def a_list(draw: random.Random) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = []
    for number in range(draw.randint(1, 6)):
        job: dict[str, Any] = {"command": draw.choice(("a", "b", f"c{number}")), "queue": draw.choice(("x", "y"))}
        if draw.random() < 0.4:
            job["name"] = draw.choice(("load", "sync", f"step {number}"))
        if draw.random() < 0.3:
            job |= {"key": f"k{draw.randint(1, 3)} {number}", "unique": "active"}
        if draw.random() < 0.1:
            job["batch"] = "other"
        jobs.append(job)
    return jobs


def changed(jobs: list[dict[str, Any]], draw: random.Random) -> list[dict[str, Any]]:
    """The list of another night: the same one, or one with jobs inserted, removed, renamed, written anew or moved."""
    jobs = [dict(job) for job in jobs]
    for _ in range(draw.choice((0, 0, 0, 1, 2))):
        place = draw.randrange(len(jobs) + 1)
        match draw.randint(1, 6):
            case 1:
                jobs[place:place] = a_list(draw)[:2]
            case 2 if len(jobs) > 1:
                del jobs[place : place + 1]
            case 3:
                jobs[place : place + 1] = [job | {"command": "new"} for job in jobs[place : place + 1]]
            case 4:
                draw.shuffle(jobs)
            case 5:
                jobs += [dict(job) for job in jobs[-1:]]
            case _:
                jobs = a_list(draw)
    return jobs


def fill(store: Store, draw: random.Random) -> None:
    """Some nights of one or two lists, with all that happens to their jobs afterwards."""
    with store.writing() as db:
        for table in ("attempts", "jobs", "adds", "keys", "counters"):
            db.execute(f"DELETE FROM {table}")
        db.execute("UPDATE settings SET value = 0 WHERE name = 'last_job'")
    lists = [
        (a_list(draw), draw.choice(("night", "day", "default")), draw.choice(((), ("/srv/a.toml",)))) for _ in "ab"
    ]
    for _ in range(draw.randint(2, 6)):
        which = draw.choice((0, 0, 0, 1))
        jobs, batch, files = lists[which]
        jobs = changed(jobs, draw)
        lists[which] = (jobs, batch, files)
        specs = [job_spec({"batch": batch} | job, "test", "/srv/shop", "/usr/bin") for job in jobs]
        ids = intake.add(store, specs, files).ids
        with store.writing() as db:
            for id in sorted({*ids}):
                state = draw.choice(STATES)
                ended = 1 if state in ("succeeded", "failed", "cancelled") else None
                db.execute("UPDATE jobs SET state = ?, finished_at = ? WHERE id = ?", (state, ended, id))
    with store.writing() as db:
        for (id,) in db.execute("SELECT id FROM jobs WHERE finished_at IS NOT NULL").fetchall():
            if draw.random() < 0.05:
                db.execute("DELETE FROM jobs WHERE id = ?", (id,))


def check(store: Store, draw: random.Random) -> None:
    model = Model(store)
    ids = [job.id for job in model.jobs]
    if not ids:
        return
    last = [job.id for job in model.of(model.jobs[-1].add)]
    some = draw.sample(ids, draw.randint(1, len(ids)))
    for selection, chosen, is_narrow, queue in (
        (parse([]), ids, False, None),
        (parse([in_words([(last[0], last[-1])])]), last, False, None),
        (parse([], queue="x"), [job.id for job in model.jobs if job.queue == "x"], False, "x"),
        (of_ids(some), some, None, None),
        (parse([], states=["failed"]), [job.id for job in model.jobs if job.state == "failed"], True, None),
    ):
        expected = model.change({*chosen}, is_narrow=is_narrow, queue=queue)
        found = change(store, selection)
        if expected is None or found is None:
            assert found is None and expected is None, (selection, found, expected)
            continue
        seen = {name: getattr(found, name) for name in expected}
        for name in ("now", "then"):
            assert seen[name] == tuple(merged((id, id) for id in expected[name])), name
            del seen[name], expected[name]
        seen["recovered"] = sorted(seen["recovered"])
        expected["recovered"] = sorted(expected["recovered"])
        assert seen == expected, selection


@settings(max_examples=150)
@given(st.randoms(use_true_random=False))
def test_the_model_agrees(shop: Store, draw: random.Random) -> None:
    fill(shop, draw)
    check(shop, draw)


@pytest.mark.parametrize(
    ("statement", "right", "wrong"),
    [
        ("_BY_PLACE", "t.work = j.work OR", "1 OR"),  # a place is enough
        ("_BY_PLACE", "t.name IS j.name", "1"),  # lists of other names are the same list
        ("_BY_NAME", "HAVING count(*) = 1 AND", "HAVING"),  # one of two namesakes is taken
        ("_BY_MARK", "HAVING count(*) = 1", ""),  # one of two equal jobs is taken
    ],
)
def test_a_loose_pairing_is_noticed(
    shop: Store, monkeypatch: pytest.MonkeyPatch, statement: str, right: str, wrong: str
) -> None:
    sql = getattr(twins, statement)
    assert right in sql
    monkeypatch.setattr(twins, statement, sql.replace(right, wrong))

    with pytest.raises(AssertionError):
        for seed in range(200):
            draw = random.Random(seed)
            fill(shop, draw)
            check(shop, draw)
