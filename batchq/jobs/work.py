"""The work of a job as the store keeps it: JSON text, checked so that everything stored can be run.

Every function returns the stored form or raises ValueError with the end of a sentence. Like ``model.py`` it is imported
by every ``batchq add`` and imports json only for what needs it.
"""

ARGUMENT_LIMIT = 128 * 1024 - 1  #: Linux refuses a single argument of 128 KiB (MAX_ARG_STRLEN, its final NUL included)
FIELD_LIMIT = 1024 * 1024  #: an argv as a whole, a payload, the arguments of a call, a stdin; in bytes
NAME_LIMIT = 255  #: a name, batch, queue, key or tag; in characters
NESTING_LIMIT = 200  #: levels of a payload; far fewer than the runner's own stack can decode
POINTER = 9  #: what a word costs in addition to its bytes: the final NUL and the address that execve passes


def text_of(value: object) -> str:
    """Return ``value`` if it is text that can be stored and shown. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {kind_of(value)}")
    if "\0" in value:
        raise ValueError("contains a NUL character, which no program can receive")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("contains a lone surrogate or bytes that are not UTF-8") from None
    return value


def argument(value: object) -> str:
    """Return ``value`` if it is a word that a program can receive. Raises ValueError.

    Bytes that are not UTF-8 are accepted as the surrogates of ``os.fsdecode``.
    """
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {kind_of(value)}")
    if "\0" in value:
        raise ValueError("contains a NUL character, which no program can receive")
    if (len(value) * 4 > ARGUMENT_LIMIT or not value.isascii()) and len(encode_bytes(value)) > ARGUMENT_LIMIT:
        raise ValueError("is over 128 KiB, the most that a program can receive as one word: put it into a file")
    return value


def argv_work(words: object) -> str:
    """Return the stored form of a command that is executed as it is. Raises ValueError."""
    if not isinstance(words, list):
        raise ValueError(f"must be a list of words or one string for the shell, not {kind_of(words)}")
    if not words or words[0] == "":
        raise ValueError("names no program")
    return _words(words, 1)


def shell_work(words: list[str]) -> str:
    """Return the stored form of a script for ``/bin/sh -c`` and its ``$1`` …. Raises ValueError."""
    if not argument(words[0]).strip():
        raise ValueError("is an empty command")
    return _words(words, 0)


def _words(words: list[str], first: int) -> str:
    for number, word in enumerate(words, first):
        try:
            argument(word)
        except ValueError as error:
            raise ValueError(f"has a word, number {number}, that {error}") from None
    if sum(map(len, words)) * 4 + POINTER * len(words) > FIELD_LIMIT:
        size = sum(len(encode_bytes(word)) + POINTER for word in words)
        if size > FIELD_LIMIT:
            raise ValueError("is over 1 MiB in all: put the words into a file and use xargs")
    # Printable text needs only these two escapes in JSON and no import of json.
    text = '","'.join([word.replace("\\", "\\\\").replace('"', '\\"') for word in words])
    return f'["{text}"]' if text.isprintable() else raw_json(words)


def call_work(target: object, args: object) -> str:
    """Return the stored form of ``pkg.mod:func`` with keyword arguments. Raises ValueError."""
    if not isinstance(args, dict):
        raise ValueError(f"must be a table of keyword arguments, not {kind_of(args)}")
    return f'{{"call":"{target_of(target)}","args":{bounded_json(args, "args")}}}'


def target_of(value: object) -> str:
    """Return ``value`` if it names a callable as ``pkg.mod:func``. Raises ValueError."""
    text = text_of(value)
    module, colon, attribute = text.partition(":")
    if not colon or not all(part.isidentifier() for part in f"{module}.{attribute}".split(".")):
        raise ValueError("must be 'package.module:function'")
    return text


def bounded_json(value: object, place: str) -> str:
    """Return the JSON of a payload or of arguments. Raises ValueError if it is not JSON, too large, or too deep."""
    text = to_json(value, place)
    if len(text) > FIELD_LIMIT:
        raise ValueError("is over 1 MiB: keep the data in a file and pass its name")
    if text.count("[") + text.count("{") > NESTING_LIMIT and _deeper(value, NESTING_LIMIT):
        raise ValueError(f"is nested more than {NESTING_LIMIT} levels deep")
    return text


def _deeper(value: object, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, (dict, list, tuple))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(layer)


def to_json(value: object, place: str) -> str:
    """Return compact JSON. Raises ValueError for values that JSON lacks (NaN, dates, bytes, lone surrogates, loops).

    The message says where: ``place`` is the name of the whole value. Keys that are not text are not checked here:
    no file can contain them.
    """
    import json

    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        from batchq.jobs.misfits import misfit

        problem = misfit(value, place) or f"{place}: contains a whole number of more than 4300 digits"
        raise ValueError(f"cannot be stored: {problem}") from None
    if "\\ud" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("contains a lone surrogate, which is not text") from None
    return text


def raw_json(value: object) -> str:
    """Return compact JSON of words that may contain raw bytes, as the surrogates of ``os.fsdecode``."""
    import json

    return json.dumps(value, separators=(",", ":"))


def encode_bytes(text: str) -> bytes:
    """Return the bytes of ``text`` in UTF-8; surrogates stand for the raw bytes of ``os.fsdecode``.

    Raises ValueError for any other surrogate.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError("contains a lone surrogate, which is not text") from None


def quoted(value: object) -> str:
    """``value`` between quotes on one line, for a message: printable, and cut in the middle where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:50]} … {text[-20:]}"


def did_you_mean(word: str, known: "list[str]") -> str:
    """``" (did you mean 'timeout'?)"``, or nothing where no known word is near."""
    import difflib

    near = difflib.get_close_matches(word[:NAME_LIMIT], known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def kind_of(value: object) -> str:
    """What kind of value this is, in the words of TOML and JSON."""
    names = {dict: "a table", list: "a list", str: "a string", bool: "true or false", int: "a number",
             float: "a number with a decimal point"}  # fmt: skip
    return names.get(type(value), "nothing" if value is None else f"a {type(value).__name__}")
