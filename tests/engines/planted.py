"""Broken variants of what a run does with an engine, planted into the real processes of the run.

A mutant changes one place in the source text of modules, where it must occur exactly once; ``sitecustomize`` in a folder on
PYTHONPATH does that in every Python that the run starts.
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from scene import Scene


class Mutant(NamedTuple):
    """In ``module``, ``old`` is replaced by ``new``."""

    module: str
    old: str
    new: str


WITHOUT_WORKERS = "claims are sent without naming the worker"
WITHOUT_GREETING = "workers get claims without having been asked for their batchq"
BROADCAST = "one broadcast for the leases of all workers"
WITHOUT_REACH = "a rescue that does not ask the places of the dead run"
WITHOUT_EVENTS = "a rescue that does not ask the scheduler which workers have left"
BLIND = "a rescue that cannot see processes of other machines"  # not a fault: here all are on one
WITHOUT_THE_LEASE = "the claims of a stalled worker are settled before its lease has passed"
IGNORES_ITS_LEASE = "a site that works on although it has not heard the run for the time of its lease"
WITHOUT_A_BRIDGE = "the client of an engine is in the runner"

MUTANTS = {
    WITHOUT_WORKERS: Mutant(
        "batchq.executors.afar.dask.cluster",
        "workers=[address],\n            allow_other_workers=False,",
        "",
    ),
    WITHOUT_GREETING: Mutant(
        "batchq.executors.afar.dask.executor",
        "            self._cluster.ask_version(address)",
        "            self._workers.admit(address, '')",
    ),
    BROADCAST: Mutant(
        "batchq.executors.afar.dask.cluster",
        'text, workers=[address], on_error="return"',
        'text, workers=None if message == ["news"] else [address], on_error="return"',
    ),
    WITHOUT_REACH: Mutant(
        "batchq.runner.rescuing",
        "if not self._is_over_elsewhere(one):",
        "if False:",
    ),
    WITHOUT_EVENTS: Mutant(
        "batchq.executors.afar.dask.cluster",
        'if self._client.run_on_scheduler(departed.may_be_at_work, run, dead["tokens"], seconds):',
        "if False:",
    ),
    BLIND: Mutant(
        "batchq.runner.rescuing",
        "living = set() if one.is_of_a_copy else remains.end(self._marks(one))",
        "living = set()",
    ),
    WITHOUT_THE_LEASE: Mutant(
        "batchq.executors.afar.dask.workers",
        "now - self._silent_since < SILENT",
        "True",
    ),
    IGNORES_ITS_LEASE: Mutant(
        "batchq.executors.afar.lifetime",
        "now - self._heard_at > self._lease",
        "False",
    ),
    WITHOUT_A_BRIDGE: Mutant(
        "batchq.executors.afar.choosing",
        "    places = []\n",
        "    if engine(chosen) is not None:\n"
        "        from batchq.executors.afar import engines\n"
        "        own = {'run': setup['cookie'], 'end': [], 'listens': False, 'dead': None}\n"
        "        return engines.engine(chosen, inbox, setup | own)\n"
        "    places = []\n",
    ),
}

_PLANTING = """\
import sys
from importlib.machinery import PathFinder, SourceFileLoader

class Planted(SourceFileLoader):
    def get_code(self, name):
        source = self.get_source(name)
        for module, old, new in FAULTS:
            if module == name:
                assert source.count(old) == 1, "the text of a mutant must occur once"
                source = source.replace(old, new)
        open(PROOF, "a").close()
        return compile(source, self.path, "exec")

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if any(module == name for module, _, _ in FAULTS) and (spec := PathFinder.find_spec(name, path)):
            spec.loader = Planted(name, spec.origin)
            return spec

sys.meta_path.insert(0, Finder)
"""


def plant(scene: Scene, names: Sequence[str]) -> Callable[[], bool]:
    """Break the runs of a scene; return what finds out whether one of them has had a fault."""
    folder = scene.folder / "planted"
    folder.mkdir()
    faults = [tuple(MUTANTS[name]) for name in names]
    proof = folder / "proof"
    (folder / "sitecustomize.py").write_text(f"FAULTS = {faults!r}\nPROOF = {str(proof)!r}\n{_PLANTING}")
    if names:
        scene.shell.env["PYTHONPATH"] = f"{folder}{os.pathsep}{scene.shell.env['PYTHONPATH']}"
    return proof.exists
