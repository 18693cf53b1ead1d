"""The executor of a site: of its own machine, or in a bridge that of an engine."""

from collections.abc import Callable

from batchq.executors.afar.saying import Saying
from batchq.executors.afar.viewpoint import Viewpoint
from batchq.executors.local import LocalExecutor
from batchq.executors.seam import Executor, Noted
from batchq.processes import machine
from batchq.processes.kept import Kept
from batchq.processes.signals import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def executor(
    setup: "dict[str, Any]", inbox: Inbox, view: Viewpoint, kept: Kept, saying: Saying, tell: Callable[[Noted], None]
) -> Executor:
    """Make it; ``tell`` is told of slots that it cannot have. Raises Unfit if no job could run."""
    if setup["engine"] is not None:
        from batchq.executors.afar import engines

        return engines.engine(setup["engine"], inbox, setup)
    if setup["limit_processes"] is not None:
        machine.limit_processes(setup["limit_processes"])
    if (slots := view.affordable()) < view.slots():
        few = f"file descriptors are enough for {slots} jobs at once, not for {view.slots()} (ulimit -n)"
        tell(Noted(f"{machine.host()}: {few}"))
    return LocalExecutor(
        slots,
        inbox,
        db=view.store(),
        cookie=setup["cookie"],
        perform=setup["perform"],
        home=view.home(),
        grace=setup["grace"],
        worker_jobs=setup["worker_jobs"],
        kept=kept,
        listeners=[saying] if setup["listens"] else [],
        keep_output=setup["keep_output"],
        mark=setup["mark"],
    )
