"""The pipes through which attempts print, reused for the next attempt unless a surviving process may still write there."""

import selectors

from batchq.processes import machine
from batchq.processes.capture import Output, Piped
from batchq.processes.spawn import Refusal, machine_refusal

_ROOMY, _ROOMY_SLOT = (
    64,
    20,
)  #: descriptors, in all and for each slot, from which a pair gets one that it can do without


class Pipes:
    """Pairs of pipes, for stdout and stderr, which ``selector`` watches from the first use to ``discard``."""

    def __init__(self, selector: selectors.BaseSelector, slots: int) -> None:
        self._selector = selector
        self._is_roomy = machine.free_descriptors() > _ROOMY + _ROOMY_SLOT * slots
        self._free: list[Piped] = []
        self._open: set[Piped] = set()
        self._is_held = False

    def take(self) -> Piped | Refusal:
        """Take a pair for an attempt, or a worker; a refusal if no descriptor is left."""
        if self._free:
            return self._free.pop()
        try:
            piped = Piped(knows_first=self._is_roomy)
        except OSError as error:
            return machine_refusal(error)
        self._open.add(piped)
        if not self._is_held:
            self._register(piped)
        return piped

    def give_back(self, output: Output) -> None:
        """Keep a pair for the next attempt. Files are closed with their attempt and not kept."""
        if isinstance(output, Piped):
            output.reset()
            self._free.append(output)

    def discard(self, output: Output) -> None:
        """Close pipes into which a surviving process may still write."""
        if isinstance(output, Piped):
            self._open.discard(output)
            if not self._is_held:
                self._unregister(output)
            output.close()

    def hold(self) -> None:
        """Stop reading: what prints has to wait when its pipe is full."""
        if not self._is_held:
            self._is_held = True
            for piped in self._open:
                self._unregister(piped)

    def resume(self) -> None:
        """Read again."""
        if self._is_held:
            self._is_held = False
            for piped in self._open:
                self._register(piped)

    def close(self) -> None:
        """Close the free pipes."""
        for piped in self._free:
            self.discard(piped)
        self._is_held = False

    def _register(self, piped: Piped) -> None:
        for reader in piped.readers:
            self._selector.register(reader, selectors.EVENT_READ, piped)

    def _unregister(self, piped: Piped) -> None:
        for reader in piped.readers:
            self._selector.unregister(reader)
