"""``show`` and ``logs`` on a real store, and what a terminal gets."""

from commands import on_a_terminal, run
from history import FAILED, HOSTILE, NOW, SUCCEEDED, a_night, add, claim, out, play

from batchq import clock
from batchq.jobs.attempt import Stream
from batchq.store.file.connection import Store


def test_show_prints_everything_about_a_job_except_secrets(store: Store) -> None:
    add(store, "make", name="build", env={"TOKEN": "hunter2"}, timeout="90s", max_attempts=2, tags=["nightly"])
    play(store, FAILED._replace(stderr=out(b"no rule\n"), peak=1000))

    told = run(store, "show", "1").out

    assert told.startswith("job 1 (build): scheduled, attempt 1 of 2: exit code 3\n")
    for words in ("/srv/shop", "TOKEN", "timeout 1 m 30 s", "nightly", "no rule", "1.0 MB", "batchq --db"):
        assert words in told
    assert "hunter2" not in told
    assert "hunter2" not in run(store, "show", "1", "--json").out


def test_show_has_all_fields_that_differ_from_their_defaults_in_words(store: Store) -> None:
    rules = {"retry_on": [3, "stderr:no route"], "success_codes": [0, 24], "slots": 2, "leftovers": "keep"}
    add(store, "one", name="load")
    add(store, "two")
    play(store, SUCCEEDED, FAILED)
    add(store, "three", after=["load"], after_any=[2], tags=["a b", "c"], **rules)

    told = run(store, "show", "3").out
    plain = run(store, "show", "1").out

    for label, text in (
        ("retry on", "3, stderr:no route"), ("success codes", "0,24"), ("slots", "2"), ("leftovers", "keep"),
        ("after", "1 (load) succeeded"), ("after any", "2 failed"), ("tags", "a b, c"),
    ):  # fmt: skip
        assert f"\n  {label.ljust(13)} {text}\n" in told
        assert f"\n  {label} " not in plain


def test_show_has_each_field_that_a_job_can_have() -> None:
    """A new field appears without a change of show, unless it has a line of its own."""
    from batchq.jobs.fields import COLUMNS, FIELDS
    from batchq.report import detail

    shown = {"batch", "queue", "priority", "tags", "env", "stdin", "umask"}
    assert {*COLUMNS} - detail.SHOWN >= {"leftovers", "slots", "python", "fresh"}
    assert {*COLUMNS} >= detail.SHOWN >= shown and {*FIELDS} >= {*COLUMNS}


def test_started_is_when_the_first_attempt_started(store: Store) -> None:
    add(store, "a", max_attempts=2)
    play(store, FAILED, now=NOW)
    play(store, SUCCEEDED, now=NOW + 86_400_000)

    told = run(store, "show", "1").out

    assert f"\n  started   {clock.local(NOW)}\n  finished  {clock.local(NOW + 86_401_000)}\n" in told
    assert f"\n    2  {clock.local(NOW + 86_400_000)}  1.0 s" in told


def test_of_many_parents_ten_are_named(store: Store) -> None:
    add(store, *["true"] * 12)
    add(store, "last", after=["last"])

    (line,) = [line for line in run(store, "show", "13").out.splitlines() if line.startswith("  after")]
    assert line.count(" queued") == 10 and line.endswith("10 queued, …")


def test_show_in_json_has_every_attempt(store: Store) -> None:
    add(store, command=["make", "all"], max_attempts=2)
    play(store, FAILED, now=NOW)
    play(store, SUCCEEDED._replace(result='{"n":1}'), now=NOW + 86_400_000)

    job = run(store, "show", "1", "--json").json["job"]

    assert (job["id"], job["work"], job["cwd"], job["state"]) == (1, ["make", "all"], "/srv/shop", "succeeded")
    assert [(attempt["attempt"], attempt["outcome"]) for attempt in job["attempts"]] == [
        (1, "failed"),
        (2, "succeeded"),
    ]
    assert job["attempts"][1]["result"] == {"n": 1}


