"""Printing to stdout: text that any locale can show."""

import os
import sys
from collections.abc import Iterable

from batchq.report.layout import Look, look


def print_text(text: str) -> None:
    """Print text in the encoding of stdout."""
    encoding = _encoding()
    sys.stdout.write(text if encoding == "utf-8" else encoded(text).decode(encoding))


def encoded(text: str) -> bytes:
    """Return text as bytes in the encoding of stdout: under cron it may be ASCII, and names may contain anything."""
    encoding = _encoding()
    return (text if encoding == "utf-8" else _spelled_out(text, encoding)).encode(encoding, "backslashreplace")


def _encoding() -> str:
    return (sys.stdout.encoding or "utf-8").lower()


def _spelled_out(text: str, encoding: str) -> str:
    """Replace the signs of batchq's own texts that an encoding does not have."""
    for sign, plain in (("…", "..."), ("←", "<-"), ("×", "x")):
        try:
            sign.encode(encoding)
        except UnicodeEncodeError:
            text = text.replace(sign, plain)
    return text


def print_texts(texts: Iterable[str], *, is_utf8: bool) -> None:
    """Print texts one by one; with ``is_utf8`` in UTF-8 whatever the encoding of stdout is, because their format asks."""
    if not is_utf8 or _encoding() == "utf-8":
        for text in texts:
            print_text(text)
        return
    for text in texts:
        _print_bytes(text.encode("utf-8", "backslashreplace"))


def look_of_stdout(color: str) -> Look:
    """Return how text looks on stdout; ``color`` is the value of ``--color``."""
    return look(sys.stdout, color, os.environ)


def _print_bytes(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
