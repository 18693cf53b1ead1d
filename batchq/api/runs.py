"""``batchq.run``: the command ``batchq run``, started from Python as a process of its own."""

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from batchq import errors
from batchq.api.options import plain
from batchq.api.stores import Store, open_with_warnings
from batchq.processes.offspring import run_to_end

if TYPE_CHECKING:
    from batchq.api.options import Duration, Path

_TOLD = (0, 1, 3, 129, 130, 131, 143)  #: exit codes of a run that did what it was told; any other is an error


class RunResult(NamedTuple):
    """How a run went. ``status`` is its exit code: 0 all went well, 1 a job ended failed or was put on hold by batchq,
    3 something was not run that should have been, 129, 130, 131 or 143 a signal stopped it. ``failed`` are the ids of the
    jobs that ended failed, ``held_by_batchq`` of those that batchq put on hold meanwhile, ``stopped_at`` the option that
    ended it with work left (``--max-jobs``, ``--max-time``, ``--halt``); the rest are numbers of jobs, as in
    ``batchq run --json``."""

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
    perform: str | None = None,
    events: "Path | None" = None,
    handler: str | Iterable[str] = (),
    grace: "Duration | None" = None,
    log_dir: "Path | None" = None,
    worker_jobs: int | None = None,
    limit_processes: int | None = None,
    quiet: bool = False,
    verbose: bool = False,
) -> RunResult:
    """Run what is claimable until nothing is left, as ``batchq run`` does, and wait for it.

    ``store`` is an open one, a path, or None for the usual lookup. ``slots`` is ``-j``: jobs at once, ``0`` or None one
    for each core, ``"50%"`` half of them. The rest are the options of the command.

    The run is a child process with this one's stderr. An exception that ends the wait, such as KeyboardInterrupt, stops
    the run in order before it goes on; where this process is killed, the run stops, too (Linux). Raises the error of
    ``batchq.errors`` that belongs to the exit code when the run could not be done; why is on stderr.
    """
    if not isinstance(store, Store):
        with open_with_warnings(store, create=False, stacklevel=3) as opened:
            path = opened.path
    else:
        path = store.path
    if events is not None and os.fsdecode(events) == "-":
        raise errors.UsageError("events cannot go to stdout from Python: name a file")
    given = plain({
        "--jobs": slots, "--queue": queue, "--batch": batch, "--max-jobs": max_jobs, "--max-time": max_time,
        "--halt": halt, "--if-running": if_running, "--perform": perform, "--events": events, "--grace": grace,
        "--log-dir": log_dir, "--worker-jobs": worker_jobs, "--limit-processes": limit_processes,
    })  # fmt: skip
    words = [f"{option}={value}" for option, value in given.items() if value is not None]
    words += [f"--handler={target}" for target in ([handler] if isinstance(handler, str) else handler)]
    words += ["--watch"] * watch + ["--quiet"] * quiet + ["--verbose"] * verbose
    return _result(*run_to_end(["run", f"--db={path}", "--json", *words]))


def _result(status: int, printed: bytes) -> RunResult:
    if status in _TOLD and printed:
        facts = json.loads(printed)
        lists = {name: tuple(facts[name]) for name in ("failed", "held_by_batchq")}
        return RunResult(**{name: facts[name] for name in RunResult._fields} | lists)
    if status < 0:
        raise errors.BatchqError(f"batchq run was killed by signal {-status}")
    kinds = {kind.exit_code: kind for kind in reversed(errors.BatchqError.__subclasses__())}
    raise kinds.get(status, errors.BatchqError)(f"batchq run ended with exit code {status}; it has said why on stderr")
