"""The metadata for Datasette, tried with the real one, on a store that a run is writing."""

import json
import re
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from conftest import Shell, eventually, finish

from batchq.report.datasette import VIEWS, metadata
from batchq.store.file.connection import Store
from batchq.store.looking.canned import CANNED, private_tables

GATE = "until test -e gate; do sleep 0.05; done"


class Served:
    """A store as Datasette shows it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.address}{path}", timeout=60) as answer:
            assert answer.status == 200
            return str(answer.read().decode())

    def rows(self, name: str, words: str = "") -> list[dict[str, Any]]:
        return list(json.loads(self.page(f"/batchq/{name}.json?{words}&_shape=array")))


@contextmanager
def served(batchq: Shell) -> Iterator[Served]:
    """A Datasette of this test, on a free port of 127.0.0.1."""
    (batchq.folder / "about.json").write_text(batchq("datasette-metadata").out)
    with subprocess.Popen(
        [sys.executable, "-m", "datasette", "batchq.db", "-m", "about.json", "-h", "127.0.0.1", "-p", "0",
         "--setting", "sql_time_limit_ms", "60000"],  # by its own limit it gives up a query that is set aside for a second
        cwd=batchq.folder,
        env={"PATH": batchq.env["PATH"], "HOME": str(batchq.folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stderr is not None
            found = None
            for line in server.stderr:
                if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                    break
            assert found, "Datasette did not start"
            yield Served(found[1])
        finally:
            server.terminate()
            server.communicate(timeout=60)


def test_datasette_shows_a_store_on_which_a_run_is_at_work(batchq: Shell) -> None:
    batchq("add", "-q", "--name", "tail", "-c", "printf 'error: no lease on shard 17\\n' >&2; exit 3")
    twice = "mkdir once 2>/dev/null && exit 1; exit 0"
    batchq("add", "-q", "--name", "twice", "--max-attempts", "2", "--backoff", "0", "-c", twice)
    batchq("run", "-q", code=1)
    batchq("add", "-q", "--name", "gate", "-c", GATE)
    batchq("add", "-q", "--name", "next", "--after", "gate", "--", "true")
    run = batchq.start("run", "-q")
    eventually(lambda: batchq.rows("SELECT 1 FROM jobs WHERE state = 'running'"))

    with served(batchq) as site:
        home = site.page("/batchq")
        for name in VIEWS:
            page = site.page(f"/batchq/{name}")
            assert VIEWS[name][0] in page.replace("&#39;", "'")
            assert f'href="/batchq/{name}"' in home
        for one in CANNED:
            assert one.title in site.page(f"/batchq/{one.name}?job=1")
        hidden = {table["name"] for table in json.loads(site.page("/batchq.json"))["tables"] if table["hidden"]}
        assert hidden == set(private_tables())

        asked = {one.name: site.rows(one.name, "job=1" if ":job" in one.sql else "") for one in CANNED}
        assert [(row["id"], row["jobs"]) for row in asked["reasons"]] == [("c0670bdd", 1)]
        assert [row["name"] for row in asked["newest_failures"]] == ["tail"]
        assert asked["newest_failures"][0]["last_line"] == "error: no lease on shard 17"
        assert len(asked["slowest"]) == 3
        assert [(row["batch"], row["jobs"], row["open"]) for row in asked["batches"]] == [("default", 4, 2)]
        assert {(row["state"], row["jobs"]) for row in asked["waiting"]} == {("running", 1), ("blocked", 1)}
        assert [row["name"] for row in asked["retried"]] == ["twice"]
        assert [row["state"] for row in asked["runs"]] == ["running", "ended"]
        assert [row["outcome"] for row in asked["attempts_of_a_job"]] == ["failed"]
        assert [row["text"] for row in asked["output_of_a_job"]] == ["error: no lease on shard 17\n"]
        assert [row["parent"] for row in site.rows("parents_of_a_job", "job=4")] == [3]

        (batchq.folder / "gate").touch()
        assert finish(run).code == 0
        assert site.rows("waiting") == []
        assert {row["state"] for row in site.rows("job_report")} == {"succeeded", "failed"}

    batchq("doctor")


def test_every_column_of_every_view_is_described_and_nothing_else(store: Store) -> None:
    for name, (_, order, columns) in VIEWS.items():
        with closing(sqlite3.connect(store.path)) as db:
            there = [column for _, column, *_ in db.execute(f"PRAGMA table_info({name})")]
        assert sorted(columns) == sorted(there)
        assert order in there
    assert sorted(VIEWS) == [
        name for (name,) in store.fetch("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY 1")
    ]


def test_every_table_of_a_store_is_private_and_no_other_name_is(store: Store) -> None:
    there = store.fetch("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@'")

    assert private_tables() == sorted(name for (name,) in there)


def test_a_canned_query_reads_public_views_alone(store: Store) -> None:
    for one in CANNED:
        assert re.findall(r"\b(?:FROM|JOIN) (\w+)", one.sql)
        assert set(re.findall(r"\b(?:FROM|JOIN) (\w+)", one.sql)) <= set(VIEWS)


@pytest.mark.parametrize("name", ["night.db", "my store.v2.db", "plain"])
def test_the_metadata_has_the_name_that_datasette_gives_to_the_file(batchq: Shell, name: str) -> None:
    batchq("init", name)

    printed = json.loads(batchq("--db", name, "datasette-metadata").out)

    (database,) = printed["databases"]
    assert printed == metadata(database)
    assert database == name.removesuffix(".db")
