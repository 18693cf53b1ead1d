"""What a terminal sends for keys, and what each key does in ``batchq top``."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq.cli.top.keys import HELP as TEXT
from batchq.cli.top.keys import Decoder
from batchq.cli.top.pressing import QUIT, READ, Pressed, press
from batchq.report.top.contents import Contents, Row
from batchq.report.top.focus import CONFIRM, HELP, LIST, LOG, TYPING, Focus, settled
from batchq.store.changing.queues import Queue
from batchq.store.looking.rows import Job


def a_job(id: int, state: str = "running", **fields: Any) -> Job:
    job = Job(
        id, None, "default", "default", state, None, "argv", f'["work", "{id}"]', 0, 1, 1, 0, 0, None, None, 1_000, 2_000,
        3_000, None, 1.0, None, None,
    )  # fmt: skip
    return job._replace(**fields)


def contents(*jobs: Job, **fields: Any) -> Contents:
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.state] = counts.get(job.state, 0) + 1
    queues = [Queue("default", False, None, None, counts)]
    return Contents("/srv/batchq.db", 10_000, counts, queues, [], [*map(Row, jobs)], [], None, 0)._replace(**fields)


def pressed(focus: Focus, keys: str, found: Contents, rows: int = 24) -> Pressed:
    """What the last of some keys (words, apart) does, after the others."""
    done = Pressed(settled(found, focus))
    for key in keys.split():
        done = press(done.focus, key, found, rows)
    return done


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1b[B\x1bOC\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[4~\x1bOF", ["pageup", "pagedown", "home", "end", "end"]),
        (b"\t\r\n\x7f\x1b[Z", ["right", "enter", "enter", "backspace", "left"]),
        (b"\x1bOP\x1bOS\x1b[17~\x1b[20~\x1b[21~", ["?", "/", "s", "c", "q"]),  # F1, F4, F6, F9, F10
        ("ä日".encode(), ["ä", "日"]),
        (b"\x1b[1;5A", ["up"][:0]),  # with Ctrl: no key of ours
        (b"\x1bx", ["escape", "x"]),
        (b"a\x00\x01b", ["a", "b"]),
    ],
)
def test_what_a_terminal_sends_becomes_keys(data: bytes, keys: list[str]) -> None:
    assert Decoder().keys(data, final=True) == keys


@pytest.mark.parametrize("sequence", [b"\x1b[A", b"\x1b[5~", b"\x1bOB", "é".encode()])
def test_a_key_that_comes_in_pieces_is_one_key(sequence: bytes) -> None:
    decoder = Decoder()
    found = [key for byte in sequence for key in decoder.keys(bytes([byte]))]
    assert found == Decoder().keys(sequence) and len(found) == 1


def test_an_escape_is_the_escape_key_if_nothing_follows() -> None:
    decoder = Decoder()
    assert decoder.keys(b"\x1b") == [] and decoder.is_waiting
    assert decoder.keys(b"", final=True) == ["escape"] and not decoder.is_waiting


@given(st.binary(max_size=60), st.integers(1, 7))
def test_whatever_a_terminal_sends_is_read_to_its_end(data: bytes, size: int) -> None:
    decoder = Decoder()
    for start in range(0, len(data), size):
        decoder.keys(data[start : start + size])
    assert all(key.isprintable() and key for key in decoder.keys(b"", final=True))


def test_the_selection_follows_its_job_and_passes_to_the_next_one_when_that_has_left() -> None:
    jobs = [a_job(id) for id in (3, 5, 8)]
    focus = pressed(Focus(), "down", contents(*jobs)).focus
    assert focus.selected == 5

    assert settled(contents(a_job(1), *jobs), focus).selected == 5
    assert settled(contents(jobs[0], jobs[2]), focus).selected == 8
    assert settled(contents(jobs[0]), focus).selected == 3
    assert settled(contents(), focus).selected == 0


def test_a_cancel_asks_first_and_means_the_job_that_it_asked_for() -> None:
    found = contents(a_job(3), a_job(5))
    asked = pressed(Focus(), "down c", found)
    assert (asked.focus.mode, asked.focus.verb, asked.focus.target, asked.asks) == (CONFIRM, "cancel", 5, "")

    later = settled(contents(a_job(3)), asked.focus)  # meanwhile it has ended, and another job is selected
    done = press(later, "y", contents(a_job(3)), 24)
    assert (done.asks, done.target, done.focus.mode) == ("cancel", 5, LIST)


@pytest.mark.parametrize("key", ["n", "q", "escape", "enter", "c", "down"])
def test_any_key_except_y_leaves_the_job_as_it_is(key: str) -> None:
    done = pressed(Focus(), f"c {key}", contents(a_job(3)))
    assert (done.asks, done.focus.mode) == ("", LIST)
    assert done.focus.message == "left as it is"


@pytest.mark.parametrize(
    ("state", "key", "verb"),
    [("queued", "h", "hold"), ("held", "h", "release"), ("failed", "r", "retry"), ("succeeded", "r", "retry")],
)
def test_a_key_asks_for_the_change_that_its_job_can_have(state: str, key: str, verb: str) -> None:
    done = pressed(Focus(state=state if state != "succeeded" else ""), key, contents(a_job(3, state)))
    assert (done.asks, done.target) == (verb, 3)


@pytest.mark.parametrize("key", ["c", "r", "h", "l", "enter"])
def test_a_key_without_a_job_does_nothing_and_reports_it(key: str) -> None:
    done = pressed(Focus(), key, contents())
    assert (done.asks, done.focus) == ("", Focus(message="no job is selected"))


def test_lists_without_jobs_are_passed_over_and_the_last_one_is_followed_by_the_first() -> None:
    found = contents(a_job(1), a_job(2, "failed"))
    after = {"right": "failed", "right right": "", "right right right": "running", "left": ""}
    assert {keys: pressed(Focus(), keys, found).focus.state for keys in after} == after
    assert pressed(Focus(), "right", found).asks == READ


def test_a_filter_is_typed_kept_and_dropped() -> None:
    found = contents(a_job(1))
    typed = pressed(Focus(), "/ q x backspace é", found)
    assert (typed.focus.mode, typed.focus.text, typed.asks) == (TYPING, "qé", READ), "q is a letter here"
    assert pressed(Focus(), "/ a enter", found).focus == Focus(text="a", selected=1)
    assert pressed(Focus(), "/ a enter escape", found).focus.text == ""
    assert pressed(Focus(), "/ a escape", found).focus.text == ""


def test_a_log_is_scrolled_and_left() -> None:
    found = contents(a_job(7))
    opened = pressed(Focus(), "enter", found)
    assert (opened.focus.mode, opened.focus.target, opened.asks) == (LOG, 7, READ)
    assert pressed(Focus(), "enter up up", found).focus.below == 2
    assert pressed(Focus(), "enter pageup down", found, rows=12).focus.below == 9
    assert pressed(Focus(), "enter up end", found).focus.below == 0
    assert pressed(Focus(), "enter q", found).focus.mode == LIST, "q leaves the log, not the program"
    assert pressed(Focus(), "? q q", found).asks == QUIT


@given(
    st.lists(
        st.sampled_from([*"qhcrlsjkgG/?yn \x7f", "up", "down", "left", "right", "enter", "escape", "pageup", "end"])
    )
)
def test_no_keys_lead_out_of_the_lists(keys: list[str]) -> None:
    found = contents(a_job(1), a_job(2, "failed"), a_job(3, "held"))
    focus = settled(found, Focus())
    for key in keys:
        done = press(focus, key, found, 24)
        focus = settled(found, done.focus)
        assert focus.mode in (LIST, LOG, HELP, TYPING, CONFIRM)
        assert done.asks in ("", QUIT, READ, "hold", "release", "retry", "cancel")
        assert done.asks != "cancel" or key in "yY"


def test_the_help_names_each_key_that_does_something() -> None:
    found = contents(a_job(1), a_job(2))
    for key in "kjgGlhcr/s?q":
        assert pressed(Focus(), f"down {key}", found) != Pressed(pressed(Focus(), "down", found).focus, READ), key
        assert any(key in line.split("  ")[0].replace(",", "").split() or key in line[:4] for line in TEXT.splitlines())
