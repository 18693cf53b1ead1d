"""What the runner and a worker say to each other.

A worker has three pipes and two files. On descriptor 3 tasks come, in messages of four bytes of length and that much
JSON. On 4 answers go out, one for each task as soon as it has ended, so that a worker that dies takes no answer with it.
The one on 5 is a bell that wakes the runner: it is rung when the last task of a message has ended, and the runner is
spared the wake-ups between.

A message is ``{"look": bool, "single": bool, "target": …, "also": …, "tasks": [[id, attempt, token, about, work], …]}``,
where ``about`` is null for what is as that of the task before. ``look`` is true where tasks have been claimed since the
last message: whoever added them may have changed files before. ``"last": true`` follows where the process is for this one
task: it ends as that has left it. In a message of several short tasks the output of each
goes to a file, on 6 and 7, where its end can be seen; in a single one to the runner's pipes, where it is bounded while
it runs. The files have no names, and lie in memory: the runner has made them, and reads them when it must end the worker,
or when that dies.

An answer is an ``ANSWER`` and behind it two texts. Its fields: how the task ended (``RESULT``, ``ERROR``, ``DISCARD``,
``SNOOZE``); when it began and ended (milliseconds since 1970); its seconds, and those of the processor; peak memory in
KiB, 0 where that is unknown; exit code, -1 for none; how many processes it left, and how many threads; milliseconds
after which it asks to be repeated, -1 where it does not; bytes of the first text, its output in JSON, which may be
empty; bytes of the second, its result or its error in JSON.

Two other kinds of answer belong to no task: ``PHASE``, whose second text is the module that is being imported, or empty
when that has ended; and ``FAREWELL``, the last one of a worker that must be replaced.
"""

import json
import os
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The program of a worker; its argument is the folder of the package, or ``ARCHIVE``. What the worker needs is imported
#: from the standard library, whatever PYTHONPATH says, and before a job's folder is looked at.
START = (
    "import os, sys; before = sys.path[:]; sys.path[:] = [one for one in before if one == os.path.dirname(os.__file__)"
    " or one.endswith('lib-dynload')] + sys.argv[1:2]; from batchq.processes.worker.serving import main;"
    " sys.path[:] = before; main()"
)
#: Where a worker finds batchq when its files have been taken away: a file in memory, on the descriptor after those above.
ARCHIVE = "/proc/self/fd/8"
ANSWER = Struct("=cqqddqhIHqII")  #: what the runner needs no more than a call to read: it reads very many
RESULT, ERROR, DISCARD, SNOOZE, PHASE, FAREWELL = b"r", b"e", b"d", b"s", b"p", b"f"
NONE = -1
KINDS = frozenset((RESULT, ERROR, DISCARD, SNOOZE, PHASE, FAREWELL))
KEPT = 64 * 1024  #: bytes kept of the beginning of a stream, and as many of its end
_MOST = 64 * 1024 * 1024  #: bytes of a text behind an answer: more than any has
_LATEST = 1 << 43  #: milliseconds since 1970: in a few hundred years
#: To and from JSON, whatever a callable makes of the functions of ``json``
as_json, _from_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode, json.JSONDecoder().decode
_CHUNK = 64 * 1024  #: bytes: as much as a pipe holds


def receive(tasks: int) -> "dict[str, Any] | None":
    """Wait for one message; None when the other side is gone."""
    header = _exactly(tasks, 4)
    if header is None:
        return None
    data = _exactly(tasks, int.from_bytes(header, "little"))
    return None if data is None else _from_json(data.decode())


def may_be_answer(fields: "tuple[Any, ...]") -> bool:
    """Whether these can be the fields of an answer, and not what a callable has written to a descriptor of its worker."""
    return fields[0] in KINDS and 0 <= fields[1] <= fields[2] < _LATEST and max(fields[-2:]) < _MOST


def _exactly(pipe: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        try:
            part = os.read(pipe, min(size - len(data), _CHUNK))
        except BlockingIOError:  # a callable has set that for whatever was open
            os.set_blocking(pipe, True)
            continue
        if not part:
            return None
        data += part
    return bytes(data)
