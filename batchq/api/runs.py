"""``batchq.run``: the command ``batchq run``, started from Python as a child process."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from batchq import errors
from batchq.api.options import plain
from batchq.api.stores import Store
from batchq.api.using import around, open_with_warnings
from batchq.processes.offspring import run_to_end

if TYPE_CHECKING:
    from batchq.api.options import Duration, Path

_ORDERLY = (0, 1, 3, 129, 130, 131, 143)  #: exit codes of a run that reported its jobs; any other is an error


class RunResult(NamedTuple):
    """How a run went.

    ``status`` is its exit code: 0 if all went well or there was nothing to do; 1 if a job failed or batchq put one on
    hold, or ``halt`` ended the run; 3 if a process of a dead run is, or may be, still alive; 129, 130, 131 or 143 if
    a signal stopped it. ``failed`` has the ids of the jobs that failed, ``held_by_batchq`` of those that batchq put on
    hold during the run. ``stopped_at`` is the option that ended the run with work left (``--max-jobs``, ``--max-time``,
    ``--halt``), else None. ``succeeded``, ``retried``, ``interrupted`` and ``rescued`` are counts, as in ``batchq run
    --json``.
    """

    status: int
    succeeded: int
    failed: tuple[int, ...]
    retried: int
    interrupted: int
    rescued: int
    stopped_at: str | None
    held_by_batchq: tuple[int, ...] = ()


def run(
    store: "Store | Path | None" = None,
    *,
    slots: int | str | None = None,
    queue: str | None = None,
    batch: str | None = None,
    max_jobs: int | None = None,
    max_time: "Duration | None" = None,
    halt: str | None = None,
    if_running: str | None = None,
    watch: bool = False,
    executor: str | None = None,
    lease: "Duration | None" = None,
    reconnect: "Duration | None" = None,
    executor_folder: "Path | None" = None,
    cwd_map: "Mapping[str, str] | None" = None,
    perform: str | None = None,
    events: "Path | None" = None,
    handler: str | Iterable[str] = (),
    grace: "Duration | None" = None,
    log_dir: "Path | None" = None,
    worker_jobs: int | None = None,
    limit_processes: int | None = None,
    mail_on: str | None = None,
    notify: str | None = None,
    quiet: bool = False,
    verbose: bool = False,
) -> RunResult:
    """Run the jobs of a store until none is left to run, as ``batchq run`` does; wait for it and return how it went.

    A job that fails is not an exception: look at ``status`` and ``failed`` of the result.

    store             an open store, a path, or None for that of the enclosing ``with batchq.open(…)`` block, without one
                      the store that the command line would use; it must exist
    slots             jobs at once: 0 or None for one on each core, "50%" for half of them
    queue, batch      only the jobs of these
    max_jobs          stop after that many starts
    max_time          stop after that time
    halt              "soon" or "now" when a job has failed, as --halt
    if_running        if another run is at work: "join" (the default), "skip", "fail", "wait" or "wait=60s"
    watch             stay, and run new jobs as soon as they are added
    executor          where jobs run: "local" (the default), "ssh:HOST,HOST", "dask:ADDRESS" …, as --executor
    lease             how long jobs elsewhere go on when they hear nothing of the run
    reconnect         how long to wait for a scheduler of Dask that is gone
    executor_folder   a folder that the workers of a pool share with this machine
    cwd_map           paths of folders where the jobs run, by their paths here, as --cwd-map
    perform           the "module:function" that performs payload jobs
    events            a file to which events are appended
    handler           one or more "module:function" that are called with each event
    grace             how long jobs may take to finish when the run is stopped
    log_dir           a folder for all output
    worker_jobs       replace a worker after that many callables
    limit_processes   how many processes your user may have during the run
    mail_on           when failures are printed: "failure" (the default), or "change" since last time
    notify            a URL or command to notify at the end, instead of the one that is stored; "" for none
    quiet, verbose    print nothing but errors of batchq itself; print more

    Durations are seconds, texts such as "5m", or timedeltas. None is the default of the command.

    The run is a child process that prints to this process's stderr. An exception that ends the wait, such as
    KeyboardInterrupt, first stops the run in an orderly way; a second one kills its jobs. If this process is killed, the
    run stops, too (Linux).

    Raises MissingError if there is no store, UsageError for a wrong option, and for any other exit code the error in
    ``batchq.errors`` that has it; the reason is on stderr.
    """
    store = around() if store is None else store
    if not isinstance(store, Store):
        with open_with_warnings(store, create=False, stacklevel=3) as opened:
            path = opened.path
    else:
        path = store.path
    if events is not None and os.fsdecode(events) == "-":
        raise errors.UsageError("events cannot go to stdout from Python: name a file")
    given = plain({
        "--jobs": slots, "--queue": queue, "--batch": batch, "--max-jobs": max_jobs, "--max-time": max_time,
        "--halt": halt, "--if-running": if_running, "--executor": executor, "--lease": lease,
        "--reconnect": reconnect, "--executor-folder": executor_folder, "--perform": perform,
        "--events": events, "--grace": grace,
        "--log-dir": log_dir, "--worker-jobs": worker_jobs, "--limit-processes": limit_processes,
        "--mail-on": mail_on, "--notify": notify,
    })  # fmt: skip
    words = [f"{option}={value}" for option, value in given.items() if value is not None]
    words += [f"--handler={target}" for target in ([handler] if isinstance(handler, str) else handler)]
    words += [f"--cwd-map={here}={there}" for here, there in (cwd_map or {}).items()]
    words += ["--watch"] * watch + ["--quiet"] * quiet + ["--verbose"] * verbose
    return _result(*run_to_end(["run", f"--db={path}", "--json", *words]))


def _result(status: int, printed: bytes) -> RunResult:
    if status in _ORDERLY and printed:
        facts = json.loads(printed)
        lists = {name: tuple(facts[name]) for name in ("failed", "held_by_batchq")}
        return RunResult(**{name: facts[name] for name in RunResult._fields} | lists)
    if status < 0:
        raise errors.BatchqError(f"batchq run was killed by signal {-status}")
    kinds = {kind.exit_code: kind for kind in reversed(errors.BatchqError.__subclasses__())}
    raise kinds.get(status, errors.BatchqError)(f"batchq run ended with exit code {status}; the reason is on stderr")
