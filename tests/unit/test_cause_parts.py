"""The parts of a signature: the line that explains most, what varies in it, the evidence, and clusters of signatures."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq.jobs.attempt import Failure, Outcome, Stream
from batchq.jobs.causes.clusters import ALIKE, merged, title
from batchq.jobs.causes.evidence import TAIL, Evidence, end_of, of_outcome, program_of
from batchq.jobs.causes.lines import explaining
from batchq.jobs.causes.masks import masked

# --- lines and masks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("reading a.csv\nerror: no column 'price'\ncleaning up\n", "error: no column 'price'"),
        ("Error: one\nError: two\n", "Error: two"),
        ("a.c:3:5: error: no x\na.c:9:1: error: expected ';'\nmake: *** [a.o] Error 1\n", "a.c:3:5: error: no x"),
        ("\x1b[31mfatal: quota exceeded\x1b[0m\n", "fatal: quota exceeded"),
        ("  10 %\r  50 %\rcannot write\r\n", "cannot write"),
        ("it failed for this reason:\n   the disk is full\n", "it failed for this reason: the disk is full"),
        ('{"level": "error", "msg": "lease lost", "n": 4}\n{"level": "info", "msg": "bye"}\n', "lease lost"),
        ("WARNING: error rates are high\nall done\n", "all done"),
        ("one\ntwo\n", "two"),
    ],
)  # fmt: skip
def test_the_line_that_explains_most_is_found(text: str, line: str) -> None:
    found = explaining(text)

    assert found is not None
    assert found.line.strip() == line


@pytest.mark.parametrize("text", ["", "\n \n", "+ set -x\n"])
def test_output_that_says_nothing_has_no_telling_line(text: str) -> None:
    assert explaining(text) is None


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("2026-11-28T08:23:26.123Z [4711] ERROR: cannot open /srv/data/a17.csv", "cannot open …"),
        ("connection to 10.0.0.7:5432 refused", "connection to … refused"),
        ("HTTP 503 from https://example.org/a?b=7", "HTTP 503 from …"),
        ("no user 'ann' in table users", "no user 'ann' in table users"),
        ("no user 'ann 17' in 3 tables", "no user '…' in … tables"),
        ("[Errno 28] No space left on device: '/tmp/x'", "[Errno 28] No space left on device: '…'"),
        ("3 errors in 1,024 lines", "error in … line"),
        ("Command '['/bin/tar', '-x']' returned non-zero exit status 2.", "Command tar … returned non-zero exit status 2."),
        ("lost \ufffd\ufffd\ufffd here", "lost … here"),
    ],
)  # fmt: skip
def test_what_varies_is_masked_and_what_explains_stays(text: str, mask: str) -> None:
    assert masked(text, quotes=False) == mask


# --- evidence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "work", "program"),
    [
        ("argv", '["/usr/bin/rsync", "-a"]', "rsync"),
        ("argv", '["/bin/bash", "-c", "exit 3"]', "bash -c"),
        ("shell", '["make all"]', "sh -c"),
        ("call", '{"call": "shop.night:image", "args": {"n": 3}}', "shop.night:image"),
        ("payload", '{"customer": 17}', "payload"),
        ("argv", "no JSON", ""),
        ("argv", "[]", ""),
        ("call", "7", ""),
    ],
)
def test_the_program_is_named_without_its_arguments(kind: str, work: str, program: str) -> None:
    assert program_of(kind, work) == program


def test_the_end_of_a_stream_counts_wherever_it_is_kept() -> None:
    assert end_of(None) == ""
    assert end_of(Stream(b"all of it\n", b"", 10)) == "all of it\n"
    assert end_of(Stream(b"beg", b"end", 6)) == "begend"
    assert end_of(Stream(b"beg", b"end", 999)) == "beg\nend"
    assert end_of(Stream(b"a" * TAIL, b"b" * TAIL, 10**9)) == "b" * TAIL
    assert end_of(Stream(b"\xff!", b"", 2)) == "\ufffd!"


def test_the_outcome_of_an_attempt_is_its_evidence() -> None:
    outcome = Outcome("failed", 3, failure=Failure("Kind", "why", "trace"), stderr=Stream(b"err", b"", 3))

    found = of_outcome("argv", '["a"]', outcome)

    assert found == Evidence("failed", 3, None, "Kind", "why", "trace", "err", "", "a")


# --- clusters --------------------------------------------------------------------------------------------------------


def test_signatures_that_differ_in_one_word_are_one_cluster_from_four_on() -> None:
    keys = [("exit 1", f"no lease for shard {name}") for name in ("acme", "bolt", "cedar", "delta")]

    assert len(keys) == ALIKE
    assert set(merged(keys).values()) == {("exit 1", "no lease for shard …")}
    assert set(merged(keys[1:]).values()) == set(keys[1:])


def test_one_that_fits_a_signature_with_a_gap_joins_it() -> None:
    keys = [("exit 1", "no lease for …"), ("exit 1", "no lease for acme")]

    assert set(merged(keys).values()) == {("exit 1", "no lease for …")}


def test_the_first_word_and_the_ending_never_vary() -> None:
    keys = [("exit 1", f"{name}: it failed") for name in string.ascii_lowercase]
    codes = [(f"exit {code}", "cannot go on here") for code in range(20)]

    assert merged(keys) == {key: key for key in keys}
    assert merged(codes) == {key: key for key in codes}


def test_a_title_keeps_what_the_lines_share() -> None:
    assert (
        title(["port 443 of a is closed", "port 443 of b is closed"], "port … is closed") == "port 443 of … is closed"
    )
    assert title(["one", "one two"], "KeyError | a.py(a): x") == "KeyError"


@given(st.lists(st.tuples(st.sampled_from(["exit 1", "exit 2"]), st.text("ab …", max_size=9))), st.randoms())
def test_clusters_do_not_depend_on_the_order(keys, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(keys, len(keys))

    assert merged(keys) == merged(shuffled)
    assert set(merged(keys)) == set(keys)
