"""The signs of life of a place: when it was heard, what it was asked, and what its silence means."""

import math
import time

ANSWER = 2.0  #: seconds that a place has to answer when the run is stopped
QUIET = 5.0  #: seconds without an answer after which the run says that it waits


class Pulse:
    """``lease`` is how many seconds of silence end the jobs there; 0: none do.

    It is asked now and then, and ``urgently`` when the run is stopped: ``answer_by`` is when that must have been answered.
    It ``is_mute`` if that was not; it ``is_quiet`` while people know that an answer is due.
    """

    def __init__(self, lease: float) -> None:
        self.answer_by = math.inf
        self.is_mute = self.is_quiet = False
        self._lease = lease
        self._heard_at = 0.0
        self._urgent_at = 0.0
        self._asked_at = math.inf  # since the last answer

    def hear(self) -> bool:
        """Note a message; return whether that is news for people."""
        self._heard_at = time.monotonic()
        self._asked_at = math.inf
        was_quiet, self.is_mute, self.is_quiet = self.is_quiet, False, False
        return was_quiet

    def restart(self) -> None:
        """Count silence from now on: nobody listened before, or somebody else will answer."""
        self.hear()

    def ask(self, *, urgently: bool = False) -> None:
        """Note a question."""
        now = time.monotonic()
        self._asked_at = min(self._asked_at, now)
        if urgently:
            self._urgent_at, self.answer_by = now, now + ANSWER

    def judge(self) -> bool:
        """Return whether the urgent question, whose time is over, was not answered."""
        self.answer_by = math.inf
        self.is_mute = self._heard_at < self._urgent_at
        return self.is_mute

    def quiet_at(self) -> float:
        """When it will have been quiet for so long that people must know, in monotonic seconds."""
        return math.inf if self.is_quiet else self._asked_at + QUIET

    def lost_at(self) -> float:
        """When it will have been silent for the time of its lease: its jobs are ended by then."""
        return self._heard_at + self._lease if self._lease else math.inf
