"""``::: a b ::: 1 2`` after a command: lists of values, combined as GNU parallel does it."""

from itertools import cycle, islice, product

from batchq.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Lists = list[list[list[str]]]  #: lists that are linked stand together

_WORDS = (":::", ":::+")
_FILES = ("::::", "::::+")


def are_in(words: "list[str]") -> bool:
    """Whether some of the words begin a list."""
    return any(word in _WORDS or word in _FILES for word in words)


def taken_apart(words: "list[str]", *, is_linked: bool) -> "tuple[list[str], Lists]":
    """Split the words of a command into those before the first list, and the lists. Raises UsageError.

    ``:::`` begins a list that is combined with the others; ``:::+``, or with ``is_linked`` also ``:::``, one whose values
    belong to those of the list before it, one by one.
    """
    at = next(place for place, word in enumerate(words) if word in _WORDS or word in _FILES)
    found: Lists = []
    for word in words[at:]:
        if word in _FILES:
            raise UsageError(f"{word} is not supported: --from FILE reads values from a file, ::: takes them as words")
        if word in _WORDS:
            if word == ":::+" and not found:
                raise UsageError(":::+ links a list to the one before it, and there is none: begin with :::")
            if found and (is_linked or word == ":::+"):
                found[-1].append([])
            else:
                found.append([[]])
        else:
            found[-1][-1].append(word)
    if not all(values for linked in found for values in linked):
        raise UsageError("::: needs at least one value after it")
    return words[:at], found


def combinations(lists: "Lists", *, is_linked: bool) -> "Iterator[tuple[str, ...]]":
    """Yield each combination of values; the last list changes fastest.

    Of linked lists a longer one is cut, as by ``:::+``; with ``is_linked`` a shorter one begins again.
    """
    tied = [list(_circled(linked) if is_linked else zip(*linked, strict=False)) for linked in lists]
    for chosen in product(*tied):
        yield tuple(value for values in chosen for value in values)


def _circled(linked: "list[list[str]]") -> "Iterator[tuple[str, ...]]":
    return islice(zip(*map(cycle, linked), strict=False), max(map(len, linked)))
