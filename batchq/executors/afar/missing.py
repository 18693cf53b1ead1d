"""What an attempt lacked where it was to run, compared with this machine.

A folder, a module or a Python that is here but not there is a fault of the setup, not of the job. What is missing here,
too, is the job's own failure.
"""

import json
import os
import shutil
import sys
from glob import escape, glob

from batchq.executors.commands import unbegun
from batchq.jobs import locating
from batchq.jobs.attempt import MACHINE_BUSY, Claim, Ended
from batchq.processes.spawn import Refusal

#: Types of failures; in all others that lacked something it was a module
_FOLDER, _PYTHON = ("NoSuchFolder",), ("NoSuchProgram", "NotExecutable")


class Here:
    """This machine as its jobs find it; ``home`` is the folder in which the function of ``--perform`` is searched last."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._places: dict[tuple[object, ...], str | None] = {}  # of modules

    def contradiction(self, ended: Ended) -> str | None:
        """Say what was missing there and is here; None if nothing was, or if it is missing here, too."""
        claim, failure = ended.claim, ended.outcome.failure
        if failure is None or not failure.missing:
            return None
        if failure.type in _FOLDER:
            is_here = os.path.isdir(claim.cwd) and os.access(claim.cwd, os.X_OK)
            what = f"its folder {claim.cwd!r} is here but not there ({failure.message})"
            remedy = "share it, or name its path there with --cwd-map"
        elif failure.type in _PYTHON:
            is_here = shutil.which(failure.missing, path=claim.path) is not None
            what = f"its Python {failure.missing} is here but not there"
            remedy = "install it there, or give the job one that is in both places"
        else:
            place = self._place(claim, failure.missing)
            is_here = place is not None
            what = f"the module {failure.missing!r}, which it imports, is here ({place}) but not there"
            remedy = "install it there, or share its folder"
        return f"job {claim.id} cannot run at {ended.outcome.host}: {what}: {remedy}" if is_here else None

    def _place(self, claim: Claim, module: str) -> str | None:
        """Return where a callable would find the module here. Nothing is imported, and no other Python is started."""
        key = module, claim.cwd, claim.env, claim.python, claim.kind
        if key not in self._places:
            path, is_own = self._path(claim)
            try:
                found = locating.find(module, path, by_all=is_own)
            except Exception:  # a finder of another library
                found = None
            inside = None if found is None else found.submodule_search_locations
            self._places[key] = None if found is None else found.origin or next(iter(inside or ()), "built in")
        return self._places[key]

    def _path(self, claim: Claim) -> tuple[list[str], bool]:
        """Return the folders in which it searches, and whether it has the Python of this run."""
        named = {} if claim.env is None else json.loads(claim.env)
        path = [claim.cwd, *[self._home] * (claim.kind == "payload")]
        path += [os.path.join(claim.cwd, one) for one in named.get("PYTHONPATH", "").split(os.pathsep) if one]
        if claim.python in (None, sys.executable):
            return path + sys.path[not sys.flags.safe_path :], True  # without the folder of this program
        python = shutil.which(claim.python, path=claim.path) or claim.python
        return path + glob(f"{escape(os.path.dirname(os.path.dirname(python)))}/lib/python3*/*-packages"), False


def returned(ended: Ended, why: str) -> Ended:
    """Return the end of an attempt that lacked what is here: it has not begun, and costs its job nothing."""
    claim, outcome = unbegun(ended.claim, Refusal(MACHINE_BUSY, why, of_machine=True))
    return Ended(claim, outcome._replace(host=ended.outcome.host))
