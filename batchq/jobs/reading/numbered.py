"""``{%}`` in the words of a command: the number of its slot, which is known only when the job runs.

So the command is stored as a script that fills in ``$BATCHQ_SLOT``, and values stay parameters: ``gzip {} -o {%}.gz`` is
``exec gzip "$1" -o "$BATCHQ_SLOT".gz``. No text in a value is taken for a placeholder or for a part of the script.
"""

from batchq.jobs.reading.placeholders import OF_EACH, fill
from batchq.jobs.work import shell_work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SLOT = "%"


def has_any(words: "Iterable[list[str]]") -> bool:
    """Whether one of the words, which were taken apart, contains the placeholder."""
    return any(SLOT in parts[1::2] for parts in words)


def work(
    words: "Iterable[list[str]]",
    line: "dict[str, str]",
    values: "Sequence[str] | None" = None,
    more: "Iterable[str]" = (),
) -> str:
    """Return the stored work, of the kind ``shell``, for words that were taken apart and then ``more`` words.

    With several ``values`` a word becomes one for each, as in ``placeholders.spread``. Raises ValueError as ``shell_work``.
    """
    import shlex

    script, parameters = ["exec"], []

    def parameter(value: str) -> str:
        parameters.append(value)
        return f'"${{{len(parameters)}}}"' if len(parameters) > 9 else f'"${len(parameters)}"'

    def written(piece: list[str]) -> str:
        if piece == [SLOT]:
            return '"$BATCHQ_SLOT"'
        return parameter(fill(piece, line)) if len(piece) > 1 else shlex.quote(piece[0])

    def word(parts: list[str]) -> str:
        return "".join(written(piece) for piece in _pieces(parts) if piece != [""]) or "''"

    if values is None:
        script += map(word, words)
    else:
        whole = line[""]
        for parts in words:
            for line[""] in [whole] if OF_EACH.isdisjoint(parts[1::2]) else values:
                script.append(word(parts))
            line[""] = whole
    script += map(parameter, more)
    return shell_work([" ".join(script), *parameters])


def _pieces(parts: list[str]) -> "list[list[str]]":
    """Split a word at each ``{%}``: into texts to fill, and ``[SLOT]``."""
    found, rest = [], [parts[0]]
    for token, literal in zip(parts[1::2], parts[2::2], strict=True):
        if token == SLOT:
            found += [rest, [SLOT]]
            rest = [literal]
        else:
            rest += [token, literal]
    return [*found, rest]
