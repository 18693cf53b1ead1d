"""Handlers, mask and timers of signals, and signals that are pending.

Reading all of them takes as long as many a callable. So the functions that change one record it; they are replaced in
``_signal``, from which ``signal`` copies them when it is imported. What C can change without them is reset once
``ctypes`` is loaded.
"""

import _signal  # type: ignore[import-not-found]  # signal makes enums of all results, and a job that imports it is noticed
import sys
from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NUMBERS = tuple(sorted(_signal.valid_signals()))
_TIMERS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)
_CHANGING = ("signal", "siginterrupt", "pthread_sigmask", "setitimer", "alarm", "set_wakeup_fd")
_set, _mask, _set_timer, _set_wakeup = (
    _signal.signal, _signal.pthread_sigmask, _signal.setitimer, _signal.set_wakeup_fd
)  # fmt: skip


class Handlers:
    """The state of signals: ``reset`` after each call; ``look`` and ``adopt`` around an import."""

    def __init__(self) -> None:
        self._is_touched = False
        for name in _CHANGING:
            self._record_calls(name)
        self._handlers, self._blocked, self._wakeup = _now()

    def _record_calls(self, name: str) -> None:
        function: Callable[..., Any] | None = getattr(_signal, name, None)
        if function is None:
            return

        @wraps(function)
        def recorded(*words: "Any", **named: "Any") -> "Any":
            self._is_touched = True
            return function(*words, **named)

        setattr(_signal, name, recorded)
        signal = sys.modules.get("signal")
        if signal is not None and getattr(signal, name) is function:
            setattr(signal, name, recorded)

    def look(self) -> "Any":
        """Return the current state, for ``adopt``."""
        return _now()

    def adopt(self, before: "Any") -> None:
        """Keep what has changed since ``before``."""
        handlers, blocked, wakeup = _now()
        if handlers != before[0]:
            pairs = zip(self._handlers, before[0], handlers, strict=True)
            self._handlers = tuple(known if was == now else now for known, was, now in pairs)
        if blocked != before[1]:
            self._blocked = blocked
        if wakeup != before[2]:
            self._wakeup = wakeup

    def reset(self) -> bool:
        """Reset all of it; return whether that was possible."""
        if not self._is_touched and "ctypes" not in sys.modules:
            return True
        is_whole = not self._is_touched or self._reset_handlers()
        for timer in _TIMERS:
            _set_timer(timer, 0)
        # A pending signal that a callable had blocked would now kill the process: take it from the queue.
        while come := _signal.sigpending() - self._blocked:
            for number in come:
                _signal.sigtimedwait((number,), 0)
        _mask(_signal.SIG_SETMASK, self._blocked)
        self._is_touched = False
        return is_whole

    def _reset_handlers(self) -> bool:
        _wake_up(self._wakeup)
        is_whole = True
        for number, handler in zip(_NUMBERS, self._handlers, strict=True):
            if (
                callable(handler) or _signal.getsignal(number) != handler
            ):  # set again, in case siginterrupt(3) changed it
                if handler is None:  # not set by Python, so Python cannot restore it
                    is_whole = False
                else:
                    _set(number, handler)
        return is_whole


def _now() -> "tuple[tuple[Any, ...], Any, int]":
    wakeup = _set_wakeup(-1)
    _wake_up(wakeup)
    return tuple(map(_signal.getsignal, _NUMBERS)), _mask(_signal.SIG_BLOCK, ()), wakeup


def _wake_up(fd: int) -> None:
    try:
        _set_wakeup(fd, warn_on_full_buffer=False)
    except (OSError, ValueError):  # the descriptor has been closed
        _set_wakeup(-1)
