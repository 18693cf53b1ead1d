"""What a run has sent, as it is at the machine of a site: paths, the PATH and the store of its jobs, how many may run."""

import os

from batchq.executors.afar.mapping import mapped
from batchq.executors.afar.unfit import Unfit
from batchq.jobs.attempt import Claim
from batchq.processes import machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MANY = 100_000  #: slots of a site next to a worker: the engine decides how many attempts run at once


class Viewpoint:
    """The view of a site with this ``setup``. A bridge passes all on as it is: sites at the workers translate."""

    def __init__(self, setup: "dict[str, Any]") -> None:
        self._setup = setup
        self._map = setup["cwd_map"]
        self._is_bridge = setup["engine"] is not None
        self._is_of_the_run = setup["boot_id"] == machine.boot_id()

    def claim(self, claim: Claim) -> Claim:
        """Return a claim with the path of its folder here, and on another machine with the PATH of this one."""
        if self._is_bridge:
            return claim
        if self._map:
            claim = claim._replace(cwd=mapped(claim.cwd, self._map))
        return claim if self._is_of_the_run else claim._replace(path=os.environ.get("PATH", os.defpath))

    def home(self) -> str:
        """Return the folder of the run."""
        return mapped(self._setup["home"], self._map)

    def store(self) -> str:
        """Return the path of the store; on another machine it names the host, so that no job makes a store there."""
        path = str(self._setup["db"])
        return path if self._is_of_the_run else f"{self._setup['host']}:{path}"

    def slots(self) -> int:
        """Return how many slots the run wants here, by default one for each core.

        At a node of Slurm these are the cores of the allocation, which not every Slurm enforces.
        """
        allocated = os.environ.get("SLURM_CPUS_ON_NODE", "")
        cores = machine.cores()
        return int(self._setup["slots"]) or (min(cores, max(1, int(allocated))) if allocated.isdecimal() else cores)

    def affordable(self) -> int:
        """Return for how many of these there are descriptors. Raises Unfit if there are none for a single one."""
        if (possible := machine.slots_with_descriptors()) == 0:
            needed, free = machine.BASIC_NEEDS + machine.SLOT_NEEDS, machine.free_descriptors()
            raise Unfit(f"{machine.host()}: a site needs {needed} file descriptors and can get {free:.0f} (ulimit -n)")
        wanted = self.slots()
        return wanted if wanted == MANY else min(wanted, possible)

    def path_for_the_run(self, path: str) -> str:
        """Return a path of this machine as the run has to name it."""
        return path if self._is_bridge or self._is_of_the_run else f"{machine.host()}:{path}"
