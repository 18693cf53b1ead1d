"""Hostile text made harmless: a job may print anything, and none of it may control a terminal or mislead a reader."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

# C0 without newline and tab, DEL, C1; the controls of writing direction; line and paragraph separators; surrogates.
_UNSAFE = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_UNSAFE_IN_LINE = f"[\t\n{_UNSAFE[1:]}"
_SHORT = {"\r": "\\r", "\n": "\\n", "\t": "\\t"}


def visible(data: bytes | str, *, one_line: bool = False) -> str:
    """``data`` with each dangerous character replaced by a readable escape: ``\\x1b``, ``\\u202e``, ``\\r``.

    Bytes are decoded as UTF-8; invalid ones become ``\\xff``. Newlines and tabs stay, unless ``one_line`` asks for
    ``\\n`` and ``\\t``. A backslash in ``data`` stays as it is: the result is for people and cannot be decoded again.
    """
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
    if text.isprintable():
        return text
    import re  # importing it costs an add as much as its transaction, and its messages are printable

    return re.sub(_UNSAFE_IN_LINE if one_line else _UNSAFE, _escape, text)


def _escape(match: "re.Match[str]") -> str:
    code = ord(match[0])
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
