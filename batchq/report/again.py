"""Exact commands: each names the jobs that were reported and no others, today and after another add.

Text is kept, in mails and files. So a command has ids, ranges of ids and causes, and never ``last``, which is another
add tomorrow, nor a ``--failed`` that takes more jobs than were reported.
"""

import shlex
from collections.abc import Iterable, Sequence

from batchq import clock
from batchq.jobs.selection import Range, Selection, in_words, merged
from batchq.report.program import program
from batchq.store.file.connection import Store
from batchq.store.looking import causes, tallies

SHORT = 60  #: characters of ids that read better than a range and a cause
LONG = 800  #: a mail line may have 998 bytes (RFC 5322); a longer list of ids would be broken
_A_WORD = 1_000  # ranges of ids
MOST_CAUSES = 5  #: more causes than that are harder to read than ids


class Failed:
    """The failed jobs of a selection, for which commands are needed; ``ids`` are all of them, and at least one."""

    def __init__(self, store: Store, selection: Selection, ids: Sequence[Range], db: str | None = None) -> None:
        self._store = store
        self._selection = selection
        self._ids = tuple(ids)
        self._jobs = _count(self._ids)
        self._program = program(db)
        self._range = _enclosing(selection, self._ids)
        self._counted: dict[str, dict[str, int]] = {}
        self._is_whole = self._are_all_reported()
        # While others of the range may still fail, a list of ids is better, unless it is very long.
        self._readable = LONG if tallies.is_any_open(store, *self._range) else SHORT

    def all(self, verb: str = "retry") -> str:
        """The command that takes all of them."""
        return f"{self._program} {verb} {self._all()}"

    def some(self, ids: Sequence[Range], of_causes: Sequence[str]) -> str:
        """The command that retries ``ids``: all that failed for these causes. Without causes they are named by ids."""
        return f"{self._program} retry {self._some(ids, of_causes)}"

    def _all(self) -> str:
        listed = in_words(self._ids)
        if len(listed) <= self._readable:
            return listed
        if self._is_whole or sum(self._in_range("failed").values()) == self._jobs:
            return f"{in_words([self._range])} --failed"
        return self._narrowed(self._ids, ())

    def _some(self, ids: Sequence[Range], of_causes: Sequence[str]) -> str:
        jobs, listed = _count(ids), in_words(ids)
        if jobs == self._jobs and not 0 < len(of_causes) <= MOST_CAUSES:
            return self._all()
        if len(listed) <= (LONG if len(of_causes) > MOST_CAUSES else self._readable):
            return listed
        named = ",".join(of_causes)
        is_exact = self._is_whole or sum(self._in_range("failed").get(cause, 0) for cause in of_causes) == jobs
        if named and is_exact and len(named) <= LONG:
            # A retry also takes jobs that were cancelled after a failure of this cause.
            also = " --failed" if any(cause in self._in_range("cancelled") for cause in of_causes) else ""
            return f"{in_words([self._range])} --cause {named}{also}"
        return self._narrowed(ids, of_causes)

    def _narrowed(self, ids: Sequence[Range], of_causes: Sequence[str]) -> str:
        """A range that has no other failed job; or the filters of the report itself, within the same ids; or the ids."""
        listed = in_words(ids)
        within = (ids[0][0], ids[-1][1])
        if len(listed) > LONG and self._is_whole and _count(_cut(self._ids, within)) == _count(ids):
            return f"{in_words([within])} --failed"
        own = self._selection.ranges
        narrowed = self._selection.within(own or (self._range,))._replace(
            causes=tuple(of_causes) or self._selection.causes
        )
        words = failed_of(narrowed)
        are_exact = bool(of_causes) or _count(ids) == self._jobs
        if are_exact and self._readable < len(listed) and len(words) < min(len(listed), LONG):
            return words
        return _listed(ids)

    def _are_all_reported(self) -> bool:
        """Whether these are all failed jobs of the range, as is known without looking at each."""
        if sum(tallies.counts(self._store, Selection(states=("failed",))).values()) == self._jobs:
            return True
        own = self._selection.ranges
        is_plain = self._selection.within(())._replace(everything=False).is_empty
        return is_plain and own in ((), (self._range,))

    def _in_range(self, state: str) -> dict[str, int]:
        if state not in self._counted and not tallies.counts(self._store, Selection(states=(state,))):
            self._counted[state] = {}
        if state not in self._counted:
            self._counted[state] = causes.of_range(self._store, *self._range, state)
        return self._counted[state]


def failed_of(selection: Selection) -> str:
    """The arguments that choose the failed jobs of a selection: ``1-500 --batch night --failed``."""
    words = [ids] if (ids := in_words(merged(selection.ranges))) else []
    for option, value in (
        ("--batch", selection.batch),
        ("--queue", selection.queue),
        ("--name", selection.name),
        ("--since", clock.iso(selection.since)),
        ("--cause", ",".join(selection.causes) or None),
        ("--run", str(selection.run) if selection.run else None),
        *(("--tag", tag) for tag in selection.tags),
        ("--grep", selection.grep),
    ):
        if value is not None:
            words += [f"{option}={value}"] if value.startswith("-") else [option, value]
    return shlex.join([*words, "--failed"])


def ids_of(jobs: Iterable[int]) -> tuple[Range, ...]:
    """These ids as ranges."""
    return tuple(merged((job, job) for job in jobs))


def _enclosing(selection: Selection, ids: tuple[Range, ...]) -> Range:
    """The range of ids that a command names: that of the selection if it has one, such as an add, else of the jobs."""
    own = selection.ranges
    first, last = ids[0][0], ids[-1][1]
    return own[0] if len(own) == 1 and own[0][0] <= first and last <= own[0][1] else (first, last)


def _listed(ids: Sequence[Range]) -> str:
    """The ids as words of a command: several if they are very many, because a word must not be longer than 128 KiB."""
    return " ".join(in_words(ids[start : start + _A_WORD]) for start in range(0, len(ids), _A_WORD))


def _cut(ids: Iterable[Range], within: Range) -> list[Range]:
    """The part of the ids that is within a range."""
    return [(max(low, within[0]), min(high, within[1])) for low, high in ids if low <= within[1] and within[0] <= high]


def _count(ids: Iterable[Range]) -> int:
    return sum(high - low + 1 for low, high in ids)
