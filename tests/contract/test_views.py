"""The public views: what they show of a store with a past, whatever its jobs have printed."""

import sqlite3
from typing import Any

import pytest
from history import FAILED, HOSTILE, NOW, SUCCEEDED, a_night, add, claim, out, play
from hypothesis import given
from hypothesis import strategies as st

from batchq.jobs.attempt import Stream
from batchq.store.file import schema
from batchq.store.file.connection import Store

VIEWS = sorted(sql.split()[2] for sql in schema.OBJECTS if sql.startswith("CREATE VIEW"))


def rows(store: Store, query: str) -> list[dict[str, Any]]:
    """What another program reads, with the plain settings of Python's sqlite3."""
    with sqlite3.connect(f"file:{store.path}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        found = [dict(row) for row in db.execute(query)]
    db.close()
    return found


def one(store: Store, query: str) -> dict[str, Any]:
    (row,) = rows(store, query)
    return row


def test_all_views_are_there() -> None:
    assert VIEWS == [
        "attempt_report", "batch_report", "cause_report", "dependency_report", "job_report", "output_report",
        "queue_report", "run_report",
    ]  # fmt: skip


def test_a_batch_counts_from_zero_and_knows_when_it_was_added(store: Store) -> None:
    add(store, "a", "b", batch="night", queue="mail")
    add(store, "c")

    for name, jobs in (("night", 2), ("default", 1)):
        row = one(store, f"SELECT * FROM batch_report WHERE batch = '{name}'")
        first, last = row.pop("first_added_at"), row.pop("last_added_at")
        assert row == {"batch": name, "jobs": jobs, "succeeded": 0, "failed": 0, "cancelled": 0, "open": jobs}
        assert first.endswith("Z")
        assert first <= last
    queue = one(store, "SELECT jobs, queued, running, scheduled FROM queue_report WHERE queue = 'mail'")
    assert queue == {"jobs": 2, "queued": 2, "running": 0, "scheduled": 0}


def test_a_run_counts_how_its_attempts_ended(store: Store) -> None:
    a_night(store)

    counted = rows(store, "SELECT attempts, succeeded, failed, timed_out, crashed, seconds, state FROM run_report")

    assert [(run["attempts"], run["succeeded"], run["failed"], run["seconds"]) for run in counted] == [
        (1, 1, 0, 1.0), *[(1, 0, 1, 2.0)] * 3,
    ]  # fmt: skip
    assert one(store, "SELECT started_at FROM run_report WHERE id = 2") == {"started_at": "2023-11-14T22:13:20.000Z"}


def test_a_run_that_did_nothing_is_there_too(store: Store) -> None:
    add(store, "a")
    claim(store)

    assert one(store, "SELECT attempts, failed, seconds FROM run_report") == {
        "attempts": 0,
        "failed": 0,
        "seconds": 0.0,
    }


def test_a_job_shows_its_words_its_folder_how_long_it_waited_and_its_last_line(store: Store) -> None:
    add(store, "make all")
    add(store, call="shop:load", args={"day": "mon"})
    add(store, "true")
    add(store, payload={"customer": 17})
    play(store, FAILED._replace(stdout=out(b"one\ntwo\n\n"), stderr=out(b"warning\n  three  \n")))
    play(store, FAILED._replace(stdout=out("ein\nzwölf".encode())))
    play(store, SUCCEEDED._replace(stdout=out(b"fine\n")))

    shell, call, success, payload = rows(store, "SELECT words, args, cwd, last_line, waited FROM job_report")

    assert shell == {"words": '["make all"]', "args": None, "cwd": "/srv/shop", "last_line": "three", "waited": 0}
    assert call == {"words": None, "args": '{"day":"mon"}', "cwd": "/srv/shop", "last_line": "zwölf", "waited": 0}
    assert payload == {"words": None, "args": None, "cwd": "/srv/shop", "last_line": None, "waited": None}
    assert success["last_line"] is None


def test_a_wait_ends_with_the_first_attempt(store: Store) -> None:
    (job,) = add(store, "a", max_attempts=3)
    store.db.execute(f"UPDATE jobs SET created_at = {NOW - 1500}")
    play(store, FAILED)
    store.db.execute("UPDATE jobs SET state = 'queued', due_at = NULL, due_from = NULL, why = NULL")
    store.db.execute("UPDATE counters SET state = 'queued'")
    claim(store, now=NOW + 60_000)

    assert one(store, f"SELECT waited FROM job_report WHERE id = {job}") == {"waited": 1.5}


def test_a_job_that_runs_for_the_first_time_has_waited(store: Store) -> None:
    add(store, "a")
    store.db.execute(f"UPDATE jobs SET created_at = {NOW - 2000}")
    claim(store)

    assert one(store, "SELECT waited FROM job_report") == {"waited": 2.0}


def test_a_dependency_names_both_jobs(store: Store) -> None:
    (parent,) = add(store, "a", name="extract")
    (child,) = add(store, "b", name="load", after=["extract"])

    assert one(store, "SELECT * FROM dependency_report") == {
        "job": child, "name": "load", "state": "blocked", "kind": "after",
        "parent": parent, "parent_name": "extract", "parent_state": "queued",
    }  # fmt: skip


def test_output_is_there_as_text_with_its_size(store: Store) -> None:
    add(store, "a")
    play(store, SUCCEEDED._replace(stdout=out(b"ok\n"), stderr=Stream(b"x" * 3000, b"end\n", 10**6)))

    stderr, stdout = rows(store, "SELECT stream, bytes, text, cut FROM output_report ORDER BY stream")

    assert stdout == {"stream": "stdout", "bytes": 3, "text": "ok\n", "cut": 0}
    assert stderr == {"stream": "stderr", "bytes": 10**6, "text": "x" * 1996 + "end\n", "cut": 1}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (HOSTILE, "\x1b]0;pwned\x07\x1b[2J\ufffd31m\u202e gone \ufffd\n"),
        (b"caf\xe9\n", "caf\ufffd\n"),
        (b"a\0b\xff", "a\0b\ufffd"),
        ("ein ✓ – 漢字 🙂\n".encode(), "ein ✓ – 漢字 🙂\n"),
        (b"\xf0\x9f \xed\xa0\x80 \xe2\x82", "\ufffd\ufffd \ufffd\ufffd\ufffd \ufffd\ufffd"),
        (b"", None),
    ],
)
def test_bytes_that_are_not_text_harm_no_reader(store: Store, data: bytes, text: str | None) -> None:
    add(store, "a", cwd="/srv/caf\udce9")
    play(store, FAILED._replace(stderr=out(data)))

    for view in VIEWS:
        rows(store, f"SELECT * FROM {view}")

    assert [row["text"] for row in rows(store, "SELECT text FROM output_report")] == ([] if text is None else [text])
    assert one(store, "SELECT cwd FROM job_report") == {"cwd": "/srv/caf\ufffd"}


