"""Hostile text made harmless: what a job prints may hold anything, and none of it may steer a terminal or a reader."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

# C0 without newline and tab, DEL, C1; the controls of writing direction; line and paragraph separators; surrogates.
_UNSAFE = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_UNSAFE_IN_LINE = f"[\t\n{_UNSAFE[1:]}"
_SHORT = {"\r": "\\r", "\n": "\\n", "\t": "\\t"}


def visible(data: bytes | str, *, one_line: bool = False) -> str:
    """``data`` with each dangerous character as an escape that can be read: ``\\x1b``, ``\\u202e``, ``\\r``.

    Bytes are UTF-8; what is not becomes ``\\xff``. Newlines and tabs stay, unless ``one_line`` asks for ``\\n`` and
    ``\\t``. A backslash in ``data`` stays as it is: the result is for reading and cannot be turned back.
    """
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
    if text.isprintable():
        return text
    import re  # costs an add, whose messages are printable, as much as its transaction

    return re.sub(_UNSAFE_IN_LINE if one_line else _UNSAFE, _escape, text)


def _escape(match: "re.Match[str]") -> str:
    code = ord(match[0])
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
