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

SHORTEST = 2000  #: milliseconds of a lease: with less, places that are well count as lost


def check(request: Request) -> None:
    """Raise UsageError unless the options name an executor and fit together."""
    if request.executor == "local":
        if request.cwd_map:
            raise UsageError("--cwd-map is for jobs that run elsewhere: name an --executor, or leave it out")
        return
    from batchq.executors.afar import choosing, mapping

    mapping.pairs(request.cwd_map)
    choosing.check(request.executor)
    if duration("--lease", request.lease) < SHORTEST:
        raise UsageError(
            f"--lease {request.lease!r} is too short: places hear of the run once a second; write 2s or more"
        )
    duration("--reconnect", request.reconnect)


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
    """Make the executor. ``mark`` distinguishes this store from others, ``liveness`` this run from others of the store."""
    if request.executor == "local":
        if request.limit_processes is not None:
            machine.limit_processes(request.limit_processes)
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
    from batchq.executors.logs import Logs

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
        "mark": mark,
        "limit_processes": request.limit_processes,
    }
    files = None if logs is None else Logs(logs, logs, mark)
    return choosing.executor(request.executor, setup, inbox, listeners, files)