@given(
    st.lists(st.one_of(st.binary(max_size=9), st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))))
)
def test_any_output_can_be_read(store: Store, pieces: list[bytes]) -> None:
    if not store.fetch("SELECT 1 FROM jobs"):
        add(store, "a")
        play(store, FAILED._replace(stderr=out(b"ok")))
    data = b"".join(pieces)
    store.db.execute("UPDATE outputs SET head = ?, tail = ?, total = ?", (data[:9], data[9:], len(data)))

    text = one(store, "SELECT text FROM output_report")["text"]
    one(store, "SELECT last_line FROM job_report")

    try:
        assert (text or "") == data.decode().translate(
            {0xFFFE: "\ufffd" * 3, 0xFFFF: "\ufffd" * 3}
        )  # which are no characters
    except UnicodeDecodeError:
        assert "\ufffd" in text


def test_failed_jobs_are_counted_by_cause_and_batch(store: Store) -> None:
    add(store, "a", "b", batch="night")
    add(store, "c", "d")
    refused, full = (
        FAILED._replace(stderr=out(text)) for text in (b"fatal: refused by 10.0.0.7\n", b"error: disk full\n")
    )
    play(store, refused, refused._replace(stderr=out(b"fatal: refused by 10.0.0.9\n")), refused, full)

    counted = rows(store, "SELECT cause, batch, jobs, first_job, last_job FROM cause_report ORDER BY first_job")

    assert [(row["cause"][9:], *list(row.values())[1:]) for row in counted] == [
        ("exit 3 | fatal: refused by …", "night", 2, 1, 2),
        ("exit 3 | fatal: refused by …", "default", 1, 3, 3),
        ("exit 3 | error: disk full", "default", 1, 4, 4),
    ]
    joined = (
        "SELECT j.id FROM job_report AS j JOIN cause_report AS c USING (cause, batch) WHERE j.cause LIKE c.id || ' %'"
    )
    assert len(rows(store, joined)) == 4
    assert one(store, "SELECT count(*) FROM attempt_report WHERE cause IS NOT NULL") == {"count(*)": 4}
