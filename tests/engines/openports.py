"""No process of a test may accept connections from anywhere but this machine: only 127.0.0.1 and ::1.

A thread reads /proc/net while the tests run, so it also sees servers that end before their test does.

(A plugin: PYTEST_DONT_REWRITE.)
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import survivors

CHECK = 0.2  #: seconds between two looks
_LISTENING = "0A"
_LOCAL = ("0100007F", "00000000000000000000000001000000")
OF_A_TEST = "0200007F"  #: 127.0.0.2, on which the tests of this check listen: it leads nowhere else, either


class OpenPorts:
    """``found`` has a line for each listener of a process that comes from ``folder``, or of this process.

    ``allowed`` are addresses as /proc/net has them.
    """

    def __init__(self, folder: Path, allowed: tuple[str, ...] = _LOCAL) -> None:
        self.found: list[str] = []
        self._folder = folder
        self._allowed = allowed
        self._known = _open_to_others(allowed)  # those of other programs

    def look(self) -> None:
        """Find the owners of new sockets."""
        listening = _open_to_others(self._allowed)
        if not (new := listening.keys() - self._known.keys()):
            return
        self._known = listening
        for pid in (os.getpid(), *(pid for pid, _ in survivors.living(self._folder))):
            self.found += [f"process {pid} listens on {listening[one]}" for one in new & _sockets(pid)]


@contextmanager
def watching(ports: OpenPorts) -> Iterator[None]:
    """Look again and again until the end of the block."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(CHECK):
            ports.look()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        ports.look()


@pytest.fixture(scope="session", autouse=True)
def open_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All tests of the session."""
    watched = OpenPorts(tmp_path_factory.getbasetemp(), (*_LOCAL, OF_A_TEST))
    with watching(watched):
        yield
    assert watched.found == []


def _open_to_others(allowed: tuple[str, ...]) -> dict[str, str]:
    """Map the inodes of the sockets that listen on other addresses to these, as /proc/net has them."""
    found = {}
    for name in ("tcp", "tcp6"):
        path = Path("/proc/net", name)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == _LISTENING and fields[1].partition(":")[0] not in allowed:
                found[fields[9]] = fields[1]
    return found


def _sockets(pid: int) -> set[str]:
    """Return the inodes of the sockets of a process."""
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(entry.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(target.removeprefix("socket:[").removesuffix("]"))
    except OSError:  # it has ended
        pass
    return found
