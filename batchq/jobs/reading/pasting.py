"""Detects values of ``--each`` that become program text, as in ``sh -c 'echo {}'``: it works, but there is a safer way."""

import os.path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "ash", "fish")
_USERS = ("su", "runuser", "flock", "script")  # these pass the text to a shell; their options come after other words
#: By program: the last letter of the option before the text, and how the text names its first word
_TEXTS = {
    **dict.fromkeys(_SHELLS, ("c", '"$1"')),
    **dict.fromkeys(_USERS, ("c", '"$1"')),
    **dict.fromkeys(("python", "pypy"), ("c", "sys.argv[1]")),
    "perl": ("eE", "$ARGV[0]"),
    "ruby": ("e", "ARGV[0]"),
    "node": ("ep", "process.argv[1]"),
    "php": ("r", "$argv[1]"),
}


def pasted(words: "Sequence[str]", filled: "Sequence[str | None]") -> str | None:
    """Return the warning for words of which one is program text and is filled; None if there is none.

    ``filled`` has for each word its first placeholder, braces included, or None.
    """
    for start, word in enumerate(words):
        program = os.path.basename(word)
        name = program.rstrip("0123456789.")
        if name not in _TEXTS or (name not in _USERS and not "".join(words[start + 1 : start + 2]).startswith("-")):
            continue
        letters, first = _TEXTS[name]
        for at in range(start + 1, len(words)):
            option = words[at]
            if not option.startswith("-") or option.startswith("--"):
                continue
            is_alone = option[-1] in letters and at + 1 < len(words)
            found = filled[at + 1] if is_alone else filled[at] if option[1:2] in letters else None
            if found is not None:
                shell = " sh" if first == '"$1"' else ""
                return (
                    f"{found} becomes part of the program that {program} {option[:2] if not is_alone else option} reads,"
                    f" whatever a line holds; as a word of its own it cannot: {program}"
                    f" {option[:2] if not is_alone else option} '… {first} …'{shell} {found}"
                )
    return None
