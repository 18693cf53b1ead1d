"""Reading the usual shapes of ``batchq add`` by hand: typer alone would take four times as long as the whole add.

Whatever is not familiar here is left to typer, which then also words the complaint; a property test holds that both
parsers read the same.
"""

from batchq.cli.request import AddRequest

_TEXTS = {
    "-c": "command",
    "--command": "command",
    "--call": "call",
    "--args": "args",
    "--format": "format",
    "--from": "source",
    "--db": "db",
}
_FLAGS = {
    "-q": "quiet",
    "--quiet": "quiet",
    "-0": "nul",
    "--null": "nul",
    "--each": "each",
    "--csv": "csv",
    "--tsv": "tsv",
    "--dry-run": "dry_run",
    "--json": "json",
}
_FIELD_TEXTS = {
    "--name": "name",
    "--batch": "batch",
    "--queue": "queue",
    "--timeout": "timeout",
    "--backoff": "backoff",
    "--key": "key",
    "--unique": "unique",
    "--if-exists": "if_exists",
    "--cwd": "cwd",
    "--delay": "delay",
    "--run-at": "run_at",
    "--on-crash": "on_crash",
    "--stdin": "stdin",
    "--umask": "umask",
    "--leftovers": "leftovers",
}
_FIELD_LISTS = {
    "--retry-on": "retry_on",
    "--no-retry-on": "no_retry_on",
    "--after": "after",
    "--after-any": "after_any",
    "--input": "inputs",
    "--inputs": "inputs",
    "--tag": "tags",
    "--tags": "tags",
}
_FIELD_NUMBERS = {
    "--priority": "priority",
    "--max-attempts": "max_attempts",
    "--max-crashes": "max_crashes",
    "--slots": "slots",
}
_TAKING = {*_TEXTS, *_FIELD_TEXTS, *_FIELD_LISTS, *_FIELD_NUMBERS, "--env", "--retry-timeout-factor"}


def parse(argv: list[str], words: list[str] | None) -> AddRequest | None:
    """The request that ``add ARGV… [-- WORDS…]`` makes; None where typer should read it."""
    request = AddRequest()
    request.words = words
    rest = iter(argv)
    for word in rest:
        if word == "-" or not word.startswith("-"):
            request.files.append(word)
            continue
        if word in _FLAGS:
            setattr(request, _FLAGS[word], True)
            continue
        if word == "--hold":
            request.fields["hold"] = True
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name not in _TAKING:
            return None
        if not equals:
            following = next(rest, None)
            if following is None or (following.startswith("-") and following != "-"):
                return None
            value = following
        if not _take(request, name, value):
            return None
    return request


def _take(request: AddRequest, name: str, value: str) -> bool:
    if name in _TEXTS:
        setattr(request, _TEXTS[name], value)
    elif name in _FIELD_TEXTS:
        request.fields[_FIELD_TEXTS[name]] = value
    elif name in _FIELD_LISTS:
        request.fields.setdefault(_FIELD_LISTS[name], []).append(value)
    elif name == "--env":
        request.env.append(value)
    elif value.isascii() and value.isdecimal() and len(value) < 20:
        if name == "--retry-timeout-factor":
            request.fields["retry_timeout_factor"] = float(value)
        else:
            request.fields[_FIELD_NUMBERS[name]] = int(value)
    else:
        return False
    return True
