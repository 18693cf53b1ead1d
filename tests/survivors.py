"""Every living process that comes from a folder of a test: nothing may be left when the test is over.

A process is found by three signs, of which it cannot shed all by accident: the variable BATCHQ_DB of its store, or its
HOME, the path of the folder among its words, and the folder, or one below, as its working directory.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def living(folder: Path) -> list[tuple[int, str]]:
    """The process ids, with the words of each."""
    mark = os.fsencode(folder.resolve())
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if pid == os.getpid():
            continue
        try:
            words = contents(f"/proc/{pid}/cmdline")
            place = os.fsencode(Path(f"/proc/{pid}/cwd").readlink())
            signs = b"\0".join((words, contents(f"/proc/{pid}/environ"), place))
        except OSError:  # gone, or a zombie
            continue
        if mark in signs:
            found.append((pid, words.replace(b"\0", b" ").decode(errors="replace")[:200]))
    return found


def contents(path: str) -> bytes:
    """What a file of /proc holds: pathlib takes three times as long, and all processes are looked at after each test."""
    file = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(file, 1 << 20), b""))
    finally:
        os.close(file)


def end_all(folder: Path) -> None:
    """SIGKILL what is left, until nothing is."""
    while left := living(folder):
        for pid, _ in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def after(folder: Path, seconds: float = 60.0) -> list[tuple[int, str]]:
    """What is still alive when it has had so much time to end; it is ended then."""
    deadline = time.monotonic() + seconds
    while (left := living(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    if left:
        end_all(folder)
    return left
