"""The engines, whose clients live in a bridge: a site of their own on the machine of the run.

Never in the runner: a pool that forks there would inherit the lock that shows that the run is alive, and a client that
hangs would keep the loop from timeouts and signals.
"""

import tempfile

from batchq.executors.afar.unfit import Unfit
from batchq.executors.seam import Executor
from batchq.processes import machine
from batchq.processes.scratch import Scratch
from batchq.processes.signals import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def engine(chosen: str, inbox: Inbox, setup: "dict[str, Any]") -> Executor:
    """Make the executor that ``chosen`` names. Raises Unfit."""
    if chosen.startswith("dask:"):
        raise Unfit(f"--executor {chosen}: no such engine")
    from batchq.executors.afar.futures import FuturesExecutor, made_by

    slots = setup["slots"] or machine.cores()
    return FuturesExecutor(made_by(chosen, setup["home"]), slots, inbox, setup, _folder(chosen, setup))


def _folder(chosen: str, setup: "dict[str, Any]") -> str:
    """Make a folder that the workers of a pool share: below the one that was named, or the bridge's own. Raises Unfit."""
    if setup["folder"] is None:
        scratch = Scratch(setup["cookie"])
        scratch.renew()
        return scratch.path
    try:
        return tempfile.mkdtemp(prefix=f"batchq-{setup['cookie']}-", dir=setup["folder"])
    except OSError as error:
        raise Unfit(f"--executor {chosen}: cannot make a folder in {setup['folder']}: {error.strerror}") from None
