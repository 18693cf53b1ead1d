"""The pipes through which attempts print, reused for the next attempt unless a surviving process may still write there."""

import selectors

from batchq.processes.capture import Capture, Output
from batchq.processes.spawn import Refusal, machine_refusal


class Pipes:
    """Pairs of pipes, for stdout and stderr, which ``selector`` watches from the first use to ``discard``."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._free: list[tuple[Capture, Capture]] = []

    def take(self) -> tuple[Capture, Capture] | Refusal:
        """Take a pair for an attempt, or a worker; a refusal if no descriptor is left."""
        if self._free:
            return self._free.pop()
        opened: list[Capture] = []
        try:
            for stream in ("stdout", "stderr"):
                opened.append(Capture(stream))
        except OSError as error:
            for capture in opened:
                capture.close()
            return machine_refusal(error)
        for capture in opened:
            self._selector.register(capture.reader, selectors.EVENT_READ, capture)
        return opened[0], opened[1]

    def give_back(self, out: Output, err: Output) -> None:
        """Keep a pair for the next attempt. Files are closed with their attempt and not kept."""
        if isinstance(out, Capture) and isinstance(err, Capture):
            out.reset()
            err.reset()
            self._free.append((out, err))

    def discard(self, *outputs: Output) -> None:
        """Close pipes into which a surviving process may still write."""
        for output in outputs:
            if isinstance(output, Capture):
                self._selector.unregister(output.reader)
                output.close()

    def close(self) -> None:
        """Close the free pipes."""
        for pair in self._free:
            self.discard(*pair)
