"""A blocking call with a deadline: SIGALRM ends it, from an interval timer that is set only while the call blocks."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Interrupted = Callable[[], bool] | None

TICK = 0.1  #: seconds between two checks whether the wait was interrupted


class Wait:
    """One wait for a lock: at most ``seconds``, or until ``interrupted()``. It owns the alarm while it blocks.

    Where the alarm cannot be used (in another thread, or where the caller's own is set, which must ring in time) it
    polls. Whether it was interrupted may be asked at any time.
    """

    def __init__(self, seconds: float, interrupted: "Interrupted") -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._interrupted = interrupted
        self._is_open = True

    def take(self, lock: "Callable[[], object]", try_lock: "Callable[[], bool]", unlock: "Callable[[], None]") -> bool:
        """Take the lock; False if the wait ended first. If it raises or returns False, nothing is locked."""
        import signal  # 1.4 ms, which an add that need not wait does not pay

        is_taken = signal.getitimer(signal.ITIMER_REAL)[0] > 0
        try:
            previous = None if is_taken else signal.signal(signal.SIGALRM, self._check)
        except ValueError:
            is_taken = True
        if is_taken:
            return self._poll(try_lock)
        first = max(0.001, min(TICK, self._seconds) if self._interrupted else self._seconds)
        blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])  # it may be blocked by our parent
        try:
            signal.setitimer(signal.ITIMER_REAL, first, TICK)  # inside the block: it may ring before the next line
            lock()
            self._is_open = False
            return True
        except BaseException as error:
            self._is_open = False
            unlock()  # the alarm may have come after the lock and before the wait was closed
            if isinstance(error, _WaitIsOver):
                return False
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if previous is None else previous)

    def was_interrupted(self) -> bool:
        """Whether the caller wants the wait to end before its deadline."""
        return self._interrupted is not None and self._interrupted()

    def _poll(self, try_lock: "Callable[[], bool]") -> bool:
        while not try_lock():
            if self._is_over():
                return False
            time.sleep(0.001)
        return True

    def _is_over(self) -> bool:
        return time.monotonic() >= self._deadline or self.was_interrupted()

    def _check(self, _signal: int, _frame: object) -> None:
        """Handle the alarm: raise once at most, and only while the wait is open."""
        if self._is_open and self._is_over():
            self._is_open = False
            raise _WaitIsOver


class _WaitIsOver(Exception):
    pass
