"""``--tee``: what a job prints goes to stdout and stderr of the run, too, as it comes."""

import selectors
from collections.abc import Sequence

from batchq.executors.listener import Flow
from batchq.executors.outlet import Outlet, drain, trouble
from batchq.jobs.attempt import Claim
from batchq.processes.signals import Inbox
from batchq.store.running.recording import Settled

FULL = 256 * 1024  #: bytes that may wait for a slow reader; then the job's pipes are not read, and it has to wait, too


class Tee:
    """A listener that passes on what is printed to descriptors 1 and 2.

    A job whose output nobody reads waits as in a pipe of the shell; timeouts, signals and records do not.
    """

    def __init__(self) -> None:
        self._outlets: dict[str, Outlet] = {}
        self._flow: Flow | None = None

    def attach(self, selector: selectors.BaseSelector, flow: Flow) -> None:
        """Begin; ``selector`` is that of the loop, which brings the ``flow``."""
        self._flow = flow
        out, err = Outlet(1, selector, self._relax), Outlet(2, selector, self._relax)
        if out.identity == err.identity:  # 2>&1: else pieces of lines would change places when the reader is slow
            err = out
        self._outlets = {"stdout": out, "stderr": err}

    def claimed(self, claims: Sequence[Claim]) -> None:
        """See attempts that will start, in this order; they print when they do."""

    def settled(self, settled: Sequence[Settled]) -> None:
        """See attempts that have ended, also those that never began."""

    def printed(self, claim: Claim, stream: str, data: bytes) -> None:
        """Pass it on."""
        self._outlets[stream].write(data)
        if self._flow is not None and len(self._outlets[stream].waiting) >= FULL:
            self._flow.hold()

    def ended(self, claim: Claim) -> None:
        """Nothing more will come of this attempt; the next one prints to the same places."""

    def _relax(self) -> None:
        if self._flow is not None and all(len(one.waiting) < FULL for one in self._outlets.values()):
            self._flow.resume()

    def drain(self, inbox: Inbox) -> None:
        """Wait until the readers have taken everything, or a signal comes."""
        drain(self._outlets.values(), inbox)

    def trouble(self) -> OSError | None:
        """Why some of it could not be written; None if all was, or if its reader has gone."""
        return trouble(self._outlets.values())

    def shown(self) -> frozenset[str]:
        """The streams that a reader of stderr has got whole, of which nothing needs to be repeated there."""
        there = self._outlets.get("stderr")
        same = [(name, one) for name, one in self._outlets.items() if there and one.identity == there.identity]
        return frozenset(name for name, one in same if one.error is None and not one.waiting)
