"""The engines, whose clients live in a bridge: a site of their own on the machine of the run.

Never in the runner: a pool that forks there would inherit the lock that shows that the run is alive, and a client that
hangs would keep the loop from timeouts and signals.
"""

from batchq.executors.afar.unfit import Unfit
from batchq.executors.seam import Executor
from batchq.processes.signals import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def engine(chosen: str, inbox: Inbox, setup: "dict[str, Any]") -> Executor:
    """Make the executor that ``chosen`` names. Raises Unfit."""
    raise Unfit(f"--executor {chosen}: no such engine")
