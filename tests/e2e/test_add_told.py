"""What `batchq add` tells with ``--json`` and ``--dry-run``."""

import json

from conftest import Shell

from batchq.jobs.fields import COLUMNS, FIELDS


def told(shell: Shell, *words: str, stdin: bytes | str | None = None) -> dict[str, object]:
    done = shell("add", "--json", *words, stdin=stdin)
    assert done.err == "" or done.err.startswith("batchq: made the store")
    answer = json.loads(done.out)
    assert isinstance(answer, dict)
    return answer


def fates(answer: dict[str, object]) -> list[tuple[object, object]]:
    jobs = answer["jobs"]
    assert isinstance(jobs, list)
    return [(job["id"], job["fate"]) for job in jobs]


def test_json_is_one_document_with_the_jobs_as_they_are_stored(batchq: Shell) -> None:
    answer = told(batchq, "--name", "n", "--tag", "t", "--env", "A=1", "--timeout", "5m", "--", "echo", "a b")

    jobs = answer.pop("jobs")
    assert answer == {
        "schema": 1,
        "kind": "add",
        "dry_run": False,
        "counts": {"added": 1, "skipped": 0, "replaced": 0, "rerun": 0},
    }
    assert jobs == [{
        "id": 1, "fate": "added", "name": "n", "batch": "default", "queue": "default", "key": None, "kind": "argv",
        "command": "echo 'a b'", "work": ["echo", "a b"], "priority": 0, "max_attempts": 1, "timeout": 300.0,
        "delay": None, "run_at": None, "hold": False, "slots": 1, "backoff": 1.0, "on_crash": "retry", "max_crashes": 3,
        "leftovers": "kill", "output": "separate", "keep_output": None, "success_codes": [0], "retry_on": [],
        "no_retry_on": [], "retry_timeout_factor": None, "max_snoozes": 1000, "unique": "ever", "if_exists": "skip",
        "umask": None, "python": None, "fresh": False,
        "after": [], "after_any": [], "after_failed": [], "tags": ["t"], "env": ["A"], "inputs": [], "stdin_bytes": None,
        "cwd": str(batchq.folder.resolve()),
    }]  # fmt: skip


def test_json_has_each_field_of_the_job_when_it_is_added_and_when_it_is_shown(batchq: Shell) -> None:
    words = (
        "--success-codes",
        "24,0",
        "--retry-on",
        "3",
        "--umask",
        "022",
        "--unique",
        "1d",
        "--key",
        "k",
        "--delay",
        "1h",
    )
    jobs = told(batchq, *words, "--", "true")["jobs"]
    assert isinstance(jobs, list)
    (added,) = jobs
    shown = json.loads(batchq("show", "1", "--json").out)["job"]

    assert added.keys() >= {name for name in FIELDS if name != "stdin"}
    assert shown.keys() >= {name for name in COLUMNS if name != "stdin"}
    expected = {"success_codes": [0, 24], "retry_on": [3], "umask": "022", "unique": 86_400.0, "delay": 3_600.0}
    assert {name: added[name] for name in expected} == expected
    assert {name: shown[name] for name in COLUMNS if name != "stdin"} == {
        name: added[name] for name in COLUMNS if name != "stdin"
    }


def test_json_tells_what_became_of_jobs_whose_key_is_known(batchq: Shell) -> None:
    lines = "".join(json.dumps({"command": "false", "key": key}) + "\n" for key in "ab")
    assert fates(told(batchq, "--format", "jsonl", "-", stdin=lines)) == [(1, "added"), (2, "added")]
    assert fates(told(batchq, "--key", "a", "--", "true")) == [(1, "skipped")]
    answer = told(batchq, "--key", "a", "--if-exists", "replace", "--", "true")
    assert fates(answer) == [(1, "replaced")]
    batchq("run", code=1)

    answer = told(batchq, "--each", "--key", "{}", "--if-exists", "rerun-failed", "--", "true", stdin="a\nb\nc\n")

    assert fates(answer) == [(1, "skipped"), (2, "rerun"), (3, "added")]
    assert answer["counts"] == {"added": 1, "skipped": 1, "replaced": 0, "rerun": 1}


def test_json_of_hostile_values_is_ascii(batchq: Shell) -> None:
    done = batchq("add", "--json", "--each", "--", "echo", stdin=b"caf\xe9\n\x1b[31m\x7f\n")

    assert done.out.isascii() and "\x1b" not in done.out and "\x7f" not in done.out
    assert [job["work"][1] for job in json.loads(done.out)["jobs"]] == ["caf\\xe9", "\x1b[31m\x7f"]


def test_json_of_no_jobs_is_a_document_too(batchq: Shell) -> None:
    assert told(batchq, "-", stdin="")["jobs"] == []


def test_a_dry_run_shows_the_jobs_and_stores_nothing(batchq: Shell) -> None:
    batchq("add", "--key", "a.png", "--", "true")
    lines = "a.png\tx\nb.png\t\x1b\n"
    words = ("--each", "--tsv", "--key", "{key}", "--queue", "img", "--", "convert", "{key}", "{2}")
    done = batchq("add", "--dry-run", *words, stdin="key\tother\n" + lines)

    assert done.out.splitlines() == [
        "WOULD BE  ID  BATCH    QUEUE    NAME  COMMAND",
        "skipped    1  default  default  -     true",  # it stays as it is stored
        "added      -  default  img      -     convert b.png $'\\033'",
    ]
    assert done.err == "batchq: add: 1 added, 1 skipped; this is a dry run, and nothing was stored\n"
    assert batchq.rows("SELECT id FROM jobs") == [(1,)]
    assert batchq("add", "--", "true").out == "2\n"


def test_a_dry_run_in_json_has_no_ids_for_what_is_not_there(batchq: Shell) -> None:
    answer = told(batchq, "--dry-run", "-", stdin="true\nfalse\n")

    assert (answer["dry_run"], fates(answer)) == (True, [(None, "added"), (None, "added")])
    assert batchq.rows("SELECT id FROM jobs") == []


def test_a_dry_run_makes_no_store(batchq: Shell) -> None:
    before = sorted(batchq.folder.rglob("*"))
    done = batchq("add", "--db", "new.db", "--dry-run", "--after", "17", "--", "true", code=65)
    assert "17" in done.err
    assert batchq("add", "--db", "new.db", "--dry-run", "-q", "--", "true").out == ""
    batchq("add", "--db", "new.db", "--dry-run", "--name", "x", "--", "true")

    assert sorted(batchq.folder.rglob("*")) == before


def test_a_dry_run_checks_all_that_an_add_checks(batchq: Shell) -> None:
    batchq("add", "--key", "k", "--", "true")
    assert (
        "belongs to job 1" in batchq("add", "--dry-run", "--key", "k", "--if-exists", "reject", "--", "x", code=65).err
    )
    assert "nobody" in batchq("add", "--dry-run", "--after", "nobody", "--", "x", code=65).err
    assert "soon" in batchq("add", "--dry-run", "--timeout", "soon", "--", "x", code=2).err
    assert batchq.rows("SELECT id, state FROM jobs") == [(1, "queued")]


def test_quiet_silences_ids_and_notes_but_not_the_document(batchq: Shell) -> None:
    done = batchq("add", "-q", "--json", "--", "true")

    assert (json.loads(done.out)["kind"], done.err) == ("add", "")


def test_a_dry_run_tells_where_no_store_could_be_made(batchq: Shell) -> None:
    (batchq.folder / "file").touch()

    assert "file/q.db" in batchq("add", "--db", "file/q.db", "--dry-run", "--", "true", code=73).err
