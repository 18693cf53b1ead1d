"""The checks of single fields: each takes what a person wrote and returns the form in which it is stored.

They raise ValueError with the end of a sentence, as in ``must be a list of strings, not a number``. Every ``batchq add``
imports this module, so it imports nothing that costs start-up time.
"""

from batchq import clock
from batchq.jobs.work import (
    FIELD_LIMIT,
    NAME_LIMIT,
    POINTER,
    argument,
    bounded_json,
    encode_bytes,
    kind_of,
    quoted,
    raw_json,
    text_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ENVIRONMENT_LIMIT = 512 * 1024  #: all of ``env``; with an argv it must leave room in the 2 MiB that Linux gives to both
EVER, ACTIVE = "ever", "active"  #: for how long a key is taken: always, or until its job has finished
OUTPUT_LIMIT = 16 * 1024 * 1024  #: bytes of a stream that can be kept: a run has them in memory, for each slot
_SIZES = {"": 1, "B": 1, "K": 1024, "KiB": 1024, "KB": 1000, "M": 1024**2, "MiB": 1024**2, "MB": 1000**2}
PARENTS_LIMIT = 10_000  #: names, ids and batches in one ``after``


def label(value: object) -> str:
    """A label: 1 to 255 printable characters."""
    text = text_of(value)
    if not text or len(text) > NAME_LIMIT or not text.isprintable():
        raise ValueError(f"must be 1 to {NAME_LIMIT} printable characters")
    return text


def decoration(value: object) -> str:
    """A name for people: unprintable characters are escaped, and a long name loses its middle.

    A job is never refused because of its name: a list of files makes names that nobody chose.
    """
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {kind_of(value)}")
    text = value if value.isprintable() else "".join([one if one.isprintable() else _escaped(one) for one in value])
    if len(text) > NAME_LIMIT:
        half = NAME_LIMIT // 2
        text = f"{text[:half]}…{text[-half:]}"
    return text


def name(value: object) -> str | None:
    """The name of a job, which may have none."""
    return decoration(value) or None


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        code -= 0xDC00
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def integer(low: int, high: int) -> "Callable[[object], int]":
    """A whole number from ``low`` to ``high``."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, not {kind_of(value)}")
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")
        return value

    return check


def truth(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {kind_of(value)}")
    return value


def one_of(*words: str) -> "Callable[[object], str]":
    """One of these words."""

    def check(value: object) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return check


def duration(value: object) -> int:
    """Milliseconds of ``"90s"``, or of a number of seconds."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"must be a duration such as '90s', not {kind_of(value)}")
    return _time(value, clock.duration)


def timeout(value: object) -> int:
    """A duration longer than 0."""
    if (limit := duration(value)) == 0:
        raise ValueError("must be longer than 0; leave it out for no limit")
    return limit


def instant(value: object) -> int:
    """Milliseconds since 1970 of a time (see ``clock.instant``), or of a date of TOML."""
    # A number could be read as a date without hyphens, so only text and TOML dates are accepted.
    if not isinstance(value, str) and not hasattr(value, "isoformat"):
        raise ValueError(f"must be a time such as '2026-11-23T18:00', not {kind_of(value)}")
    return _time(value, clock.instant)


def _time(value: object, read: "Callable[[str], int]") -> int:
    if (isinstance(value, int) and value.bit_length() > 64) or len(text := str(value)) > 64:
        raise ValueError("is too long for a time")
    try:
        return read(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is wrong: {error}") from None


def umask(value: object) -> int:
    """The number of an octal string."""
    try:
        text = text_of(value)
        mask = int(text, 8) if text.isascii() and text.isalnum() else -1
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise ValueError("must be an octal string such as '022'")
    return mask


def stdin(value: object) -> bytes:
    """The bytes of a text."""
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {kind_of(value)}")
    data = encode_bytes(value)
    if len(data) > FIELD_LIMIT:
        raise ValueError("is over 1 MiB: keep it in a file and let the command read that")
    return data


def environment(value: object) -> str | None:
    """The JSON of a table of variables, None for an empty one."""
    if not isinstance(value, dict):
        raise ValueError(f"must be a table of NAME = 'value', not {kind_of(value)}")
    size = 0
    for name, text in value.items():
        if not isinstance(name, str) or not name or "=" in name:
            raise ValueError(f"has a variable with the invalid name {quoted(name)}")
        if name.startswith("BATCHQ_"):
            raise ValueError(f"sets {quoted(name)}, but names that begin with BATCHQ_ are batchq's own")
        try:
            size += len(encode_bytes(argument(f"{name}={argument(text)}"))) + POINTER
        except ValueError as error:
            raise ValueError(f"has {quoted(name)}, which {error}") from None
    if size > ENVIRONMENT_LIMIT:
        raise ValueError("is over 512 KiB in all: put the values into a file")
    return raw_json(value) if value else None


def tags(value: object) -> str | None:
    """The JSON of a list of decorations without empty ones; None if none is left."""
    if not isinstance(value, list):
        raise ValueError(f"must be a list of strings, not {kind_of(value)}")
    found = [text for tag in value if (text := decoration(tag))]
    return bounded_json(found, "tags") if found else None


def unique(value: object) -> str | int:
    """``ever``, ``active``, or milliseconds."""
    if value in (EVER, ACTIVE):
        return str(value)
    try:
        return timeout(value)
    except ValueError:
        raise ValueError(f"must be '{EVER}', '{ACTIVE}' or a duration such as '1d'") from None


def parents(value: object) -> tuple[str, ...]:
    """Names of jobs, ids, batches as ``batch:NAME``, ``id:7`` for an id alone, ``last``; each once."""
    words = [value] if isinstance(value, (str, int)) else value
    if not isinstance(words, list):
        raise ValueError(f"must be a list of names, ids or 'batch:NAME', not {kind_of(value)}")
    if len(words) > PARENTS_LIMIT:
        raise ValueError(f"has over {PARENTS_LIMIT} entries: give those jobs one name or a batch of their own")
    found: dict[str, None] = {}
    for word in words:
        if isinstance(word, int) and not isinstance(word, bool) and 0 < word < 2**63:
            found[f"id:{word}"] = None
            continue
        text = label(word) if isinstance(word, str) and word.startswith("batch:") else decoration(word)
        if not text:
            raise ValueError("has an empty name: name a job")
        if text == "batch:":
            raise ValueError("names a batch, but not which: write 'batch:NAME'")
        if text.startswith("id:") and not _is_id(text.removeprefix("id:")):
            raise ValueError(f"has {quoted(text)}, which is not an id: write a number, as in 'id:7'")
        found[text] = None
    return tuple(found)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19 and int(text) > 0  # always fits into an id


def files(value: object) -> str | None:
    """The JSON of a list of file names, None for an empty one."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list):
        raise ValueError(f"must be a list of files, not {kind_of(value)}")
    return raw_json([argument(word) for word in words]) if words else None


def program(value: object) -> str:
    """The name or the path of a program."""
    text = text_of(value)
    if not text:
        raise ValueError("must name a program")
    return text


def rules(value: object) -> str | None:
    """The stored form of a list of rules about failures, None for an empty one; see ``retrying.py``."""
    from batchq.jobs import retrying  # rarely given, and as long as this whole module

    return retrying.rules(value)


def kept_output(value: object) -> int:
    """The bytes of ``"1MiB"``, ``"64K"`` or of a number of bytes."""
    size = value
    if isinstance(value, str):
        text = value.strip()
        number = text.rstrip("BKMi")
        unit = _SIZES.get(text[len(number) :], 0)
        is_number = unit and number.strip().isascii() and number.strip().isdecimal() and len(number) < 20
        size = int(number) * unit if is_number else None
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ValueError("must be a size up to 16MiB, such as '1MiB', '64KiB' or 0 ('run --log-dir' keeps everything)")
    if size > OUTPUT_LIMIT:
        raise ValueError("is over 16MiB: to keep everything, use 'run --log-dir DIR'")
    return size


def show_size(size: int) -> str:
    """``128KiB`` for 131072: as ``kept_output`` reads it."""
    unit = next(unit for unit in ("MiB", "KiB", "B") if size % _SIZES[unit] == 0 and (size or unit == "B"))
    return f"{size // _SIZES[unit]}{unit}"


def factor(value: object) -> float:
    """A number from 1 to 100."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 100:
        raise ValueError("must be a number from 1 to 100")
    return float(value)
