"""How much a line of output says about a failure, judged by its words."""

import re

FATAL, ERROR, TROUBLE, ANYTHING, REMARK = 3, 2, 1, 0, -1

_REMARK = re.compile(
    r"(?:^|[\s\[<(|])(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING)(?:$|[\s\]>):|])|^\w*[Ww]arning:|: warning: "
)
_FATAL = re.compile(
    r"(?:^|[\s\[<(|])(?:FATAL|CRITICAL|PANIC|EMERG)\b|\bpanick?(?:ed)?\b|\bfatal\b|^Caused by: |Uncaught ",
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"(?:^|[\s\[<(|])(?:ERROR|SEVERE|ERR!?)(?:$|[\s\]>):|])|\b[Ee]rror\b|\b\w+(?:Error|Exception)\b|^E   ?\s*\w"
)
_TROUBLE = re.compile(
    r"""\b(?:fail(?:ed|s|ure)?|cannot|can['’]t|could\ ?n[o']t|couldn['’]t|unable|denied|refused|reject(?:ed)?
    |not\ found|no\ such|d(?:oes|id|o)\ not|doesn['’]t|not\ (?:a|an|in|allowed|permitted|supported|recognized|exist)
    |undefined|undeclared|unbound|unknown|unrecogni[sz]ed|invalid|illegal|bad|mismatch|unexpected|missing
    |timed?[\s-]?out|exceeded|too\ (?:many|long|large)|out\ of|no\ space|abort(?:ed|ing)?|killed|corrupt(?:ed)?
    |giving\ up|conflict|unreachable|exhausted|expired|broken|declined|unavailable|unsupported|violat\w+|overflow
    |must)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_NAMES = {"fatal": FATAL, "critical": FATAL, "panic": FATAL, "error": ERROR, "err": ERROR, "severe": ERROR}


def severity(line: str) -> int:
    """Rate a line: ``FATAL`` the end of everything, ``ERROR``, ``TROUBLE``, ``ANYTHING``, ``REMARK`` what to pass over."""
    if _REMARK.search(line):
        return REMARK
    if _FATAL.search(line):
        return FATAL
    if _ERROR.search(line):
        return ERROR
    return TROUBLE if _TROUBLE.search(line) else ANYTHING


def of_level(name: object) -> int:
    """Rate the level of a structured log line; what is not an error is a remark."""
    return _NAMES.get(str(name).lower(), REMARK)
