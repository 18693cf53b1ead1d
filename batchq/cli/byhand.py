"""Reading the usual shapes of ``batchq add`` by hand: typer alone would take four times as long as the whole add.

Whatever is not familiar here is left to typer, which then also words the complaint; a property test holds that both
parsers read the same.
"""

from batchq.cli.storing import AddRequest

_TEXTS = {
    "-c": "command",
    "--command": "command",
    "--call": "call",
    "--args": "args",
    "--format": "format",
    "--db": "db",
}
_FLAGS = {"-q": "quiet", "--quiet": "quiet", "-0": "nul", "--null": "nul"}
FIELD_OPTIONS = {
    "--name": "name",
    "--batch": "batch",
    "--queue": "queue",
    "--timeout": "timeout",
    "--backoff": "backoff",
    "--key": "key",
    "--cwd": "cwd",
    "--delay": "delay",
    "--run-at": "run_at",
    "--on-crash": "on_crash",
    "--stdin": "stdin",
    "--umask": "umask",
    "--leftovers": "leftovers",
}
NUMBER_OPTIONS = {"--priority": "priority", "--max-attempts": "max_attempts", "--max-crashes": "max_crashes"}


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
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name not in _TEXTS and name not in FIELD_OPTIONS and name not in NUMBER_OPTIONS and name != "--env":
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
    elif name in FIELD_OPTIONS:
        request.fields[FIELD_OPTIONS[name]] = value
    elif name == "--env":
        request.env.append(value)
    elif value.isascii() and value.isdecimal():
        request.fields[NUMBER_OPTIONS[name]] = int(value)
    else:
        return False
    return True