def test_logs_are_raw_bytes_off_a_terminal(store: Store) -> None:
    add(store, "a", "b")
    play(store, FAILED._replace(stdout=out(HOSTILE), stderr=out(b"\x00err")), SUCCEEDED._replace(stdout=out(b"two")))

    assert run(store, "logs", "1").raw == HOSTILE + b"\x00err"
    assert run(store, "logs", "1", "--stdout").raw == HOSTILE
    assert run(store, "logs", "1", "--stderr").raw == b"\x00err"
    assert run(store, "logs", "1-2", "--stdout").raw == HOSTILE + b"two"


def test_logs_of_an_earlier_attempt(store: Store) -> None:
    add(store, "a", max_attempts=2)
    play(store, FAILED._replace(stderr=out(b"first")))
    play(store, FAILED._replace(stderr=out(b"second")), now=NOW + 86_400_000)

    assert run(store, "logs", "1").raw == b"second"
    assert run(store, "logs", "1", "--attempt", "1").raw == b"first"
    assert run(store, "logs", "1", "--attempt", "9").err == "job 1 has no attempt 9: it had 2"


def test_what_was_cut_from_a_log_is_marked_in_its_place_and_on_stderr(store: Store) -> None:
    add(store, "a")
    play(store, SUCCEEDED._replace(stdout=Stream(b"begin", b"end", 1_000_008)))

    done = run(store, "logs", "1")

    what = b"1,000,000 bytes of stdout are missing here: keep more with --keep-output or run --log-dir"
    assert done.raw == b"begin\n[batchq: %s]\nend" % what
    assert "1,000,000 bytes are missing of the stdout of job 1" in done.err


def test_a_job_without_output_is_reported_on_stderr(store: Store) -> None:
    add(store, "a", "b", "c")
    play(store, SUCCEEDED)
    claim(store)

    assert run(store, "logs", "1").err == "batchq: logs: job 1 printed nothing to stdout or stderr\n"
    assert run(store, "logs", "2", "--stdout").err == "batchq: logs: job 2 printed nothing to stdout yet\n"
    assert run(store, "logs", "3", "--stderr").err == "batchq: logs: job 3 has not started yet\n"


def test_logs_on_a_terminal_are_made_safe(store: Store) -> None:
    add(store, "a")
    play(store, FAILED._replace(stdout=out(HOSTILE), stderr=Stream("ä".encode()[:1], "ä".encode()[1:], 2)))

    seen = on_a_terminal(store, "logs", "1")

    assert "\x1b" not in seen
    assert r"\x1b]0;pwned\x07\x1b[2J\x9b31m\u202e gone \xff" in seen
    assert seen.endswith("\nä\n")


def test_a_terminal_gets_colours_and_lines_that_fit(store: Store) -> None:
    a_night(store)
    add(store, "echo " + "long " * 100)

    assert "\x1b[31mexit code 3, after 2.0 s\x1b[0m" in on_a_terminal(store, "report")
    for words in (("report",), ("list",), ("show", "4")):
        for columns in (40, 60, 80, 120):
            plain = on_a_terminal(store, *words, "--color", "never", columns=columns)
            assert "\x1b" not in plain
            lines = plain.splitlines()
            assert max(len(line) for line in lines if "batchq --db" not in line) <= columns
            assert all(f"batchq --db {store.path} " in line for line in lines if "batchq --db" in line)


def test_no_color_and_a_dumb_terminal_are_honoured_and_always_overrules(store: Store) -> None:
    a_night(store)

    assert "\x1b" not in on_a_terminal(store, "list", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(store, "list", TERM="dumb")
    assert "\x1b" in on_a_terminal(store, "list", "--color", "always", NO_COLOR="1")
    assert "\x1b[31mfailed\x1b[0m" in run(store, "list", "--color", "always").out
    assert "\x1b" not in run(store, "list").out
