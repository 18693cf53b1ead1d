"""The executor of a run: processes on this machine, or places elsewhere (``--executor``)."""

from collections.abc import Callable, Sequence

from batchq import folder
from batchq.cli.request import Request, duration
from batchq.errors import UsageError
from batchq.executors.listener import Listener
from batchq.executors.local import LocalExecutor
from batchq.executors.seam import Executor
from batchq.processes import machine
from batchq.processes.kept import Kept
from batchq.processes.signals import Inbox

#: What concerns this machine only
_HERE = (
    ("--limit-processes", "limit_processes"),
    ("--log-dir", "log_dir"),
    ("--tee", "tee"),
    ("--output", "pass_on"),
    ("--keep-order", "keep_order"),
)


def check(request: Request) -> None:
    """Raise UsageError unless the options name an executor and fit together."""
    if request.executor == "local":
        if request.cwd_map:
            raise UsageError("--cwd-map is for jobs that run elsewhere: name an --executor, or leave it out")
        return
    from batchq.executors.afar import choosing, mapping

    mapping.pairs(request.cwd_map)
    choosing.check(request.executor)
    duration("--lease", request.lease)
    duration("--reconnect", request.reconnect)
    for option, name in _HERE:
        if getattr(request, name) not in (None, False):
            raise UsageError(
                f"{option} has no effect where the jobs of --executor {request.executor} run; leave it out"
            )


def executor(
    request: Request,
    slots: int,
    inbox: Inbox,
    *,
    db: str,
    mark: str,
    liveness: int,
    home: str,
    grace: float,
    logs: str | None,
    kept: Kept,
    listeners: Sequence[Listener],
    keep_output: int,
    prepare: Callable[[], None],
) -> Executor:
    """Make the executor. ``mark`` distinguishes this store from others, ``liveness`` this run from others of the store.

    Of jobs at an engine the ``listeners`` receive what is kept of their output, when they end.
    """
    if request.executor == "local":
        return LocalExecutor(
            slots,
            inbox,
            db=db,
            cookie=str(liveness),
            perform=request.perform,
            home=home,
            grace=grace,
            logs=logs,
            mark=mark,
            worker_jobs=request.worker_jobs,
            kept=kept,
            listeners=listeners,
            keep_output=keep_output,
            prepare=prepare,
        )
    from batchq.executors.afar import choosing, mapping

    prepare()
    setup = {
        "slots": 0 if request.jobs in ("0", "100%") else slots,  # else each place has as many as it has cores
        "db": db,
        "host": machine.host(),
        "boot_id": machine.boot_id(),
        "cookie": f"{mark}.{liveness}",
        "perform": request.perform,
        "home": home,
        "grace": grace,
        "worker_jobs": request.worker_jobs,
        "keep_output": keep_output,
        "folder": None if request.executor_folder is None else folder.absolute(request.executor_folder),
        "cwd_map": mapping.pairs(request.cwd_map),
        "reconnect": duration("--reconnect", request.reconnect) / 1000,
        "lease": duration("--lease", request.lease) / 1000,
    }
    return choosing.executor(request.executor, setup, inbox, listeners)
