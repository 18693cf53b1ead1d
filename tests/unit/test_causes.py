"""The signature of a failure: what makes two failures one cause, what keeps them apart, and what it never does."""

import hashlib
import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchq.jobs.attempt import Outcome, Stream
from batchq.jobs.causes.evidence import Evidence, of_outcome
from batchq.jobs.causes.signature import signature
from batchq.jobs.causes.tracebacks import chain

REFUSED = "<urlopen error [Errno 111] Connection refused>"
TRACEBACK = """\
Traceback (most recent call last):
  File "/usr/lib/python3.11/urllib/request.py", line 1348, in do_open
    h.request(req.get_method(), req.selector)
ConnectionRefusedError: [Errno 111] Connection refused

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/shop/fetch.py", line {line}, in page
    with urlopen(f"http://{{host}}:{{port}}") as answer:
         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/urllib/request.py", line 1351, in do_open
    raise URLError(err)
urllib.error.URLError: <urlopen error [Errno 111] Connection refused>
"""


def raised(traceback: str, kind: str = "URLError", message: str = REFUSED) -> Evidence:
    return Evidence("failed", None, None, kind, message, traceback, program="shop:page")


def printed(stderr: str = "", stdout: str = "", code: int | None = 1, signal: int | None = None) -> Evidence:
    return Evidence("failed", code, signal, stderr=stderr, stdout=stdout, program="tool")


# --- exceptions ------------------------------------------------------------------------------------------------------


def test_an_exception_is_named_by_its_type_the_users_own_line_and_its_message() -> None:
    found = signature(raised(TRACEBACK.format(line=10)))

    assert found.ending == "exception"
    assert found.text == (
        'URLError | fetch.py(page): with urlopen(f"http://{host}:{port}") as answer: '
        "| <urlopen error [Errno 111] Connection refused>"
    )
    assert (found.where, found.line) == ("fetch.py:10", "URLError: <urlopen error [Errno 111] Connection refused>")


def test_lines_inserted_above_the_failing_one_change_nothing() -> None:
    before, after = (signature(raised(TRACEBACK.format(line=line))) for line in (10, 20))

    assert before.cause == after.cause
    assert before.where != after.where


def test_another_place_in_the_users_code_is_another_cause() -> None:
    one = TRACEBACK.format(line=10)

    assert signature(raised(one)).id != signature(raised(one.replace("in page", "in image"))).id


def test_the_same_traceback_on_stderr_of_a_command_is_the_same_cause_as_in_a_callable() -> None:
    text = TRACEBACK.format(line=10)

    assert signature(raised(text)).key == signature(printed(f"starting\n{text}")).key


def test_a_traceback_that_was_only_logged_does_not_count() -> None:
    going_on = "".join(f"step {n} done\n" for n in range(40))

    found = signature(printed(f"{TRACEBACK.format(line=10)}{going_on}fatal: the disk is full\n"))

    assert found.key == ("exit 1", "fatal: the disk is full")


def test_a_handled_exception_does_not_belong_to_the_one_that_ended_the_job() -> None:
    handled = 'Traceback (most recent call last):\n  File "/srv/a.py", line 3, in a\n    a()\nOSError: gone\n'
    fatal = 'Traceback (most recent call last):\n  File "/srv/b.py", line 5, in b\n    b()\nKeyError: 7\n'

    assert [one.type for one in chain(handled + fatal)] == ["KeyError"]
    assert signature(printed(handled + fatal)).text == "KeyError | b.py(b): b() | "


def test_the_root_of_a_chain_belongs_to_the_cause() -> None:
    text = """\
Traceback (most recent call last):
  File "/srv/shop/read.py", line 4, in rows
    return float(word)
ValueError: could not convert string to float: '{word}'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/shop/night.py", line 9, in load
    raise Broken(f"row {{n}}") from error
shop.Broken: row {n}
"""
    one, other = (signature(printed(text.format(word=word, n=n))) for word, n in (("x", 3), ("1,5", 77)))

    assert one.key == other.key
    assert "← | ValueError | read.py(rows): return float(word)" in one.text
    assert one.line == "Broken: row 3 ← ValueError at read.py:4: could not convert string to float: 'x'"


def test_a_group_of_exceptions_has_the_cause_of_its_first_member() -> None:
    text = """\
  + Exception Group Traceback (most recent call last):
  |   File "/srv/shop/all.py", line 4, in together
  |     async with TaskGroup() as tasks:
  | ExceptionGroup: unhandled errors in a TaskGroup ({count} sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/srv/shop/one.py", line 7, in one
    |     raise KeyError(n)
    | KeyError: {n}
    +------------------------------------
"""
    one, other = (signature(printed(text.format(count=count, n=n))) for count, n in ((1, 5), (1, 8)))

    assert one.key == other.key
    assert one.text.startswith("ExceptionGroup | all.py(together): async with TaskGroup() as tasks: |  | ← | KeyError")


