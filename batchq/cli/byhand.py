"""Reading the usual shapes of ``batchq add`` and ``batchq run`` by hand: typer alone takes as long as two whole adds.

Whatever is not familiar here is left to typer, which then also words the complaint; property tests hold that both
parsers read the same.
"""

from batchq.cli.request import AddRequest, RunRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

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
    "--trust-owner": "trust_owner",
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
    "--python": "python",
    "--delay": "delay",
    "--run-at": "run_at",
    "--on-crash": "on_crash",
    "--stdin": "stdin",
    "--umask": "umask",
    "--leftovers": "leftovers",
}
_FIELD_LISTS = {
    "--success-codes": "success_codes",
    "--retry-on": "retry_on",
    "--no-retry-on": "no_retry_on",
    "--after": "after",
    "--after-any": "after_any",
    "--input": "inputs",
    "--inputs": "inputs",
    "--tag": "tags",
    "--tags": "tags",
}
_FIELD_FLAGS = {"--fresh": "fresh", "--hold": "hold"}
_FIELD_NUMBERS = {
    "--priority": "priority",
    "--max-attempts": "max_attempts",
    "--max-crashes": "max_crashes",
    "--max-snoozes": "max_snoozes",
    "--slots": "slots",
}
_TAKING = {*_TEXTS, *_FIELD_TEXTS, *_FIELD_LISTS, *_FIELD_NUMBERS, "--env", "--retry-timeout-factor"}

_RUN_TEXTS = {
    "-j": "jobs",
    "--jobs": "jobs",
    "--queue": "queue",
    "--batch": "batch",
    "--max-time": "max_time",
    "--halt": "halt",
    "--if-running": "if_running",
    "--perform": "perform",
    "--events": "events",
    "--grace": "grace",
    "--log-dir": "log_dir",
    "--db": "db",
}
_RUN_FLAGS = {
    "--watch": "watch",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "--json": "as_json",
    "--allow-network-fs": "allow_network_fs",
    "--trust-owner": "trust_owner",
}
_RUN_NUMBERS = {"--max-jobs": "max_jobs", "--worker-jobs": "worker_jobs", "--limit-processes": "limit_processes"}
_RUN_TAKING = {*_RUN_TEXTS, *_RUN_NUMBERS, "--handler"}


def parse(argv: list[str], words: list[str] | None) -> AddRequest | None:
    """The request that ``add ARGV… [-- WORDS…]`` makes; None where typer should read it."""
    options = _options(argv, {*_FLAGS, *_FIELD_FLAGS}, _TAKING)
    if options is None:
        return None
    request = AddRequest()
    request.words = words
    for name, value in options:
        if name == "":
            request.files.append(value)
        elif name in _FLAGS:
            setattr(request, _FLAGS[name], True)
        elif name in _FIELD_FLAGS:
            request.fields[_FIELD_FLAGS[name]] = True
        elif not _take(request, name, value):
            return None
    return request


def parse_run(argv: list[str], words: list[str] | None) -> RunRequest | None:
    """The request that ``run ARGV… [-- WORDS…]`` makes; None where typer should read it."""
    options = _options(argv, _RUN_FLAGS, _RUN_TAKING)
    if options is None:
        return None
    request = RunRequest()
    for name, value in options:
        if name == "":
            request.files.append(value)
        elif name in _RUN_FLAGS:
            setattr(request, _RUN_FLAGS[name], True)
        elif name == "--handler":
            request.handler.append(value)
        elif name in _RUN_TEXTS:
            setattr(request, _RUN_TEXTS[name], value)
        elif _is_number(value) and int(value) > 0:
            setattr(request, _RUN_NUMBERS[name], int(value))
        else:
            return None
    request.files += words or []
    return request


def _options(argv: list[str], flags: "Container[str]", taking: "Container[str]") -> list[tuple[str, str]] | None:
    """Each option with its value, and each other word with the name ""; None where something is not familiar."""
    found = []
    rest = iter(argv)
    for word in rest:
        if word == "-" or not word.startswith("-"):
            found.append(("", word))
            continue
        if word in flags:
            found.append((word, ""))
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        if name not in taking or (equals not in ("", "=") and not _is_number(value)):
            return None
        if not equals:
            following = next(rest, None)
            if following is None or (following.startswith("-") and following != "-"):
                return None
            value = following
        found.append((name, value))
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20


def _take(request: AddRequest, name: str, value: str) -> bool:
    if name in _TEXTS:
        setattr(request, _TEXTS[name], value)
    elif name in _FIELD_TEXTS:
        request.fields[_FIELD_TEXTS[name]] = value
    elif name in _FIELD_LISTS:
        request.fields.setdefault(_FIELD_LISTS[name], []).append(value)
    elif name == "--env":
        request.env.append(value)
    elif _is_number(value):
        if name == "--retry-timeout-factor":
            request.fields["retry_timeout_factor"] = float(value)
        else:
            request.fields[_FIELD_NUMBERS[name]] = int(value)
    else:
        return False
    return True
