"""Puts signatures together that differ only in a word that the masks could not recognise as varying."""

from collections.abc import Iterable
from itertools import combinations

from batchq.jobs.causes.masks import joined

Key = tuple[str, str]  #: the ending and the text of a signature

ALIKE = 4  #: so many texts that differ in the same words become one text with … in their place
MOST = 2000  #: signatures that are compared with one another; more stay as they are

_LONGEST = 24  # words; longer texts are left alone, because the pairs of their words are many
_PASSES = ((1, 3), (2, 6), (1, 3))  # (words that may differ, words that a text has at least)


def merged(keys: Iterable[Key]) -> dict[Key, Key]:
    """Assign each signature to its cluster: the same signature, or one with ``…`` for the words in which several differ.

    ``ALIKE`` or more signatures are one cluster if they differ in a single word, or in the same two of six or more. A
    signature that differs from another one only where that has ``…`` joins it. The first word never varies: it names the
    program or the exception. The order of ``keys`` does not matter.
    """
    clusters = {key: key for key in keys}
    if len(clusters) > MOST:
        return clusters
    for varying, at_least in _PASSES:
        become = _generalised(set(clusters.values()), varying, at_least)
        clusters = {key: become.get(cluster, cluster) for key, cluster in clusters.items()}
    return clusters


def title(lines: list[str], text: str) -> str:
    """Describe a cluster by the lines of its members, with ``…`` where they differ; else by its ``text``."""
    columns = [line.split() for line in lines]
    if len({len(words) for words in columns}) != 1:
        return text.partition(" | ")[0]
    words = [column[0] if len(set(column)) == 1 else "…" for column in zip(*columns, strict=True)]
    return joined(" ".join(words))


def _generalised(keys: set[Key], varying: int, at_least: int) -> dict[Key, Key]:
    alike: dict[Key, list[Key]] = {}
    for key in keys:
        for pattern in _patterns(key, varying, at_least):
            alike.setdefault(pattern, []).append(key)
    become: dict[Key, Key] = {}
    for pattern, members in sorted(alike.items(), key=lambda item: (-len(item[1]), item[0])):
        free = [key for key in members if key not in become]
        if len(free) >= ALIKE or (len(free) > 1 and pattern in free):
            become.update(dict.fromkeys(free, pattern))
    return become


def _patterns(key: Key, varying: int, at_least: int) -> Iterable[Key]:
    """The same key with ``…`` for each word but the first, or for each pair of words."""
    ending, text = key
    words = text.split(" ")
    if at_least <= len(words) <= _LONGEST:
        masks = ["…" + word[len(word.rstrip(",.:;)")) :] for word in words]
        for places in combinations(range(1, len(words)), varying):
            yield ending, " ".join(masks[n] if n in places else word for n, word in enumerate(words))
