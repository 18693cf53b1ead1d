"""Which failures are worth another attempt: ``retry_on`` and ``no_retry_on``, checked when added and asked when settled.

A rule is an exit code (``75``), ``timeout``, ``signal:KILL``, the name of the class of an exception or of one of its bases
(``ConnectionError``), or ``stderr:REGEX``, looked for in each line that was kept of stderr. That takes long for some
expressions, so it is found out before (``runner/judging.py``): here an outcome tells which ones matched.
"""

from batchq.jobs.work import FIELD_LIMIT, did_you_mean, kind_of, quoted, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from batchq.jobs.attempt import Failure, Outcome, Standing

HOPELESS = (65, 126, 127)  #: exit codes that are not retried by default: bad input, not executable, not found
TEMPORARY = 75  #: the exit code of sysexits.h that asks for a retry, whatever ``retry_on`` lists
LINE = 4096  #: characters of a line of stderr that a regular expression sees
# What a shell would have ended with, and bad input
_NO_PROGRAM = {"NotExecutable": 126, "NoSuchProgram": 127, "Unreadable": 65}
_WORDS = ["timeout", "signal:", "stderr:"]


def rules(value: object) -> str | None:
    """The stored form of a list of rules, None for none; ValueError with the end of a sentence."""
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


def allows(job: "Standing", outcome: "Outcome") -> bool:
    """Whether a failed or timed out attempt is of a class that is retried, if the budget allows."""
    if asks_for_retry(outcome):
        return True
    code = _code(outcome)
    if job.no_retry_on is not None and _match(job.no_retry_on, outcome, code, any):
        return False
    if job.retry_on is not None:
        return code == TEMPORARY or _match(job.retry_on, outcome, code, all)
    return code not in HOPELESS


def asks_for_retry(outcome: "Outcome") -> bool:
    """Whether it raised ``batchq.Retry``, alone or in a group."""
    if outcome.retry_after is not None or outcome.failure is None:
        return outcome.retry_after is not None
    return outcome.failure.type == "Retry" or any("Retry" in kinds for kinds in outcome.failure.kinds)


def _code(outcome: "Outcome") -> int | None:
    if outcome.status == "timed_out":
        return None
    if outcome.exit_code is None and outcome.failure is not None:
        return _NO_PROGRAM.get(outcome.failure.type)
    return outcome.exit_code


def _match(stored: str, outcome: "Outcome", code: int | None, how_many: "Callable[[Iterable[bool]], bool]") -> bool:
    """Whether the rules match; of the exceptions in a group ``any`` or ``all``: one that is not retried is enough."""
    import json

    listed = json.loads(stored)
    if any(_matches(rule, outcome, code) for rule in listed):
        return True
    leaves = [] if outcome.failure is None else outcome.failure.kinds[1:]
    named = {rule.rpartition(".")[2] for rule in listed if isinstance(rule, str)}
    return bool(leaves) and how_many(not named.isdisjoint(kinds) for kinds in leaves)


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


def must_be_judged(outcome: "Outcome") -> bool:
    """Whether rules that look at stderr have a say in it, and nobody has looked yet."""
    return outcome.matched is None and outcome.stderr is not None and outcome.status in ("failed", "timed_out")


def patterns(*stored: str | None) -> list[str]:
    """The regular expressions among stored rules, each once."""
    import json

    rules = [rule for text in stored if text is not None for rule in json.loads(text)]
    return list(dict.fromkeys(rule[7:] for rule in rules if isinstance(rule, str) and rule.startswith("stderr:")))


def lines(outcome: "Outcome") -> list[str]:
    """What was kept of stderr, by lines, of which each is cut."""
    if outcome.stderr is None:
        return []
    text = (outcome.stderr.head + outcome.stderr.tail).decode(errors="replace")
    return [line[:LINE] for line in text.splitlines()]


def is_in(pattern: str, lines: "Iterable[str]") -> bool:
    """Whether the regular expression is found in one of the lines. On some texts that takes without end."""
    import re

    return any(map(re.compile(pattern).search, lines))


def _is_of_kind(failure: "Failure", named: str) -> bool:
    """A worker tells the bases of an exception; of what is told by name alone only Python's own are known."""
    if failure.kinds:
        return named in failure.kinds[0]
    import builtins

    one, other = getattr(builtins, failure.type, None), getattr(builtins, named, None)
    if isinstance(one, type) and isinstance(other, type):
        return issubclass(one, other)
    return failure.type == named
