"""How many columns a text takes on a terminal, and where it is cut or wrapped.

Terminals disagree about joined emoji and vowel signs. In doubt a character counts as wider, so no line is too long.
"""

from collections.abc import Iterator
from unicodedata import category, east_asian_width

_JAMO = range(0x1160, 0x1200)  #: vowels and finals, which join the consonant before them
_EMOJI = "\ufe0f"  #: shows the character before it as an emoji, which is wider
_SOFT_HYPHEN = "\xad"


def width(text: str) -> int:
    """The number of columns that a printable text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def fitting(text: str, start: int, columns: int) -> int:
    """The end of the longest piece of ``text`` from ``start`` that fits into ``columns``."""
    if text.isascii():
        return min(len(text), start + columns)
    for end in range(start, len(text)):
        columns -= _width(text[end])
        if columns < 0:
            return end
    return len(text)


def clipped(text: str, columns: int) -> str:
    """The text, or as much of it as fits into ``columns`` with an ellipsis."""
    return text if width(text) <= columns else text[: fitting(text, 0, columns - 1)] + "…"


def wrapped(text: str, columns: int) -> Iterator[tuple[int, int]]:
    """The start and end of each line, wrapped between words; a word that is too long for a line is broken."""
    start = 0
    while (end := fitting(text, start, columns)) < len(text):
        blank = text.rfind(" ", start, end + 1)
        if text[start : max(start, blank)].strip():
            yield start, blank
            start = blank + 1
            while text.startswith(" ", start):
                start += 1
        else:
            end = max(end, start + 1)
            yield start, end
            start = end
    yield start, len(text)


def _width(character: str) -> int:
    if character.isascii():
        return 1
    if east_asian_width(character) in ("W", "F"):
        return 2
    kind = category(character)
    if kind == "Cn":
        return 2  # newer than this Python: most likely an emoji
    joins = kind in ("Mn", "Me", "Cf") and character not in (_SOFT_HYPHEN, _EMOJI)
    return 0 if joins or ord(character) in _JAMO else 1
