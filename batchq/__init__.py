"""batchq: the batch runner for crontabs and shell scripts. One SQLite file, no daemon, truthful exit codes.

Importing this package imports nothing else, so that ``batchq add`` starts in the time of bare Python; what it offers is
imported when it is first asked for.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.context import Context, Discard, Retry, current_job

__all__ = ["Context", "Discard", "Retry", "current_job"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from batchq import context

        return getattr(context, name)
    raise AttributeError(f"module 'batchq' has no attribute {name!r}")
