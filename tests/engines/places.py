"""A scene whose runs reach the hosts h1 and h2 by ssh, which are this machine.

(A plugin: PYTEST_DONT_REWRITE.)
"""

import shlex
import sys
from pathlib import Path

import pytest
from scene import Scene

#: In the place of ssh: notes its process and the host, and starts the site on this machine.
CARRIER = """\
#!/bin/sh
echo $$ $1 >> {folder}/carriers
shift 2
exec {site} "$@"
"""
SITE = shlex.quote(str(Path(sys.executable).parent / "batchq-site"))


@pytest.fixture
def afar(scene: Scene) -> Scene:
    """A scene whose runs reach the hosts ``h1`` and ``h2``, which are this machine."""
    carrier = scene.folder / "carrier"
    carrier.write_text(CARRIER.format(folder=shlex.quote(str(scene.folder)), site=SITE))
    carrier.chmod(0o755)
    scene.shell.env["BATCHQ_SSH"] = shlex.quote(str(carrier))
    return scene


def carriers(scene: Scene) -> list[int]:
    """The processes that lead to the places, in the order of their starts."""
    return [int(line.split()[0]) for line in (scene.folder / "carriers").read_text().splitlines()]


def carrier_to(scene: Scene, host: str) -> int:
    """The process that leads to a host, and first led there."""
    lines = [line.split() for line in (scene.folder / "carriers").read_text().splitlines()]
    return next(int(pid) for pid, name in lines if name == host)
