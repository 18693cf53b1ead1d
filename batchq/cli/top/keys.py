"""The keys of a terminal: what it sends for each, and what each does in ``batchq top``. Pure."""

import codecs

HELP = """\
Up, Down, k, j    the job before or after
PgUp, PgDn        a page of jobs
Home, End, g, G   the first, the last
Tab, Left, Right  another list: running, queued, …, newest
Enter, l          the log of the job; it follows a running one
h                 hold the job; release it if it is held
c                 cancel the job (asks first)
r                 retry the job
/                 only jobs whose command or name contains a text
s                 sort by id, cpu, memory, queue, name
Esc               back; or drop the filter
?                 this help
q, Ctrl-C         quit
F1 F4 F6 F9 F10   ? / s c q, as in htop
Ctrl-Z            suspend; fg comes back

CPU is in cores (200 % are two); CPU and memory are those of the job's
processes, for runs on this machine. The last line of output is as new as
the store: about a second old.
"""

_SEQUENCES = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "left",
    "P": "?", "S": "/", "17~": "s", "20~": "c", "21~": "q",  # F1, F4, F6, F9 and F10, as in htop
    "1~": "home", "4~": "end", "5~": "pageup", "6~": "pagedown", "7~": "home", "8~": "end",
}  # fmt: skip
_CONTROLS = {"\t": "right", "\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace", "\x0c": "redraw"}
_LONGEST = 16  #: characters of a sequence; what is longer is not one


class Decoder:
    """Turns what a terminal sends into names of keys: ``up``, ``enter``, ``escape``, or the character itself."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    @property
    def is_waiting(self) -> bool:
        """Whether the beginning of a sequence has come, which may also be the Escape key."""
        return bool(self._rest)

    def keys(self, data: bytes, *, final: bool = False) -> list[str]:
        """Return the keys in ``data``; with ``final`` no more comes soon, so an escape is the Escape key."""
        text = self._rest + self._decoder.decode(data)
        found: list[str] = []
        while text:
            key, used = _first(text)
            if not used and not final and len(text) < _LONGEST:
                break
            found += [key] if key else []
            text = text[max(1, used) :]
        self._rest = text
        return found


def _first(text: str) -> tuple[str, int]:
    """Return the first key and how many characters it takes; 0 if an escape may be the beginning of a longer one."""
    first = text[0]
    if first != "\x1b":
        return _CONTROLS.get(first, first if first.isprintable() else ""), 1
    if len(text) == 1:
        return "escape", 0
    if text[1] not in "[O":
        return "escape", 1
    end = next((place for place in range(2, len(text)) if text[place].isalpha() or text[place] == "~"), None)
    if end is None:
        return "escape", 0
    return _SEQUENCES.get(text[2 : end + 1], ""), end + 1
