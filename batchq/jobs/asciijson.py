"""JSON for every reader: in ASCII, without lone surrogates."""

import json
import re

# An escaped backslash, a pair of surrogates, or a lone one: in this order none is mistaken for another.
_ESCAPES = re.compile(r"\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\u(?P<lone>d[89a-f][0-9a-f]{2})")


def dump(value: object, indent: int | None = None, *, tight: bool = False) -> str:
    """Dump ``value`` as ASCII JSON without DEL. Bytes that are not UTF-8 become ``\\\\xff``, so a reader gets ``\\xff``."""
    try:
        text = json.dumps(value, indent=indent, separators=(",", ":") if tight else None)
    except RecursionError:  # with an indent Python code writes it, whose stack is smaller
        text = json.dumps(value)
    if "\\ud" in text:
        text = _ESCAPES.sub(_no_lone_surrogate, text)
    return text.replace("\x7f", "\\u007f")


def _no_lone_surrogate(match: re.Match[str]) -> str:
    if not match["lone"]:
        return match[0]
    code = int(match["lone"], 16)  # U+DC80 to U+DCFF stand for raw bytes
    return f"\\\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else "\\" + match[0]
