"""Which failures are tried again: the rules as they are written, and what they match."""

import pytest
from test_lifecycle import FRESH

from batchq.jobs.attempt import FAILED, TIMED_OUT, Failure, Outcome, Stream
from batchq.jobs.lifecycle import settle
from batchq.jobs.retrying import allows, is_in, lines, patterns, rules

ERROR = Failure("ConnectionResetError", "gone", "Traceback …")


def ended(code: int | None = None, *, status: str = FAILED, signal: int | None = None, failure: Failure | None = None,
          stderr: bytes = b"") -> Outcome:  # fmt: skip
    return Outcome(status, exit_code=code, signal=signal, failure=failure, stderr=Stream(stderr, b"", len(stderr)))


@pytest.mark.parametrize(
    ("written", "outcome", "matches"),
    [
        (75, ended(75), True),
        ("75", ended(75), True),
        (75, ended(1), False),
        ("timeout", ended(status=TIMED_OUT), True),
        ("timeout", ended(143, status=TIMED_OUT), True),
        ("timeout", ended(1), False),
        (143, ended(143, status=TIMED_OUT), False),
        ("signal:KILL", ended(signal=9), True),
        ("signal:sigkill", ended(signal=9), True),
        ("signal:9", ended(signal=9), True),
        ("signal:TERM", ended(signal=9), False),
        ("signal:KILL", ended(137), False),
        ("ConnectionResetError", ended(failure=ERROR), True),
        ("ConnectionError", ended(failure=ERROR), True),
        ("builtins.OSError", ended(failure=ERROR), True),
        ("ValueError", ended(failure=ERROR), False),
        ("shop.Broken", ended(failure=Failure("Broken", "")), True),
        (r"stderr:temporar(y|ily)", ended(1, stderr=b"ok\nfails temporarily\n"), True),
        (r"stderr:^locked$", ended(1, stderr=b"is locked\n"), False),
        (127, ended(failure=Failure("NoSuchProgram", "")), True),
    ],
)
def test_a_rule_matches_what_it_names(written: object, outcome: Outcome, matches: bool) -> None:
    stored = rules([written])
    found = tuple(pattern for pattern in patterns(stored) if is_in(pattern, lines(outcome.stderr)))
    outcome = outcome._replace(matched=found)

    assert allows(FRESH._replace(retry_on=stored), outcome) == (matches or outcome.exit_code == 75)
    assert allows(
        FRESH._replace(retry_on=rules([1, "timeout", "signal:9", "OSError", 127, 75]), no_retry_on=stored), outcome
    ) == (
        not matches and allows(FRESH._replace(retry_on=rules([1, "timeout", "signal:9", "OSError", 127, 75])), outcome)
    )


@pytest.mark.parametrize("code", [65, 126, 127])
def test_hopeless_exit_codes_are_retried_only_where_that_is_asked_for(code: int) -> None:
    assert not allows(FRESH, ended(code))
    assert allows(FRESH._replace(retry_on=rules([code])), ended(code))


def test_anything_else_is_retried_by_default() -> None:
    for outcome in (ended(1), ended(75), ended(signal=9), ended(failure=ERROR), ended(status=TIMED_OUT)):
        assert allows(FRESH, outcome)
    assert not allows(FRESH, ended(failure=Failure("NoSuchProgram", "the program is not there")))


def test_exit_code_75_asks_for_a_retry_whatever_the_rules_name_but_can_be_refused() -> None:
    assert allows(FRESH._replace(retry_on=rules(["timeout"])), ended(75))
    assert not allows(FRESH._replace(no_retry_on=rules([75])), ended(75))


def test_a_job_that_raises_retry_is_tried_again_whatever_the_rules() -> None:
    claim = FRESH._replace(retry_on=rules([3]), no_retry_on=rules(["Retry"]))

    assert allows(claim, ended(failure=Failure("Retry", "again")))
    assert allows(claim, ended(failure=Failure("Busy", "again"))._replace(retry_after=5))


def test_rules_never_raise_the_number_of_attempts() -> None:
    assert settle(FRESH._replace(retry_on=rules([1])), ended(1), 0).state == "failed"
    job = FRESH._replace(retry_on=rules([1]), max_attempts=2)
    assert settle(job, ended(1), 0).state == "scheduled"
    assert settle(job, ended(2), 0).why == "a failure of this kind is not retried"


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (0, "from 1 to 255"),
        (256, "from 1 to 255"),
        (True, "must be a string, not true or false"),
        ("timout", "did you mean 'timeout'?"),
        ("signal:NOPE", "unknown signal 'NOPE'"),
        ("signal:", "unknown signal ''"),
        ("stderr:(", "which is wrong"),
        ("not a name", "write an exit code"),
        (None, "must be a string, not nothing"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(written: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("(", r"\(").replace("?", r"\?")):
        rules([written])


def test_an_expression_that_nobody_has_looked_for_matches_nothing() -> None:
    outcome = ended(1, stderr=b"locked\n")
    job = FRESH._replace(retry_on=rules(["stderr:locked"]))

    assert not allows(job, outcome)
    assert allows(job, outcome._replace(matched=("locked",)))


def test_only_what_a_line_begins_with_is_looked_at() -> None:
    assert lines(ended(1, stderr=b"a" * 5000 + b"b\nc").stderr) == ["a" * 4096, "c"]


def test_one_rule_needs_no_list_and_none_is_none() -> None:
    assert rules("timeout") == '["timeout"]'
    assert rules([]) is None
    with pytest.raises(ValueError, match="must be a list"):
        rules({"a": 1})
