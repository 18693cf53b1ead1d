"""What the words of a SELECTION mean, and which are refused with a sentence."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchq import clock
from batchq.errors import UsageError
from batchq.jobs.selection import LAST_RUN, Selection, in_words, merged, of_ids, parse


def test_ids_and_ranges_become_sorted_disjoint_ranges() -> None:
    assert parse(["9", "1-5,4-7", " 8 "]).ids == ((1, 9),)
    assert parse(["12", "3", "5-6"]).ids == ((3, 3), (5, 6), (12, 12))


def test_last_stands_beside_ids() -> None:
    assert parse(["last"]) == Selection(last=True)
    assert parse(["3,last"]) == Selection(((3, 3),), last=True)


def test_states_may_be_repeated_or_separated_by_commas_and_failed_adds_one() -> None:
    assert parse([], states=["failed,held", "queued"]).states == ("held", "queued", "failed")
    assert parse([], states=["cancelled"], failed=True).states == ("failed", "cancelled")


def test_nothing_chosen_is_empty_and_everything_is_not() -> None:
    assert parse([]).is_empty
    for chosen in (
        parse([], everything=True),
        parse(["1"]),
        parse(["last"]),
        parse([], batch="b"),
        parse([], failed=True),
        parse([], name="*"),
        parse([], causes=["606e2443"]),
        parse([], run="last"),
    ):
        assert not chosen.is_empty


def test_a_run_is_a_number_or_last() -> None:
    assert parse([], run="17").run == 17
    assert parse([], run="last").run == LAST_RUN


@pytest.mark.parametrize("word", ["0", "-1", "x", "1-5", "01", "٣", "", " 1"])
def test_what_is_not_a_run_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="--run"):
        parse([], run=word)


def test_causes_may_be_repeated_or_separated_by_commas() -> None:
    assert parse([], causes=["606e2443,23d8c864", "606e2443"]).causes == ("23d8c864", "606e2443")


@pytest.mark.parametrize("word", ["", "606e244", "606E2443", "606e24431", "606e2443,", "exit 3", "%", "606e2443\n1"])
def test_what_is_not_the_id_of_a_cause_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="is not the id of a cause"):
        parse([], causes=[word])


def test_since_is_a_window_or_a_time() -> None:
    assert parse([], since="2023-11-14T22:13:20Z").since == 1_700_000_000_000
    assert (parse([], since="2h").since or 0) <= clock.now() - 7_200_000


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["x"], "'x' is not a job"),
        (["lats"], "did you mean 'last'?"),
        (["5-1"], "the range 5-1 is empty: write 1-5"),
        (["0"], "ids begin with 1"),
        (["-3"], "is not a job"),
        (["3-"], "is not a job"),
        (["1.5"], "is not a job"),
        (["٣"], "is not a job"),
        (["9" * 5000], "is not a job"),
        ([""], "an empty word selects nothing"),
        (["1,,2"], "an empty word selects nothing"),
        (["\x1b[2J"], r"\x1b"),
    ],
)
def test_bad_words_are_refused_with_a_sentence(words: list[str], complaint: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse(words)

    assert complaint in str(refusal.value)
    assert "\x1b" not in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_an_unknown_state_names_the_near_one() -> None:
    with pytest.raises(UsageError, match=r"no state 'faild' .did you mean 'failed'"):
        parse([], states=["faild"])


@pytest.mark.parametrize("option", ["batch", "queue", "name", "since"])
def test_an_empty_option_is_an_unset_variable_and_never_means_every_job(option: str) -> None:
    with pytest.raises(UsageError, match=f"--{option} is empty"):
        parse([], **{option: ""})  # type: ignore[arg-type]


def test_all_excludes_ids() -> None:
    with pytest.raises(UsageError, match="--all and '3' exclude each other"):
        parse(["3"], everything=True)


def test_since_that_is_no_time_is_refused() -> None:
    with pytest.raises(UsageError, match="--since: 'yesterdayish'"):
        parse([], since="yesterdayish")


def test_no_ids_select_no_job_instead_of_every_job() -> None:
    assert not of_ids([]).is_empty
    assert of_ids([]).ids == ((0, 0),)


def test_in_state_narrows_and_never_widens() -> None:
    assert parse([], batch="b").in_state("failed") == Selection(batch="b", states=("failed",))
    assert parse([], states=["queued"]).in_state("failed") == of_ids([])


@given(st.sets(st.integers(1, 60)))
def test_ranges_hold_exactly_the_ids_they_were_made_of(ids: set[int]) -> None:
    ranges = list(merged((job, job) for job in ids))

    assert [job for low, high in ranges for job in range(low, high + 1)] == sorted(ids)
    assert all(high + 1 < low for (_, high), (low, _) in pairwise(ranges))
    if ids:
        assert parse([in_words(ranges)]) == of_ids(ids)
