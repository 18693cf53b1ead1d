"""What a site says of the output of its attempts, while they print it; ``hearing`` is the other end."""

import selectors

from batchq.executors.afar import protocol
from batchq.executors.listener import Flow
from batchq.jobs.attempt import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.processes.link import Message


class Saying:
    """A listener that keeps messages until they are taken. ``is_held``: the run does not take what attempts print."""

    def __init__(self) -> None:
        self.is_held = False
        self._messages: list[Message] = []
        self._flow: Flow | None = None

    def attach(self, selector: selectors.BaseSelector, flow: Flow) -> None:
        """Be able to hold what attempts print."""
        self._flow = flow

    def printed(self, claim: Claim, stream: str, data: bytes) -> None:
        """Say what an attempt has just printed."""
        self._messages.append(protocol.piece(claim, stream, data))

    def ended(self, claim: Claim) -> None:
        """Say that nothing more comes of an attempt."""
        self._messages.append(["silent", claim.token])

    def take(self) -> "list[Message]":
        """Return the messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def hold_back(self, *, is_full: bool) -> None:
        """Let the attempts wait that print, while the run or the connection, which ``is_full``, does not take it."""
        if self._flow is not None:
            if self.is_held or is_full:
                self._flow.hold()
            else:
                self._flow.resume()
