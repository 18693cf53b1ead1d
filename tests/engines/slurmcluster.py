"""A real Slurm of two nodes, as processes on 127.0.0.1: one munged, one slurmctld, two slurmd; no accounting.

It needs root and Debian's packages (scripts/packages). Each node is this machine under another name. Slurm would listen
on the address that the name of the machine has, so nss_wrapper gives the machine a name with the address 127.0.0.1.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ports
import survivors
from conftest import eventually

NODES = ("n1", "n2")
KILL_WAIT = 30  #: seconds between SIGTERM and SIGKILL when Slurm ends a job; what is at work needs some to record that
_PROGRAMS = ("munged", "slurmctld", "slurmd", "srun")
_WRAPPER = "libnss_wrapper.so"

_CONFIGURATION = """\
ClusterName=batchq
SlurmctldHost=front(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ReturnToService=2
KillWait={kill_wait}
NodeName=n1 NodeHostname=front NodeAddr=127.0.0.1 Port={first} CPUs=2
NodeName=n2 NodeHostname=front NodeAddr=127.0.0.1 Port={second} CPUs=2
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why no Slurm can be started here; None if it can."""
    if os.geteuid() != 0:
        return "only root can start a Slurm"
    path = os.environ["PATH"] + ":/usr/sbin"
    absent = [name for name in _PROGRAMS if not shutil.which(name, path=path)]
    if not list(Path("/usr/lib").glob(f"*/{_WRAPPER}")):
        absent.append(_WRAPPER)
    return f"not installed: {', '.join(absent)} (scripts/packages)" if absent else None


class Slurm:
    """``env`` are the variables with which srun, salloc, sbatch and the rest find it."""

    def __init__(self, folder: Path, controller: int, nodes: list[int]) -> None:
        self.folder = folder
        self._ports = controller, *nodes
        self.env = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "LD_PRELOAD": _WRAPPER,
            "NSS_WRAPPER_HOSTS": str(folder / "hosts"),
            "NSS_WRAPPER_HOSTNAME": "front",
        }
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start everything and wait until both nodes are idle."""
        for name in ("state", *NODES):
            (self.folder / name).mkdir()
        (self.folder / "hosts").write_text("127.0.0.1 front\n")
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        controller, first, second = self._ports
        (self.folder / "slurm.conf").write_text(
            _CONFIGURATION.format(
                folder=self.folder, controller=controller, first=first, second=second, kill_wait=KILL_WAIT
            )
        )
        files = {"key-file": key.name, "socket": "munge.socket", "pid-file": "munged.pid", "seed-file": "munge.seed"}
        words = [f"--{option}={self.folder / name}" for option, name in files.items()]
        self._start("munged", "--foreground", "--force", f"--log-file={self.folder / 'munged.own.log'}", *words)
        eventually((self.folder / "munge.socket").exists)
        self._start("slurmctld", "-D", "-i")
        for node in NODES:
            self._start("slurmd", "-D", "-N", node)
        eventually(lambda: self("sinfo", "--noheader", "--format=%T %D") == f"idle {len(NODES)}\n")

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> str:
        """The output of one command of Slurm."""
        variables = (os.environ if env is None else env) | self.env
        done = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
        return done.stdout

    def jobs(self) -> list[str]:
        """The ids of the jobs that have not ended."""
        return self("squeue", "--noheader", "--format=%A").split()

    def close(self) -> None:
        """End everything, jobs first."""
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        survivors.end_all(self.folder)

    def _start(self, program: str, *words: str) -> None:
        with (self.folder / f"{program}.{len(self._daemons)}.log").open("wb") as log:
            self._daemons.append(
                subprocess.Popen(
                    [program, *words],
                    cwd=self.folder,
                    env=os.environ | self.env | {"PATH": os.environ["PATH"] + ":/usr/sbin"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """A Slurm that is ended afterwards."""
    with ports.kept(1 + len(NODES)) as (controller, *nodes):
        made = Slurm(folder, controller, nodes)
        try:
            made.start()
            yield made
        finally:
            made.close()
