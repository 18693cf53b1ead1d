"""batchq: the batch runner for crontabs and shell scripts. One SQLite file, no daemon, truthful exit codes.

Importing this package imports nothing else, so that ``batchq add`` starts as fast as bare Python. Its names are imported
when they are first used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq import errors
    from batchq.api.found import JobInfo, Logs
    from batchq.api.functions import Job, job
    from batchq.api.mapping import Jobs, map
    from batchq.api.runs import RunResult, run
    from batchq.api.stores import Store
    from batchq.api.using import open
    from batchq.api.waiting import Waited
    from batchq.context import Context, Discard, ParentJob, Retry, Snooze, current_job, parents
    from batchq.errors import BatchqError
    from batchq.store.changing.control import Changed

__all__ = [
    "BatchqError",
    "Changed",
    "Context",
    "Discard",
    "Job",
    "JobInfo",
    "Jobs",
    "Logs",
    "ParentJob",
    "Retry",
    "RunResult",
    "Snooze",
    "Store",
    "Waited",
    "current_job",
    "errors",
    "job",
    "map",
    "open",
    "parents",
    "run",
]

_HOMES = {
    "batchq.api.functions": ("Job", "job"),
    "batchq.api.found": ("JobInfo", "Logs"),
    "batchq.api.mapping": ("Jobs", "map"),
    "batchq.api.runs": ("RunResult", "run"),
    "batchq.api.stores": ("Store",),
    "batchq.api.using": ("open",),
    "batchq.api.waiting": ("Waited",),
    "batchq.context": ("Context", "Discard", "ParentJob", "Retry", "Snooze", "current_job", "parents"),
    "batchq.errors": ("BatchqError",),
    "batchq.store.changing.control": ("Changed",),
}


def __getattr__(name: str) -> object:
    if name == "errors":
        import batchq.errors as found

        return found
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(__import__(home, fromlist=[name]), name)
            return value
    raise AttributeError(f"module 'batchq' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
