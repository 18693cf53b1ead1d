"""The worker's side of a callable: a child process that runs one function after the other and says how each ended.

Started by the runner with ``START``; it imports little, and of the standard library alone. It has three pipes. On
descriptor 3 tasks come, in messages of four bytes of length and that much JSON. On 4 answers go out, one for each task as
soon as it has ended, so that a worker that dies takes no answer with it. The one on 5 is a bell that wakes the runner: it
is rung when the last task of a message has ended, and the runner is spared the wake-ups between. The worker ends when no
more tasks can come; and, with ``FAREWELL`` behind an answer, when that task changed the process in a way that cannot be
put back.

A message is ``{"single": bool, "target": …, "also": …, "tasks": [[id, attempt, token, about, work], …]}``, where
``about`` is null for what is as that of the task before. In a message of several short tasks the output of each goes to
a file, where its end can be seen; in a single one to the runner's pipes, where it is bounded while it runs. The files
have names (``spill_names``): the runner reads them when it must end the worker, or when that dies.

An answer is an ``ANSWER`` and behind it two texts in JSON. Its fields: how the task ended (``RESULT``, ``ERROR``,
``DISCARD``); when it began and ended (milliseconds since 1970); its seconds, and those of the processor; peak memory in
KiB, 0 where that is unknown; exit code, -1 for none; how many processes it left; milliseconds after which it asks to be
repeated, -1 where it does not; bytes of the first text, its output, which may be empty; bytes of the second, its result
or its error.
"""

import binascii
import contextlib
import importlib
import json
import os
import resource
import select
import sys
import time
from _signal import SIGKILL  # type: ignore[import-not-found]  # whether signal was imported is seen: Surroundings
from collections import namedtuple
from struct import Struct

from batchq.processes.surroundings import Surroundings, Variables, keep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn

    # How a task ended, its result or error in JSON, exit code, milliseconds to the next attempt: as in an answer.
    Ending = tuple[bytes, bytes, int, int]

#: The program of a worker; its arguments are the folder of the package and the path of its output files. Before the
#: folder of a job is where modules are looked for, what the worker needs has been imported.
START = "import sys; sys.path.insert(0, sys.argv[1]); from batchq.processes.worker import main; main()"
ANSWER = Struct("=cqqddqhIqII")  #: what the runner needs no more than a call to read: it reads very many
RESULT, ERROR, DISCARD = b"r", b"e", b"d"
_NONE = -1
_NOTHING = (RESULT, b"null", _NONE, _NONE)
FAREWELL = b"f"  #: in the answer, else empty, behind the last one of a worker that must be replaced
RESULT_LIMIT = 1024 * 1024  #: bytes of JSON that a function may return
TRACEBACK_LIMIT = 64 * 1024  #: characters of a traceback that are kept: the beginning and the end
_CHUNK = 64 * 1024  #: bytes: as much as a pipe holds
KEPT = 64 * 1024  #: bytes kept of the beginning of a stream, and as many of its end
_LEFTOVERS = 1.0  #: seconds within which what a task left must be dead
_SHORT = 100_000  #: nanoseconds in which a task cannot take memory worth a look; a longer one behind it is looked at
_LONG = 5_000_000  #: nanoseconds from which the peak memory is read anew after a task


class Job(namedtuple("Job", ("id", "attempt", "payload", "name", "batch", "queue", "key"))):
    """What ``run --perform pkg.mod:func`` hands to the function: the job whose payload it is to perform."""

    __slots__ = ()


def main() -> None:
    """Serve until the runner closes the pipe of the tasks."""
    _, root, spill = sys.argv
    sys.argv[:] = [__file__]
    sys.path.remove(root)
    sys.path.insert(0, os.getcwd())
    sys.path.append(root)  # a callable may import batchq, also from a source tree
    _bind_to_runner()
    tasks, answers, bell = map(keep, (3, 4, 5))
    os.closerange(3, 6)
    worker = _Worker(answers, bell, spill)
    while (message := receive(tasks)) is not None:
        worker.serve(message)


