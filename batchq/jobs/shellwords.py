"""Words as a shell reads them: a command that is printed can be pasted, and one that needs a shell is recognized."""

import shlex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SHELL = frozenset("|&;<>()$`\\\"'*?[#~=%\n")  #: besides blanks: characters that only a shell understands


def needs_shell(word: str) -> bool:
    """Whether a program of this name is unlikely to exist, and a shell would read more than one word."""
    return " " in word.strip() or bool(_SHELL.intersection(word))


def joined(words: "Iterable[str]") -> str:
    """The words of a command on one line, to be pasted into a shell."""
    return " ".join([word_of(word) for word in words])


def word_of(text: str) -> str:
    """One word of a command. With control characters, or bytes that are not UTF-8, it is ``$'…'``: bash, zsh, ksh."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def script_of(text: str) -> str:
    """A script as a line of its own: as it is if that is one line, else as a word of ``sh -c``."""
    return text if text.isprintable() else joined(["sh", "-c", text])


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    if character == "\n":
        return "\\n"
    # Octal, and three digits: hexadecimal would take digits of the next character as its own.
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
