"""The format of what the runner and a worker send each other.

A worker has three pipes and two files. Tasks come on descriptor 3, in messages of four bytes of length and that much
JSON. Answers go out on 4, one for each task as soon as it has ended, so that a worker that dies takes no answer with it.
The pipe on 5 is a bell that wakes the runner: it is rung when the last task of a message has ended, which spares the
runner the wake-ups between.

A message is ``{"slot": text, "look": bool, "single": bool, "kept": bytes, "target": …, "also": …, "tasks": [[id, attempt,
token, about, work], …]}``. ``slot`` is the number of the slot. ``about`` is null if it equals that of the task before. A
task with parents has the path of their description after its work. ``look`` is true if tasks have been claimed since the
last message: files may have changed before those were added. ``"last": true`` follows if the process is for this one task
and ends as the task has left it, and ``"merged": true`` if stderr goes where stdout goes. In a message of several short
tasks the output of each goes to a file, on 6 and 7, so that its end is known, and ``kept`` bytes of each stream are part
of the answer; the output of a single task goes to the runner's pipes, where it is bounded while the task runs. The files
have no names and lie in memory. The runner made them, and reads them if it must kill the worker or the worker dies.

An answer is an ``ANSWER`` and after it two texts. Its fields: how the task ended (``RESULT``, ``ERROR``, ``DISCARD``,
``SNOOZE``); when it began and ended (milliseconds since 1970); its duration and its CPU time in seconds; peak memory in
KiB, 0 if unknown; exit code, -1 for none; how many processes it left, and how many threads; milliseconds until the next
attempt that it asks for, -1 for none; bytes of the first text, its output in JSON, which may be empty; bytes of the
second, its result or its error in JSON.

Two kinds of answer belong to no task: ``PHASE``, whose second text is the module that is being imported, or empty when
the import has ended; and ``LAST``, after which the worker must be replaced.
"""

import json
import os
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The program of a worker; its argument is the folder of the package, or ``ARCHIVE``. What the worker needs is imported
#: from the standard library, whatever PYTHONPATH says, and before a job's folder is on the path.
START = (
    "import os, sys; before = sys.path[:]; sys.path[:] = [one for one in before if one == os.path.dirname(os.__file__)"
    " or one.endswith('lib-dynload')] + sys.argv[1:2]; from batchq.processes.worker.serving import main;"
    " sys.path[:] = before; main()"
)
#: Where a worker finds batchq if its files have been removed: a file in memory, on the descriptor after those above.
ARCHIVE = "/proc/self/fd/8"
ANSWER = Struct("=cqqddqhIHqII")  #: which the runner reads in one call: it reads very many
RESULT, ERROR, DISCARD, SNOOZE, PHASE, LAST = b"r", b"e", b"d", b"s", b"p", b"f"
NONE = -1
_OF_A_TASK = frozenset((RESULT, ERROR, DISCARD, SNOOZE))
_OF_NO_TASK = frozenset((PHASE, LAST))
_MOST = 64 * 1024 * 1024  #: bytes of a text after an answer: more than any has
_LATEST = 1 << 43  #: milliseconds since 1970: in a few hundred years
#: To and from JSON, even if a callable replaces the functions of ``json``
as_json, _from_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode, json.JSONDecoder().decode
_CHUNK = 64 * 1024  #: bytes: as much as a pipe holds


def receive(tasks: int) -> "dict[str, Any] | None":
    """Wait for one message; return None when the runner has closed the pipe."""
    header = _exactly(tasks, 4)
    if header is None:
        return None
    data = _exactly(tasks, int.from_bytes(header, "little"))
    return None if data is None else _from_json(data.decode())


def may_be_answer(fields: "tuple[Any, ...]") -> bool:
    """Return whether these can be the fields of an answer; a callable may write anything to a descriptor of its worker."""
    kind, began, ended, *_, output, text = fields
    if kind in _OF_NO_TASK:
        return not (began or ended or output) and bool(text < _MOST)
    return kind in _OF_A_TASK and bool(began <= ended < _LATEST and output < _MOST and 0 < text < _MOST)


def _exactly(pipe: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        try:
            part = os.read(pipe, min(size - len(data), _CHUNK))
        except BlockingIOError:  # a callable made all open descriptors non-blocking
            os.set_blocking(pipe, True)
            continue
        if not part:
            return None
        data += part
    return bytes(data)
