"""Which failures are retried: ``retry_on`` and ``no_retry_on``, checked by the add and applied when a job is settled.

A rule is an exit code (``75``), ``timeout``, ``signal:KILL``, the name of the class of an exception or of one of its bases
(``ConnectionError``), or ``stderr:REGEX``, searched in each line that was kept of stderr. Some expressions take long, so
the runner matches them beforehand (``runner/judging.py``): here an outcome lists those that matched.
"""

from batchq.jobs.work import FIELD_LIMIT, did_you_mean, kind_of, quoted, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchq.jobs.attempt import Budget, Ended, Failure, Outcome, Stream

HOPELESS = (65, 126, 127)  #: exit codes that are not retried by default: bad input, not executable, not found
TEMPORARY = 75  #: the exit code of sysexits.h for "try again later": retried whatever ``retry_on`` lists
LINE = 4096  #: characters of a line of stderr that a regular expression sees
# The exit codes that a shell would have had, and that of bad input
_NO_PROGRAM = {"NotExecutable": 126, "NoSuchProgram": 127, "Unreadable": 65}
_WORDS = ["timeout", "signal:", "stderr:"]


def rules(value: object) -> str | None:
    """Return the stored form of a list of rules, None for an empty one; ValueError with the end of a sentence."""
    words = [value] if isinstance(value, (str, int)) else value
    if not isinstance(words, list):
        raise ValueError(
            f"must be a list of exit codes, 'timeout', 'signal:NAME', exceptions or 'stderr:REGEX', not {kind_of(value)}"
        )
    checked = [_rule(word) for word in words]
    if not checked:
        return None
    import json

    text = json.dumps(checked)
    if len(text) > FIELD_LIMIT:
        raise ValueError("is over 1 MiB")
    return text


def _rule(word: object) -> str | int:
    if isinstance(word, int) and not isinstance(word, bool):
        if not 1 <= word <= 255:
            raise ValueError(f"has the exit code {word}: a failure has one from 1 to 255")
        return word
    text = text_of(word)
    if text.isascii() and text.isdecimal() and len(text) < 5:
        return _rule(int(text))
    kind, colon, rest = text.partition(":")
    if colon and kind == "signal":
        return f"signal:{_signal(rest)}"
    if colon and kind == "stderr":
        _check_pattern(rest)
        return text
    is_exception = text.replace(".", "_").isidentifier() and (text != text.lower() or text.endswith("error"))
    if text == "timeout" or is_exception:
        return text
    raise ValueError(
        f"has {quoted(text)}{did_you_mean(text, _WORDS)}: write an exit code, 'timeout', 'signal:NAME', the name of an"
        " exception, or 'stderr:REGEX'"
    )


def _signal(name: str) -> int:
    import signal

    number = int(name) if name.isdecimal() and name.isascii() and len(name) < 4 else 0
    found = getattr(signal, f"SIG{name.upper().removeprefix('SIG')}", number)
    if not isinstance(found, int) or found not in signal.valid_signals():
        raise ValueError(f"has the unknown signal {quoted(name)}: write it as in 'signal:KILL'")
    return int(found)


def _check_pattern(pattern: str) -> None:
    import re
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise ValueError(f"has the regular expression {quoted(pattern)}, which is wrong: {error}") from None


def allows(job: "Budget", outcome: "Outcome") -> bool:
    """Whether a failed or timed out attempt is of a kind that is retried; the caller checks the number of attempts.

    In a group of exceptions one that matches ``no_retry_on`` is enough, but all must match ``retry_on``.
    """
    if asks_for_retry(outcome):
        return True
    code = _code(outcome)
    refused, retried = _listed(job.no_retry_on), _listed(job.retry_on)
    if _match(refused, outcome, code) or any(_members_named(refused, outcome)):
        return False
    if not retried:
        return code not in HOPELESS
    members = _members_named(retried, outcome)
    return code == TEMPORARY or _match(retried, outcome, code) or (bool(members) and all(members))


def asks_for_retry(outcome: "Outcome") -> bool:
    """Whether the job raised ``batchq.Retry``, alone or in a group."""
    if outcome.retry_after is not None or outcome.failure is None:
        return outcome.retry_after is not None
    return outcome.failure.type == "Retry" or any("Retry" in kinds for kinds in outcome.failure.kinds)


def _code(outcome: "Outcome") -> int | None:
    if outcome.status == "timed_out":
        return None
    if outcome.exit_code is None and outcome.failure is not None:
        return _NO_PROGRAM.get(outcome.failure.type)
    return outcome.exit_code


def _listed(stored: str | None) -> "list[str | int]":
    import json

    return [] if stored is None else json.loads(stored)


def _match(rules: "list[str | int]", outcome: "Outcome", code: int | None) -> bool:
    """Whether a rule matches the attempt as a whole."""
    return any(_matches(rule, outcome, code) for rule in rules)


def _members_named(rules: "list[str | int]", outcome: "Outcome") -> list[bool]:
    """For each exception in the group that was raised, whether a rule names its class or one of its bases."""
    named = {rule.rpartition(".")[2] for rule in rules if isinstance(rule, str)}
    members = [] if outcome.failure is None else outcome.failure.kinds[1:]
    return [not named.isdisjoint(kinds) for kinds in members]


def _matches(rule: str | int, outcome: "Outcome", code: int | None) -> bool:
    if isinstance(rule, int):
        return code == rule
    kind, colon, rest = rule.partition(":")
    if colon and kind == "signal":
        return outcome.status == "failed" and outcome.signal == int(rest)
    if colon and kind == "stderr":
        return rest in (outcome.matched or ())
    if rule == "timeout":
        return outcome.status == "timed_out"
    return outcome.failure is not None and _is_of_kind(outcome.failure, rule.rpartition(".")[2])


def needs_matching(ended: "Ended") -> bool:
    """Whether ``stderr:`` rules apply to this attempt and have not been matched yet."""
    outcome = ended.outcome
    return outcome.matched is None and outcome.status in ("failed", "timed_out") and ended.errors is not None


def patterns(*stored: str | None) -> list[str]:
    """Return the regular expressions in stored rules, each once."""
    import json

    rules = [rule for text in stored if text is not None for rule in json.loads(text)]
    return list(dict.fromkeys(rule[7:] for rule in rules if isinstance(rule, str) and rule.startswith("stderr:")))


def lines(errors: "Stream | None") -> list[str]:
    """Split what was kept of stderr into lines, each cut to ``LINE`` characters."""
    if errors is None:
        return []
    text = (errors.head + errors.tail).decode(errors="replace")
    return [line[:LINE] for line in text.splitlines()]


def is_in(pattern: str, lines: "Iterable[str]") -> bool:
    """Whether the regular expression is found in one of the lines. On some texts this never returns."""
    import re

    return any(map(re.compile(pattern).search, lines))


def _is_of_kind(failure: "Failure", named: str) -> bool:
    """Compare with the bases that a worker sent; if only the name is known, with those of built-in exceptions."""
    if failure.kinds:
        return named in failure.kinds[0]
    import builtins

    one, other = getattr(builtins, failure.type, None), getattr(builtins, named, None)
    if isinstance(one, type) and isinstance(other, type):
        return issubclass(one, other)
    return failure.type == named