@pytest.mark.parametrize(("one", "other"), [("'price'", "'tax'"), ("7", "'name of another column'")])
def test_the_value_in_a_message_that_only_holds_a_value_does_not_count(one: str, other: str) -> None:
    text = 'Traceback (most recent call last):\n  File "/srv/a.py", line 3, in a\n    row[name]\nKeyError: {}\n'

    assert signature(printed(text.format(one))).key == signature(printed(text.format(other))).key


# --- endings and lines -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "key"),
    [
        (Evidence("timed_out", None, 15, "TimedOut", "…", stderr="Error: slow\n", program="a"), ("timed out", "a")),
        (printed(code=1), ("exit 1", "tool")),
        (printed(code=None, signal=9), ("killed by SIGKILL", "tool")),
        (printed("step 3 of 7\n", code=None, signal=9), ("killed by SIGKILL", "tool")),
        (printed("free(): invalid pointer\n", code=None, signal=6), ("killed by SIGABRT", "free(): invalid pointer")),
        (printed("", code=None, signal=77), ("killed by signal 77", "tool")),
        (printed("4711\n"), ("exit 1", "tool")),
        (printed("", "ERROR: no space\n"), ("exit 1", "no space")),
        (
            Evidence("failed", None, None, "NoSuchProgram", "no program 'x9' in /usr/bin"),
            ("exception", "NoSuchProgram | no program '…' in …"),
        ),
        (
            Evidence("crashed", None, None, "RunnerDied", "its runner (pid 7) died", program="a"),
            ("crashed", "RunnerDied | its runner (pid …) died"),
        ),
        (
            Evidence("crashed", None, None, "WorkerDied", "it was killed", program="a:b"),
            ("crashed", "WorkerDied | it was killed | a:b"),
        ),
        (Evidence("failed"), ("failed", "")),
    ],
)  # fmt: skip
def test_how_it_ended_is_part_of_the_cause(evidence: Evidence, key: tuple[str, str]) -> None:
    assert signature(evidence).key == key


# --- what holds for all of it ----------------------------------------------------------------------------------------

PIECES = ['  File "', '{"msg": ', "{" * 900 + "}", "\x1b[", "\r", "fatal:", "Command '", "| ", "+-", "…", "\udcff"]
OUTPUT = st.lists(
    st.one_of(
        st.text(),
        st.binary().map(lambda data: data.decode("utf-8", "replace")),
        st.sampled_from(TRACEBACK.splitlines()),
        st.sampled_from(PIECES),
    )
).map("\n".join)
FAILURES = st.builds(
    Evidence,
    st.sampled_from(["failed", "timed_out", "crashed"]),
    st.one_of(st.none(), st.integers(0, 255)),
    st.one_of(st.none(), st.integers(-1, 99)),
    st.one_of(st.none(), OUTPUT),
    st.one_of(st.none(), OUTPUT),
    st.one_of(st.none(), OUTPUT),
    OUTPUT,
    OUTPUT,
    OUTPUT,
)


@given(FAILURES)
@example(printed('{"msg": ' + "[" * 980 + "]" * 980 + "}"))
@example(printed(f'Traceback (most recent call last):\n  File "a", line {"9" * 5000}, in f\nE: m'))
def test_any_output_has_a_cause_on_one_short_line(evidence: Evidence) -> None:
    found = signature(evidence)

    assert found == signature(evidence)
    assert found.id == hashlib.sha256("\0".join(found.key).encode("utf-8", "backslashreplace")).hexdigest()[:8]
    assert len(found.cause) <= 300
    assert found.cause.startswith(f"{found.id} {found.ending} | "[:300])
    assert not [sign for sign in found.cause if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")]


@given(st.text(), st.binary(), st.binary(), st.integers(0))
def test_anything_that_a_store_can_hold_is_evidence(work: str, head: bytes, tail: bytes, total: int) -> None:
    for kind in ("argv", "shell", "call", "payload"):
        outcome = Outcome("failed", 1, stderr=Stream(head, tail, total), stdout=Stream(tail, head, total))
        signature(of_outcome(kind, work, outcome))
        signature(of_outcome(kind, json.dumps([work]), outcome))


@pytest.mark.parametrize(
    "piece",
    [
        *["a", "a.", "a/", "a@", "^", "| ", "' ", "…", "1:", "ERROR| ", "Command 'a' ", "thread '' panicked at "],
        *["\x1b[", "\r", "\n", "/python3.", '  File "a", line 1, in f\n', "x: 1 failed in 1"],
        "Traceback (most recent call last):\n",
    ],
)
def test_hostile_output_without_end_is_read_to_an_end(piece: str) -> None:
    """An expression that tries every way to split such a text would never come back."""
    text = f"Traceback (most recent call last):\n{piece * (2**20 // len(piece))}"

    for evidence in (raised(text, "X", text), printed(text, text), printed(stdout=f"fatal{text}!")):
        assert len(signature(evidence).cause) <= 300
