"""The workers that have left a cluster, as its scheduler tells of them: one that was only stalled may still work.

The site next to it hears of nobody any more, and works on until its lease ends.
"""

import time
from collections.abc import Collection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def client(run: str) -> str:
    """Name the client of a run."""
    return f"batchq-{run}"


def may_be_at_work(run: str, tokens: Collection[str] | None, seconds: float, dask_scheduler: "Any") -> bool:
    """Whether a worker that left within the last ``seconds`` may have one of these attempts of a dead run; runs there.

    While the client of the run was connected, the scheduler knew what each worker had; later, or without ``tokens``, any
    worker may have some. The events are those of each worker, because of the others a busy run leaves only the newest.
    """
    since = time.time() - seconds
    events = dask_scheduler.get_events()
    known = None if tokens is None else {("batchq", token) for token in tokens}
    disconnected_at = max(_times(events, f"Client-{client(run)}-", "remove-client"), default=0.0)
    return any(
        known is None or at >= disconnected_at or not known.isdisjoint(message["processing-tasks"])
        for found in events.values()
        for at, message in found
        if _is(message, "remove-worker") and at >= since
    )


def _times(events: "dict[str, Any]", prefix: str, action: str) -> "list[float]":
    return [
        at
        for topic, found in events.items()
        if topic.startswith(prefix)
        for at, message in found
        if _is(message, action)
    ]


def _is(message: object, action: str) -> bool:
    return isinstance(message, dict) and message.get("action") == action
