"""The attempts that a dead run left at a pool: whether surely none of them runs any more.

Nobody can ask the pool: its client died with the run. But the folder that the run and the workers shared is still there,
and a worker begins no attempt that was prevented in it.
"""

import time
from collections.abc import Collection

from batchq.executors.afar.fence import Fence
from batchq.processes import remains, scratch
from batchq.processes.remains import Marks

SETTLE = 0.6  #: seconds until the site of a dead worker has ended: it checks for its parent twice a second


class Abandoned:
    """Prevents the attempts that have not begun. ``cookie`` marks the dead run.

    If that run lives and only its bridge has died, the caller ``is_next``: the bridge in its place, which carries the same
    mark and has ended what else does.
    """

    def __init__(self, cookie: str, tokens: Collection[str], *, is_next: bool = False) -> None:
        self._bridge = f"{cookie}.0" if not is_next else f"{cookie}.former"  # which nothing carries
        self._tokens = tokens
        self._fences = [Fence(folder) for folder in scratch.found(cookie)]
        self._begun = {token for token in tokens if not any([fence.prevent(token) for fence in self._fences])}
        self._gone_at: float | None = None  # when none of their workers was there any more

    def is_over(self) -> bool:
        """Kill what is left on this machine, and return whether that was surely all.

        It is unknown if a worker of another machine has begun an attempt, if not all workers saw the folder, or if that was
        not one of this machine's: then only the lease helps.
        """
        if not self._fences or not all(fence.is_seen_by_all() for fence in self._fences):
            return False
        remains.end(Marks((), self._bridge, {}, lambda _: False))
        if not all(map(self._has_gone, self._fences)):
            self._gone_at = None
            return False
        if self._gone_at is None:
            self._gone_at = time.monotonic()
        if self._begun and time.monotonic() - self._gone_at < SETTLE:
            return False
        return not remains.end(Marks(self._tokens, self._bridge, {}, lambda _: False))

    def _has_gone(self, fence: Fence) -> bool:
        """Whether the workers that have begun attempts are gone; one that is about to note that has a moment."""
        return all(map(fence.is_abandoned, self._begun.intersection(fence.begun())))
