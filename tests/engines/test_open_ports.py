"""The check of listening sockets notices one that it must notice."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import eventually
from openports import OF_A_TEST, OpenPorts, watching

pytest_plugins = ("openports",)

SERVER = """\
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], 0), family=family):
    print(flush=True)
    sys.stdin.read()
"""


def serve(folder: Path, address: str) -> "subprocess.Popen[bytes]":
    """A process of ``folder`` that listens there until its stdin is closed."""
    words = [sys.executable, "-c", SERVER, address]
    server = subprocess.Popen(words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout is not None
    server.stdout.readline()
    return server


@pytest.mark.parametrize(("address", "is_noticed"), [("127.0.0.2", True), ("127.0.0.1", False)])
def test_a_process_that_listens_on_another_address_is_noticed(
    tmp_path: Path, address: str, *, is_noticed: bool
) -> None:
    ports = OpenPorts(tmp_path)
    with serve(tmp_path, address):
        ports.look()

    assert len(ports.found) == is_noticed


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_addresses_of_ipv6_are_seen(tmp_path: Path) -> None:
    strict, usual = OpenPorts(tmp_path, ("127.0.0.1",)), OpenPorts(tmp_path)
    with serve(tmp_path, "::1"):
        strict.look()
        usual.look()

    assert [" listens on ::1:" in line for line in strict.found] == [True]
    assert usual.found == []


def test_a_listener_that_is_gone_before_the_end_was_noticed(tmp_path: Path) -> None:
    ports = OpenPorts(tmp_path)
    with watching(ports), socket.create_server(("127.0.0.2", 0)):
        eventually(lambda: ports.found)

    assert f"listens on {OF_A_TEST}:" in ports.found[0]
