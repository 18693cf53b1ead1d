"""Searching lines for a regular expression, with a time limit: some expressions take practically for ever on some lines.

CPython's engine checks for signals every few thousand steps (``MAYBE_CHECK_SIGNALS`` in its ``sre_lib.h``), so a timer ends
it. The timer counts the processor time of this process: a busy machine does not make an expression too slow.
"""

import re
import signal
import warnings

from batchq.errors import UsageError

LONGEST = 1.0  #: seconds of processor time for one line, at least, and at most twice as much


class Pattern:
    """A regular expression of a command line, used inside its block. Raises UsageError if it is wrong."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._line = self._line_before = 0
        self._is_searching = False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._search = re.compile(text).search
        except (re.error, RecursionError, OverflowError) as error:
            raise UsageError(f"--grep: {text!r} is not a regular expression: {error}") from None

    def __enter__(self) -> "Pattern":
        signal.signal(signal.SIGVTALRM, self._tick)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGVTALRM])
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST, LONGEST)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)

    def is_in(self, line: bytes, job: int) -> bool:
        """Whether it is found in a line of a job. Raises UsageError if that takes too long."""
        text = line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
        try:
            try:
                self._line += 1
                self._is_searching = True
                return self._search(text) is not None
            finally:
                self._is_searching = False
        except _TimeIsUp:
            raise UsageError(
                f"--grep: {self.text!r} takes too long on a line of job {job};"
                " it may have a repetition of repetitions, as in (a+)+"
            ) from None

    def _tick(self, _signal: int, _frame: object) -> None:
        if self._is_searching and self._line == self._line_before:
            raise _TimeIsUp
        self._line_before = self._line


class _TimeIsUp(Exception):
    pass
