"""A real sshd on 127.0.0.1 with keys of its own, for the user who runs the tests.

What a login there is like is up to each test: the server runs the program that the client's configuration names.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ports
from conftest import eventually

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
IS_HERE = SSHD is not None and shutil.which("ssh") is not None

_SERVER = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host-key
PidFile none
AuthorizedKeysFile {folder}/key.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
AcceptEnv LOGIN
ForceCommand exec "$LOGIN"
"""
_CLIENT = """\
BatchMode yes
ConnectTimeout 10
HostName 127.0.0.1
Port {port}
IdentityFile {folder}/key
IdentitiesOnly yes
HostKeyAlias there
UserKnownHostsFile {folder}/known-hosts
StrictHostKeyChecking yes
LogLevel ERROR
SetEnv LOGIN={login}
"""


class SshServer:
    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port

    def configuration(self, login: Path) -> str:
        """Return the text of a client's configuration: all hosts are this server, and ``login`` runs the commands."""
        return _CLIENT.format(folder=self._folder, port=self._port, login=login)


@contextmanager
def serving(folder: Path) -> Iterator[SshServer]:
    """Serve until the end of the block; ``folder`` keeps the keys."""
    assert SSHD is not None
    for name in ("key", "host-key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "known-hosts").write_text(f"there {(folder / 'host-key.pub').read_text()}")
    if os.geteuid() == 0:  # it must exist even though nothing is put there
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with ports.kept(1) as (port,):
        (folder / "sshd_config").write_text(_SERVER.format(folder=folder, port=port))
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", folder / "sshd_config"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        with server:
            try:
                eventually(lambda: b"Server listening" in (folder / "log").read_bytes())
                yield SshServer(folder, port)
            finally:
                server.terminate()