def spill_names(spill: str) -> tuple[str, str]:
    """The files that have stdout and stderr of the task that runs, where it shares its message with others."""
    return f"{spill}.out", f"{spill}.err"


class _Worker:
    def __init__(self, answers: int, bell: int, spill: str) -> None:
        self._answers = answers
        self._bell = bell
        self._pid = os.getpid()
        self._spill = spill
        self._home = os.getcwd()
        self._environment = dict(os.environ)
        self._about: list[Any] = []
        self._common: dict[str, str] = {}
        self._own: dict[str, str] = {}
        self._variables = Variables()
        self._around = Surroundings()
        self._pipes = self._around.streams[1:]
        self._files: list[int] = []
        self._to_files = False
        self._functions: dict[str, Any] = {}
        self._rusage_peak = 0
        self._peak = 0
        self._look_at_memory(is_long=True)

    def serve(self, message: "dict[str, Any]") -> None:
        """Run the tasks of one message in order."""
        self._direct_output(to_files=not message["single"])
        for task in message["tasks"]:
            self._perform(task, message["target"], message["also"])
        os.write(self._bell, b"!")

    def _direct_output(self, *, to_files: bool) -> None:
        if to_files and not self._files:
            try:
                self._files += map(_spill_file, spill_names(self._spill))
            except OSError:
                self._leave(b"")
        if to_files != self._to_files:
            self._to_files = to_files
            self._around.direct(*(self._files if to_files else self._pipes), are_files=to_files)

    def _send(self, data: bytes) -> None:
        """Send without waiting where there is room; else wake the runner, which makes some."""
        try:
            while data := data[self._send_some(data) :]:
                os.write(self._bell, b"!")
                waiting = select.poll()
                waiting.register(self._answers, select.POLLOUT)
                waiting.poll()
        except OSError as error:
            with contextlib.suppress(OSError):
                os.write(2, f"batchq: the callable broke its worker's connection ({error.strerror})\n".encode())
            os._exit(1)

    def _send_some(self, data: bytes) -> int:
        try:
            return os.write(self._answers, data)
        except BlockingIOError:
            return 0

    def _leave(self, answer: bytes) -> "NoReturn":
        """Say the last answer and go; threads that a task left are not waited for."""
        self._send(answer + ANSWER.pack(FAREWELL, *[0] * 10))
        os._exit(0)

    def _perform(self, task: "list[Any]", target: str | None, also: str | None) -> None:
        id_, attempt, token, about, work = task
        if about is not None:
            self._describe(about)
        name, batch, queue, key, umask, timeout = self._about
        own = {"BATCHQ_JOB_ID": str(id_), "BATCHQ_ATTEMPT": str(attempt), "BATCHQ_TOKEN": token}
        if timeout is not None:
            own["BATCHQ_DEADLINE"] = f"{time.time() + timeout / 1000:.3f}"
        self._set_environment(own, is_described=about is not None)
        if umask is not None:
            os.umask(umask)
        cpu, began = time.process_time_ns(), time.monotonic_ns()
        try:
            os.chdir(self._home)  # each time: the folder of that name may be another one by now
        except OSError as error:
            problem = f"cannot enter the working directory {self._home!r}: {error.strerror}"
            self._answer(cpu, began, _error("NoSuchFolder", problem))
            return
        try:
            if target is None:
                value = self._found(work["call"], None)(**work["args"])
            else:
                value = self._found(target, also)(Job(id_, attempt, work, name, batch, queue, key))
            ending = _result(value)
        except SystemExit as end:
            ending = _left(end)
        except BaseException as error:
            ending = _raised(error)
        if os.getpid() != self._pid:
            os._exit(1)  # a child that the callable forked, and that came back here
        self._answer(cpu, began, ending)

    def _describe(self, about: "list[Any]") -> None:
        """What this task and those behind it have in common."""
        name, batch, queue, key, db, named, umask, timeout = about
        self._about = [name, batch, queue, key, umask, timeout]
        self._common = named | {"BATCHQ_BATCH": batch, "BATCHQ_QUEUE": queue, "BATCHQ_DB": db}
        if key is not None:
            self._common["BATCHQ_KEY"] = key

    def _answer(self, cpu: int, began: int, ending: "Ending") -> None:
        taken, cpu = time.monotonic_ns() - began, time.process_time_ns() - cpu
        is_whole = self._around.put_back()
        if taken > _SHORT:
            self._look_at_memory(is_long=taken > _LONG)
        output = self._output() if self._to_files else b""
        ended_at = time.time_ns() // 1_000_000
        kind, text, exit_code, again = ending
        answer = (
            ANSWER.pack(
                kind, ended_at - taken // 1_000_000, ended_at, taken // 1000 / 1e6, cpu // 1000 / 1e6, self._peak,
                exit_code, _end_children(), again, len(output), len(text),
            )
            + output
            + text
        )  # fmt: skip
        if is_whole:
            self._send(answer)
        else:
            self._leave(answer)

    def _found(self, target: str, also: str | None) -> "Any":
        found = self._functions.get(target)
        if found is None:
            module, _, attribute = target.partition(":")
            if also is not None and also not in sys.path:
                sys.path.insert(1, also)
            before = dict(os.environ)
            found = importlib.import_module(module)
            for name in attribute.split("."):
                found = getattr(found, name)
            self._adopt(before)
            self._functions[target] = found
        return found

    def _set_environment(self, own: dict[str, str], *, is_described: bool) -> None:
        """The worker's variables as they were at its start, and those of the task; little is done where little differs."""
        known = self._own
        is_touched = self._variables.are_touched()
        if is_touched or is_described:
            own = self._common | own
            if is_touched or own.keys() != known.keys():
                self._variables.reset(self._environment)
                known.clear()
        for name, value in own.items():
            if known.get(name) != value:
                self._variables.put(name, value)
        known.update(own)

    def _adopt(self, before: dict[str, str]) -> None:
        """What a module sets while it is imported stays: it will not be imported again."""
        self._around.adopt()
        after = dict(os.environ)
        self._environment = {name: value for name, value in self._environment.items() if name in after}
        self._environment |= {name: value for name, value in after.items() if before.get(name) != value}

    def _output(self) -> bytes:
        out, err = self._files
        size, errors = os.lseek(out, 0, os.SEEK_END), os.lseek(err, 0, os.SEEK_END)  # as fstat, in a sixth of its time
        if size == errors == 0:
            return b""
        return json.dumps({"stdout": _taken(out, size), "stderr": _taken(err, errors)}).encode()

    def _look_at_memory(self, *, is_long: bool) -> None:
        # ru_maxrss also counts the size of the runner that started this process; VmHWM is our own, but slow to read.
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if is_long or grown != self._rusage_peak:
            self._rusage_peak = grown
            with contextlib.suppress(OSError, StopIteration), open("/proc/self/status") as status:
                self._peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def _bind_to_runner() -> None:
    """Be killed when the runner is, for a worker carries no token by which a rescuer could find it; and inherit the
    orphans of its tasks, so that nothing a task started can leave it unseen (prctl(2), Linux only)."""
    if sys.platform == "linux":
        import ctypes

        runner = os.getppid()
        prctl = ctypes.CDLL(None).prctl
        prctl(1, SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        if os.getppid() != runner:
            os._exit(1)


def _spill_file(path: str) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    kept = keep(fd)
    os.close(fd)
    return kept


def _taken(file: int, size: int) -> "list[str | int] | None":
    """What a task has printed there, of which nothing is left to the next one; None for nothing."""
    if not size:
        return None
    head = os.pread(file, KEPT, 0)
    tail = os.pread(file, KEPT, max(len(head), size - KEPT))
    os.ftruncate(file, 0)
    return [_base64(head), _base64(tail), size]


def _end_children() -> int:
    """Kill and collect what a task left behind below this process; how many processes were alive."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0
    seen: set[int] = set()
    deadline = time.monotonic() + _LEFTOVERS
    while time.monotonic() < deadline:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            break
        for pid in _below("self"):
            if pid not in seen and not _is_zombie(pid):
                seen.add(pid)
            with contextlib.suppress(OSError):
                os.kill(pid, SIGKILL)
        time.sleep(0.0005)
    return len(seen)


def _below(pid: int | str) -> list[int]:
    """All processes below one, by the kernel's lists of children."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as children:
                found += map(int, children.read().split())
    return [*found, *(below for child in found for below in _below(child))]


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def _result(value: object) -> "Ending":
    if value is None:
        return _NOTHING
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        return _error("ResultNotJSON", f"the return value is not JSON: {error}")
    if len(text) > RESULT_LIMIT:
        return _error("ResultTooLarge", f"the return value is {len(text)} bytes of JSON, over 1 MiB")
    return RESULT, text.encode(), _NONE, _NONE


def _error(name: str, message: str) -> "Ending":
    """What is wrong with a task beside what it raised."""
    return ERROR, json.dumps([name, _clean(message), ""]).encode(), _NONE, _NONE


def _raised(error: BaseException) -> "Ending":
    """What a task raised, and what it asks for with that.

    A job that raises batchq.Retry has imported its module; a worker that never needs it does not.
    """
    context = sys.modules.get("batchq.context")
    is_final = context is not None and isinstance(error, context.Discard)
    again = error.delay_ms if context is not None and isinstance(error, context.Retry) else None
    return DISCARD if is_final else ERROR, _described(error), _NONE, _NONE if again is None else again


def _left(end: SystemExit) -> "Ending":
    if end.code in (None, 0):
        return RESULT, b"null", 0, _NONE
    code = end.code if isinstance(end.code, int) else 1
    return ERROR, _described(end), code & 0xFF, _NONE


def _described(error: BaseException) -> bytes:
    """As JSON the type, message and traceback of an exception; also of one whose own methods fail."""
    try:
        message = str(error)
    except BaseException as broken:
        message = f"<its message cannot be told: {type(broken).__name__}>"
    try:
        import traceback

        trace = "".join(traceback.format_exception(type(error), error, _own_frames_cut(error.__traceback__)))
    except BaseException as broken:
        trace = f"<its traceback cannot be told: {type(broken).__name__}>"
    if len(trace) > TRACEBACK_LIMIT:
        half = TRACEBACK_LIMIT // 2
        trace = f"{trace[:half]}\n[… {len(trace) - TRACEBACK_LIMIT} characters cut …]\n{trace[-half:]}"
    return json.dumps([_clean(_type_name(error)), _clean(message[:TRACEBACK_LIMIT]), _clean(trace)]).encode()


def _type_name(error: BaseException) -> str:
    try:
        return str(type(error).__name__)
    except BaseException:  # its metaclass says what a name is
        return "Exception"


def _own_frames_cut(trace: "TracebackType | None") -> "TracebackType | None":
    """The part of a traceback that is the job's: without the frames of batchq and of the import system."""
    package = os.path.dirname(os.path.dirname(__file__)) + os.sep
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file != importlib.__file__ and not file.startswith((package, "<frozen importlib")):
            break
        trace = trace.tb_next
    return trace


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def receive(tasks: int) -> "dict[str, Any] | None":
    """Wait for one message; None when the other side is gone."""
    header = _exactly(tasks, 4)
    if header is None:
        return None
    data = _exactly(tasks, int.from_bytes(header, "little"))
    return None if data is None else json.loads(data)


def _exactly(pipe: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = os.read(pipe, min(size - len(data), _CHUNK))
        if not part:
            return None
        data += part
    return bytes(data)
