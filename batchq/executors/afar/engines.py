"""The engines, whose clients live in a bridge: a site of their own on the machine of the run.

Never in the runner: a pool that forks there would inherit the lock that shows that the run is alive, and a client that
hangs would keep the loop from timeouts and signals.
"""

import gc
import time

from batchq.executors.afar import choosing, fence, schedulerfile
from batchq.executors.afar.futures.abandoned import Abandoned
from batchq.executors.afar.futures.executor import FuturesExecutor
from batchq.executors.afar.futures.factory import factory, made_by
from batchq.executors.afar.unfit import Unfit, in_one_line
from batchq.executors.seam import Executor
from batchq.processes import machine, marks, scratch
from batchq.processes.scratch import Scratch
from batchq.processes.signals import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FILE = 10.0  #: seconds within which a scheduler that was just started writes its file
LOOK = 0.1  #: seconds between looks for it, or for what an earlier client has left
GONE = 3.0  #: seconds within which the workers of a pool whose client was killed have ended


def engine(chosen: str, inbox: Inbox, setup: "dict[str, Any]") -> Executor:
    """Make the executor that ``chosen`` names. Raises Unfit."""
    if marks.can_mark():  # workers of some pools do not end if this bridge and its guardian are killed
        marks.put(setup["cookie"])
    if chosen.startswith("dask:"):
        return _dask(chosen, inbox, setup)
    slots = setup["slots"] or machine.cores()
    is_sure = _is_over(setup)  # before the folder goes that says so
    executor = FuturesExecutor(factory(chosen, setup["home"]), slots, inbox, setup, _folder(chosen, setup))
    executor.is_sure = is_sure
    return executor


def _is_over(setup: "dict[str, Any]") -> bool:
    """Whether surely nothing of an earlier client of this run is at work at a pool."""
    if setup["dead"] is None:
        return True
    left = Abandoned(setup["cookie"].rpartition(".")[0], setup["dead"]["tokens"], is_next=True)
    until = time.monotonic() + GONE
    while not left.is_over():
        if time.monotonic() >= until:
            return False
        time.sleep(LOOK)
    return True


def _dask(chosen: str, inbox: Inbox, setup: "dict[str, Any]") -> Executor:
    """Connect to a scheduler: by its address, its file, or ``pkg.mod:make``, which returns a cluster. Raises Unfit."""
    gc.disable()  # the import makes no garbage; to look for some takes a seventh of its time
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise Unfit(f"--executor {chosen} needs distributed: pip install distributed") from None
    except Exception as error:  # its import reads its configuration
        raise Unfit(f"--executor {chosen}: Dask cannot be imported: {in_one_line(error)}") from None
    finally:
        gc.enable()
    from batchq.executors.afar.dask.cluster import Cluster
    from batchq.executors.afar.dask.executor import DaskExecutor

    address: Any = chosen.partition(":")[2]
    if not choosing.is_address(address):
        address = _made(chosen, made_by(address, setup["home"], chosen))
    elif "://" not in address:
        address = address_in(address)
    cluster = Cluster(address, setup["run"])
    is_rescue = setup["end"] != [setup["run"]]
    if is_rescue:
        cluster.end(setup["end"], setup["dead"])
    is_sure = is_rescue or setup["dead"] is None or cluster.has_ended(setup["dead"])
    executor = DaskExecutor(cluster, inbox, setup, setup["reconnect"])
    executor.is_sure = is_sure
    return executor


def _made(chosen: str, make: "Callable[[], Any]") -> "Any":
    try:
        cluster = make()
    except BaseException as error:
        raise Unfit(f"--executor {chosen}: the function that makes the cluster failed: {in_one_line(error)}") from None
    if not isinstance(cluster, str) and not hasattr(cluster, "scheduler_address"):  # of None Dask makes one of its own
        raise Unfit(
            f"--executor {chosen}: the function returned {type(cluster).__name__}, which is not a cluster of Dask"
        )
    return cluster


def address_in(path: str) -> str:
    """Return the address in the file of a scheduler, which may be about to write it. Raises Unfit."""
    until = time.monotonic() + FILE
    while True:
        try:
            return schedulerfile.address(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if time.monotonic() >= until:
                raise Unfit(f"{path} is not the file of a scheduler: {in_one_line(error)}") from None
        time.sleep(LOOK)


def _folder(chosen: str, setup: "dict[str, Any]") -> str:
    """Make a folder that the workers of a pool share: below the one that was named, or the bridge's own. Raises Unfit."""
    if setup["folder"] is None:
        run = setup["cookie"].rpartition(".")[0]  # that of the place would go with it, when the run is killed
        scratch.remove(run)
        private = Scratch(run)
        private.renew()
        return private.path
    try:
        return fence.made(setup["folder"], setup["cookie"])
    except OSError as error:
        raise Unfit(f"--executor {chosen}: cannot make a folder in {setup['folder']}: {error.strerror}") from None
