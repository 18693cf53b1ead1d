"""The worker's side of a callable: a child process that runs one function after the other and says how each ended.

Started as a file by the runner, with a socket on descriptor 3; it imports the standard library only. A message is four
bytes of length and that much JSON. The runner sends a task, the worker answers with its ending; it ends when the socket
closes. What a function prints goes to descriptors 1 and 2, which are the runner's pipes.
"""

import contextlib
import importlib
import json
import os
import socket
import sys
import time
import traceback
from types import TracebackType
from typing import Any, NamedTuple

RESULT_LIMIT = 1024 * 1024  #: bytes of JSON that a function may return
TRACEBACK_LIMIT = 64 * 1024  #: characters of a traceback that are kept: the beginning and the end


class Job(NamedTuple):
    """What ``run --perform pkg.mod:func`` hands to the function: the job whose payload it is to perform."""

    id: int
    attempt: int
    payload: Any
    name: str | None
    batch: str
    queue: str
    key: str | None


def main() -> None:
    """Serve until the runner closes the socket."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path.insert(0, os.getcwd())
    sys.path.append(root)  # a callable may import batchq, also from a source tree
    channel = socket.socket(fileno=3)
    channel.set_inheritable(False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    while (task := receive(channel)) is not None:
        send(channel, perform(task))


def perform(task: dict[str, Any]) -> dict[str, Any]:
    """Run one task; its ending as ``{"result": JSON text}`` or ``{"error": [type, message, traceback], "exit": n}``."""
    before = dict(os.environ)
    os.environ.update(task["env"])
    started = time.process_time()
    try:
        ending = _ending(task)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os.environ.clear()
        os.environ.update(before)
        os.chdir(task["cwd"])
    return ending | {"cpu": time.process_time() - started, "peak": _peak()}


def _ending(task: dict[str, Any]) -> dict[str, Any]:
    try:
        mask = os.umask(task["umask"]) if task["umask"] is not None else None
        try:
            value = _call(task)
        finally:
            if mask is not None:
                os.umask(mask)
    except SystemExit as end:
        if end.code in (None, 0):
            return {"result": "null"}
        code = end.code if isinstance(end.code, int) else 1
        return {"error": _described(end), "exit": code & 0xFF}
    except BaseException as error:
        return {"error": _described(error)}
    return _result(value)


def _call(task: dict[str, Any]) -> object:
    if "payload" in task:
        job = task["job"]
        return _found(task["call"], task["also"])(Job(payload=task["payload"], **job))
    return _found(task["call"], None)(**task["args"])


def _found(target: str, also: str | None) -> Any:
    module, _, attribute = target.partition(":")
    if also is not None and also not in sys.path:
        sys.path.insert(1, also)
    found: Any = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    return found


def _result(value: object) -> dict[str, Any]:
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        return {"error": ["ResultNotJSON", f"the return value is not JSON: {error}", ""]}
    if len(text) > RESULT_LIMIT:
        return {"error": ["ResultTooLarge", f"the return value is {len(text)} bytes of JSON, over 1 MiB", ""]}
    return {"result": text}


def _described(error: BaseException) -> list[str]:
    """Type, message and traceback of an exception; also of one whose own methods fail."""
    try:
        message = str(error)
    except Exception as broken:
        message = f"<its message cannot be told: {type(broken).__name__}>"
    try:
        trace = "".join(traceback.format_exception(type(error), error, _own_frames_cut(error.__traceback__)))
    except Exception as broken:
        trace = f"<its traceback cannot be told: {type(broken).__name__}>"
    if len(trace) > TRACEBACK_LIMIT:
        half = TRACEBACK_LIMIT // 2
        trace = f"{trace[:half]}\n[… {len(trace) - TRACEBACK_LIMIT} characters cut …]\n{trace[-half:]}"
    return [_clean(type(error).__name__), _clean(message[:TRACEBACK_LIMIT]), _clean(trace)]


def _own_frames_cut(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that is the job's: without the frames of this file and of the import system."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file not in (__file__, importlib.__file__) and not file.startswith("<frozen importlib"):
            break
        trace = trace.tb_next
    return trace


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _peak() -> int | None:
    # ru_maxrss would also count the size of the runner that started this process; VmHWM is our own.
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None


def send(channel: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    data = json.dumps(message).encode()
    channel.sendall(len(data).to_bytes(4, "little") + data)


def receive(channel: socket.socket) -> dict[str, Any] | None:
    """Wait for one message; None when the other side is gone."""
    header = _exactly(channel, 4)
    if header is None:
        return None
    data = _exactly(channel, int.from_bytes(header, "little"))
    return None if data is None else json.loads(data)


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        try:
            part = channel.recv(size - len(data))
        except ConnectionResetError:
            return None
        if not part:
            return None
        data += part
    return bytes(data)


if __name__ == "__main__":
    main()
