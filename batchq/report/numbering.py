"""Names that are unique in a file and equal from night to night: of equal ones the second is ``name [2]``.

A number depends only on the order of the names before it. Twelve bytes a name are remembered, whatever its length.
"""

from array import array
from hashlib import blake2b

_EMPTY = 0


class Numbering:
    """Makes at most ``most`` texts unique.

    What was used is remembered by a hash of 64 bits, so by a rare chance a text gets a number that does not need one;
    two equal ones are never returned.
    """

    def __init__(self, most: int) -> None:
        size = 1 << (most * 4 // 3 + 8).bit_length()
        self._mask = size - 1
        self._hashes = array("Q", bytes(8 * size))
        self._used = array("I", bytes(4 * size))  # the last number that a text got

    def unique(self, text: str, scope: str = "") -> str:
        """The text, or with the next free number if it was used before in this scope."""
        place = self._place(text, scope)
        number = self._used[place] = self._used[place] + 1
        found = text
        while number > 1:
            found = f"{text} [{number}]"
            other = self._place(found, scope)
            if not self._used[other]:
                self._used[other] = 1
                break
            number = self._used[place] = number + 1
        return found

    def _place(self, text: str, scope: str) -> int:
        """The place of a text in the table; entered if it was not there."""
        hashed = (
            int.from_bytes(blake2b(f"{scope}\0{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()) or 1
        )
        place = hashed & self._mask
        while self._hashes[place] not in (_EMPTY, hashed):
            place = (place + 1) & self._mask
        self._hashes[place] = hashed
        return place
