"""Whether the first plain word of ``batchq add WORD…`` begins a command, and what to write if it does not."""

import os

JOB_FILES = (".toml", ".jsonl", ".ndjson", ".json", ".csv", ".txt")


def command_of(words: list[str]) -> list[str] | None:
    """Return the command that ``words`` are, or None: a program on the PATH, or a file that can be executed.

    A name of this folder gets ``./``, as the kernel wants it. A job file, and ``-``, is not a command.
    """
    first, *rest = words
    if first.lower().endswith(JOB_FILES) or first in ("", "-"):
        return None
    if "/" in first:
        return words if _is_executable(first) else None
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if any(_is_executable(os.path.join(folder or ".", first)) for folder in folders):
        return words
    return [f"./{first}", *rest] if _is_executable(first) else None


def advice(verb: str, word: str) -> str:
    """Say what to write instead of a word that is neither a job file nor a program."""
    import shlex

    from batchq.jobs.shellwords import needs_shell

    what = f"{word!r} is not a program on the PATH, and as a job file it has no suffix .toml, .jsonl or .csv"
    if os.path.isfile(word):
        run = f"'chmod +x {shlex.quote(word)}' to run it, or '--format NAME' to read jobs from it"
        return f"{word!r} has no suffix .toml, .jsonl or .csv and cannot be executed: {run}"
    if needs_shell(word):
        return f"{what}: for a shell, write batchq {verb} -c {shlex.quote(word)}"
    return f"{what}: write batchq {verb} -- {shlex.quote(word)} … for a command, --format NAME for a job file"


def _is_executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
