"""A name of a host that leads to another machine when a dead run is rescued: that one cannot confirm anything."""

import os
import shlex
import signal
import subprocess

import planted
import pytest
from conftest import eventually
from elsewhere import add_waiting, let_end, starts, wrong_starts
from places import SITE, carriers
from scene import Scene, children_of, end, ended, status_of

pytest_plugins = ("scene", "places", "openports")

#: A line that can stand still
LINE = "#!/bin/sh\necho $$ >> {folder}/carriers\ncat | {site} | cat\n"
#: A machine of another name, on which no process of this one is seen
ANOTHER = (
    "unshare",
    "--map-root-user",
    "--uts",
    "--pid",
    "--fork",
    "--mount-proc",
    "sh",
    "-c",
    "hostname other; {site}",
)


def _has_namespaces() -> bool:
    try:
        return subprocess.run([*ANOTHER[:-1], "hostname other"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not _has_namespaces(), reason="needs unshare(1) and user namespaces")
def test_a_rescue_waits_for_the_lease_if_the_hosts_lead_to_other_machines(afar: Scene) -> None:
    planted.plant(afar, [planted.BLIND])
    (afar.folder / "carrier").write_text(LINE.format(folder=shlex.quote(str(afar.folder)), site=SITE))
    add_waiting(afar, 2)
    run = afar.start("-q", "-j", "1", "--executor", "ssh:h1,h2", "--lease", "8s")
    eventually(lambda: len(starts(afar)) == 2)
    eventually(lambda: len(afar.rows("SELECT 1 FROM processes WHERE host IS NOT NULL")) == 2)
    below = [pid for shell in carriers(afar) for pid in children_of(shell)]
    line = [pid for pid in below if status_of(pid)["Name"] == "cat"]
    for pid in line:
        os.kill(pid, signal.SIGSTOP)
    end(afar.runner(), run.pid)
    ended(run)
    afar.shell.env["BATCHQ_SSH"] = shlex.join([*ANOTHER[:-1], ANOTHER[-1].format(site=SITE)])
    again = afar.start("-q", "-j", "2")
    eventually(lambda: len(starts(afar)) == 4, 60)
    let_end(afar)

    code = ended(again)
    end(*line)
    eventually(lambda: afar.survivors() == [])
    assert code == 0
    assert wrong_starts(afar) == set()
