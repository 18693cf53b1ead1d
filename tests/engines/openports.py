"""No process of a test may accept connections from anywhere but this machine: only 127.0.0.1 and ::1.

A thread looks again and again while the tests run, so it also sees servers that end before their test does.

(A plugin: PYTEST_DONT_REWRITE.)
"""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import survivors

CHECK = 0.2  #: seconds between two looks
_LOCAL = ("127.0.0.1", "::1")
OF_A_TEST = "127.0.0.2"  #: on which the tests of this check listen: it leads nowhere else, either
_LISTENING = 10  # the number of this state of a socket
_SOCK_DIAG, _BY_FAMILY, _DUMP, _DONE = 4, 20, 0x301, 3
_HEADER = struct.Struct("=IHHII")
_BYTES = {socket.AF_INET: 4, socket.AF_INET6: 16}  #: of an address


class OpenPorts:
    """``found`` has a line for each listener of a process that comes from ``folder``, or of this process."""

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


def _open_to_others(allowed: tuple[str, ...]) -> dict[int, str]:
    """Map the inodes of the sockets that listen on other addresses to these."""
    return {
        inode: f"{address}:{port}"
        for family in (socket.AF_INET, socket.AF_INET6)
        for inode, address, port in _listening(family)
        if address not in allowed
    }


def _listening(family: socket.AddressFamily) -> Iterator[tuple[int, str, int]]:
    """The inode, the address and the port of each TCP socket of this machine that listens.

    The kernel is asked for only these (sock_diag(7)): to read /proc/net/tcp it goes through its tables of all connections,
    which takes two hundred times as long.
    """
    question = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 0, 0, 1 << _LISTENING)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _DUMP, 0, 0) + question)
        while True:
            answer = kernel.recv(1 << 16)
            while answer:
                length, kind, *_ = _HEADER.unpack_from(answer)
                if kind == _DONE:
                    return
                assert kind == _BY_FAMILY, f"the kernel does not tell who listens: {answer[:20]!r}"
                port, source = struct.unpack_from("!H2x16s", answer, _HEADER.size + 4)
                (inode,) = struct.unpack_from("=I", answer, _HEADER.size + 68)
                yield inode, socket.inet_ntop(family, source[: _BYTES[family]]), port
                answer = answer[-4 & length + 3 :]


def _sockets(pid: int) -> set[int]:
    """Return the inodes of the sockets of a process."""
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(entry.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(int(target.removeprefix("socket:[").removesuffix("]")))
    except OSError:  # it has ended
        pass
    return found
