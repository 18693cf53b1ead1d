"""Where a run sends its report: a line for the shell, or a URL."""

import re

from batchq.errors import UsageError
from batchq.store.keeping.notice import LONGEST_TARGET
from batchq.visible import visible

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PASSWORD = re.compile(r"(://[^/?#@]*?:)[^/?#]*@")


def target_of(words: list[str]) -> str:
    """Return the target that words name: one is a URL or a line for ``sh -c``, more are a command. Raises UsageError."""
    import shlex

    return checked(words[0] if len(words) == 1 else shlex.join(words))


def is_url(target: str) -> bool:
    """Whether a target is a URL and not a command."""
    return target.lower().startswith(("http://", "https://"))


def checked(target: str) -> str:
    """Return a target as it was given. Raises UsageError if no run could use it."""
    shown = visible(masked(target), one_line=True)
    if len(target.encode(errors="surrogateescape")) > LONGEST_TARGET:
        raise UsageError(f"notify: a target has at most {LONGEST_TARGET} bytes; put the command into a script")
    try:
        target.encode()
    except UnicodeEncodeError:
        raise UsageError(f"notify: {shown} is not UTF-8") from None
    if not target.strip() or "\0" in target:
        raise UsageError("notify takes a URL or a command")
    if not is_url(target):
        if _SCHEME.match(target):
            raise UsageError(f"notify: {shown} is neither an http:// or https:// URL nor a command")
        return target
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(target)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host or not target.isascii() or any(letter <= " " or letter == "\x7f" for letter in target):
        raise UsageError(f"notify: {shown} is not a valid URL")
    return target


def masked(target: str) -> str:
    """Return a target with the passwords in its URLs hidden."""
    return _PASSWORD.sub(r"\1***@", target)
