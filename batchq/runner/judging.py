"""Matching the regular expressions of ``retry_on`` and ``no_retry_on`` against the output of failed attempts: before the
store is locked, and with a time limit.

Some expressions take practically for ever on some texts. CPython's engine checks for signals every few thousand steps
(``MAYBE_CHECK_SIGNALS`` in its ``sre_lib.h``), so Ctrl-C interrupts it, and so does the timer here.
"""

import signal
import time
from collections import Counter
from collections.abc import Sequence

from batchq.jobs import retrying
from batchq.jobs.attempt import Ended
from batchq.jobs.selection import in_words, merged
from batchq.notes import note
from batchq.store.file.connection import Store
from batchq.store.running import recording

LONGEST = 0.1  #: seconds for all rules of one attempt, and between two checks of the loop for signals
HURRY = 0.5  #: seconds for all attempts together if the run must end at once,
SHORTEST = 0.001  #: and at least this long for each: most expressions take far less
STRIKES = 20  #: attempts on which the same rules took too long before they are not tried on others
_TOO_LONG = "rules 'stderr:REGEX' take too long on its output, and count as not matched"


class _TimeIsUp(Exception):
    pass


def _end(_signal: int, _frame: object) -> None:
    raise _TimeIsUp


class Judge:
    """Matches the rules for one run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._warned: set[int] = set()

    def judge(self, ended: Sequence[Ended]) -> tuple[list[Ended], list[Ended]]:
        """The attempts, with ``matched`` filled in if their jobs have such rules; and those for which no time was left.

        A rule that takes too long counts as not matched, with one warning per job. Raises BusyError, LedgerError.
        """
        open_ones = [one for one in ended if retrying.needs_matching(one)]
        rules = recording.printed_rules(self._store, [one.claim.id for one in open_ones]) if open_ones else {}
        if not rules:
            return list(ended), []
        until = time.monotonic() + LONGEST
        done: list[Ended] = []
        later: list[Ended] = []
        is_first = True
        for one in ended:
            patterns = rules.get(one.claim.id)
            if not patterns or not retrying.needs_matching(one):
                done.append(one)
                continue
            left = until - time.monotonic()
            found = _found(patterns, one, left) if left > 0 else None
            if found is None and is_first:
                self._warn(one.claim.id)
                found = ()
            is_first = False
            if found is None:  # it had less time than the others; next time it comes first
                later.append(one)
            else:
                done.append(one._replace(outcome=one.outcome._replace(matched=found)))
        return done, later

    def judge_at_once(self, ended: Sequence[Ended]) -> list[Ended]:
        """All attempts judged, each in little time, for a run that must end. Raises BusyError, LedgerError."""
        open_ones = [one for one in ended if retrying.needs_matching(one)]
        rules = recording.printed_rules(self._store, [one.claim.id for one in open_ones]) if open_ones else {}
        limit = max(SHORTEST, HURRY / max(1, len(rules)))
        done: list[Ended] = []
        undecided: list[int] = []
        strikes: Counter[tuple[str, ...]] = Counter()
        for one in ended:
            patterns = rules.get(one.claim.id)
            if patterns is None or not retrying.needs_matching(one):
                done.append(one)
                continue
            rule = tuple(patterns)
            found = _found(patterns, one, limit) if strikes[rule] < STRIKES else None
            if found is None:
                strikes[rule] += 1
                undecided.append(one.claim.id)
            done.append(one._replace(outcome=one.outcome._replace(matched=found or ())))
        if undecided:
            ids = in_words(merged((job, job) for job in undecided))
            note(f"{'job' if len(undecided) == 1 else 'jobs'} {ids}: {_TOO_LONG}")
        return done

    def _warn(self, job: int) -> None:
        if job not in self._warned:
            self._warned.add(job)
            note(f"job {job}: {_TOO_LONG}")


def _found(patterns: Sequence[str], one: Ended, seconds: float) -> tuple[str, ...] | None:
    previous = signal.signal(signal.SIGALRM, _end)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            lines = retrying.lines(one.errors)
            return tuple(pattern for pattern in patterns if retrying.is_in(pattern, lines))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _TimeIsUp:
        return None
    finally:
        signal.signal(signal.SIGALRM, previous)
