"""Hostile text made harmless: a job may print anything, and none of it may control a terminal or mislead a reader."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

# C0 without newline and tab, DEL, C1; the controls of writing direction; line and paragraph separators; surrogates.
_UNSAFE = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_UNSAFE_IN_LINE = f"[\t\n{_UNSAFE[1:]}"
_SHORT = {"\r": "\\r", "\n": "\\n", "\t": "\\t"}
# What sets the colours and the weight of text (SGR, of ECMA-48), and what erases the rest of a line (EL).
_COLOURS = "(\x1b\\[[0-9;:]{0,60}m|\x1b\\[[0-2]?K)"
_RESET = "\x1b[0m"
_CONCEALED = "8"
_EXTENDED = {"38", "48", "58"}  #: colours by number: 38;5;N or 38;2;R;G;B


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


def coloured(data: bytes | str, *, colour: bool = True) -> str:
    """One line of ``data`` as ``visible`` shows it, except that its colours stay, up to the end of the line at most.

    Without ``colour`` they are removed. Text that would be concealed is shown. What erases the rest of the line is
    removed, too: nothing follows there.
    """
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
    if "\x1b" not in text:
        return visible(text)
    import re

    shown, is_open = [], False
    for index, part in enumerate(re.split(_COLOURS, text)):
        if index % 2 == 0:
            shown.append(visible(part))
        elif colour and part.endswith("m"):
            is_hiding, ends = _conceals(part), part[2:-1].rpartition(";")[2].strip("0") == ""
            shown.append(visible(part) if is_hiding else part)
            is_open = is_open if is_hiding else not ends
    return "".join(shown) + (_RESET if is_open else "")


def _conceals(sequence: str) -> bool:
    """Whether a sequence of SGR makes text invisible."""
    codes = iter(sequence[2:-1].split(";"))
    for code in codes:
        number = code.partition(":")[0].lstrip("0")
        if number == _CONCEALED:
            return True
        if code in _EXTENDED:
            for _ in range({"5": 1, "2": 3}.get(next(codes, ""), 0)):
                next(codes, None)
    return False


def _escape(match: "re.Match[str]") -> str:
    code = ord(match[0])
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
