"""Listeners: they receive what attempts print while the attempts run."""

from batchq.jobs.attempt import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    import selectors
    from collections.abc import Sequence
    from typing import Protocol
else:
    Protocol = object


class Flow(Protocol):
    """What jobs print, until it reaches the listeners."""

    def hold(self) -> None:
        """Stop reading: jobs that print have to wait."""

    def resume(self) -> None:
        """Read again."""


class Listener(Protocol):
    """A receiver of the output of all attempts, called in the runner's one thread: it must neither wait nor raise.

    One that passes output on, and may have to wait for a reader, has a method ``attach(selector, flow)``: it is called
    once, with the selector of the executor's loop, and with what it may ``hold`` and ``resume``.

    With a listener each callable gets a message of its own, so that its output goes through the pipes while it runs. The
    output of a job with ``leftovers = "keep"`` goes to files and comes about once a second.
    """

    def printed(self, claim: Claim, stream: str, data: bytes) -> None:
        """Take what an attempt has just printed to ``stdout`` or ``stderr``, in the order of reading."""

    def ended(self, claim: Claim) -> None:
        """Note that nothing more will come of an attempt, which is reported as ended only after this."""


def attach(listeners: "Sequence[Listener]", selector: "selectors.BaseSelector", flow: Flow) -> None:
    """Attach those listeners that pass output on to the loop of their executor."""
    for one in listeners:
        if hasattr(one, "attach"):
            one.attach(selector, flow)


class Relay:
    """The sink of one attempt that passes everything on to a listener."""

    def __init__(self, listener: Listener, claim: Claim) -> None:
        self._listener = listener
        self._claim = claim

    def write(self, stream: str, data: memoryview) -> None:
        """Pass it on."""
        self._listener.printed(self._claim, stream, bytes(data))

    def close(self) -> None:
        """Report the end of the output."""
        self._listener.ended(self._claim)

    def discard(self) -> None:
        """Report nothing about an attempt that did not begin."""
