"""Which jobs a command means: ids, ranges, ``last``, patterns of names, and filters that narrow them. Values only, no
store."""

import re
from collections.abc import Iterable, Iterator, Sequence

from batchq import clock
from batchq.errors import UsageError
from batchq.jobs.lifecycle import STATES
from batchq.jobs.work import did_you_mean
from batchq.named import NamedTuple

Range = tuple[int, int]

NO_JOB: tuple[Range, ...] = ((0, 0),)  #: ids begin with 1
LAST_RUN = 0  #: the newest run; runs begin with 1

_PIECE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")  # 18 digits: always fits an SQLite rowid
_WILD = re.compile(r"[*?\[]")
_RUN = re.compile(r"[1-9][0-9]{0,17}")
_CAUSE = re.compile(r"[0-9a-f]{8}")


class Selection(NamedTuple):
    """The chosen jobs: those of ``ids``, of the ``last`` add, or with a name like one of ``globs`` (any job if none of
    these is given) that pass the filters.

    ``meant`` are the jobs of the last add and of the globs once a command has looked them up: it means these to its end.
    ``ids`` are sorted, disjoint ranges, both ends included. ``name`` is a glob (``*``, ``?``, ``[…]``) and case counts.
    ``since`` is in milliseconds since 1970 and keeps jobs that were added, started or ended after it, or run now.
    ``everything`` filters nothing: it states that every job is meant. ``causes`` are ids of causes, and keep jobs
    whose last attempt failed for one of them. ``run`` keeps jobs whose last attempt that run made or makes; ``ran`` are
    these jobs once a command has looked them up. ``tags`` keeps jobs that have all of these tags, ``grep`` those whose
    command or name contains the text, in which case counts.
    """

    ids: tuple[Range, ...] = ()
    last: bool = False
    batch: str | None = None
    queue: str | None = None
    states: tuple[str, ...] = ()
    name: str | None = None
    since: int | None = None
    everything: bool = False
    meant: tuple[Range, ...] | None = None
    causes: tuple[str, ...] = ()
    run: int | None = None
    ran: tuple[Range, ...] | None = None
    tags: tuple[str, ...] = ()
    grep: str | None = None
    globs: tuple[str, ...] = ()

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The ids of the words: those that are written there, and those that were looked up."""
        return self.ids + (self.meant or ())

    @property
    def is_open(self) -> bool:
        """Whether some words have not been looked up."""
        return self.meant is None and bool(self.last or self.globs)

    def within(self, ids: tuple[Range, ...]) -> "Selection":
        """Return the jobs with these ids that pass the filters."""
        return self._replace(ids=ids, last=False, globs=(), meant=None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was chosen: for reading that means every job, and changing must refuse."""
        return self == Selection()

    def in_state(self, state: str) -> "Selection":
        """Return the selected jobs in this state; no job if ``states`` excludes it."""
        if self.states and state not in self.states:
            return Selection(NO_JOB)
        return self._replace(states=(state,))

    def in_states(self, states: tuple[str, ...]) -> "Selection":
        """Return the selected jobs in one of these states."""
        both = tuple(state for state in states if not self.states or state in self.states)
        return self._replace(states=both) if both else Selection(NO_JOB)


def parse(
    words: Sequence[str],
    *,
    batch: str | None = None,
    queue: str | None = None,
    states: Sequence[str] = (),
    failed: bool = False,
    running: bool = False,
    name: str | None = None,
    everything: bool = False,
    since: str | None = None,
    causes: Sequence[str] = (),
    run: str | None = None,
    tags: Sequence[str] = (),
    grep: str | None = None,
) -> Selection:
    """Return the selection of a command line: ``words`` are ids and ranges (``1-5,9``), ``last``, and globs (``load-*``).

    Each of ``states`` and ``causes`` may hold several, separated by commas; ``failed`` and ``running`` add that state.
    ``since`` is a duration ago or a time (see ``clock.since``). ``run`` is the number of a run, or ``last``.
    Raises UsageError; an empty string is refused and never means every job, because that is what an unset shell variable
    gives.
    """
    for option, value in (
        ("--batch", batch), ("--queue", queue), ("--name", name), ("--since", since), ("--run", run), ("--grep", grep),
        *(("--tag", tag) for tag in tags),
    ):  # fmt: skip
        if value == "":
            raise UsageError(f"{option} is empty: name what you mean")
    if words and everything:
        raise UsageError(f"--all and {words[0]!r} exclude each other: --all is every job")
    pieces = [piece.strip() for word in words for piece in word.split(",")]
    globs = tuple(dict.fromkeys(piece for piece in pieces if is_glob(piece)))
    ranges = [_range(piece) for piece in pieces if piece != "last" and piece not in globs]
    return Selection(
        tuple(merged(ranges)), "last" in pieces, batch, queue, _states(states, failed, running), name, _since(since),
        everything, causes=_causes(causes), run=_run(run), tags=tuple(dict.fromkeys(tags)), grep=grep,
        globs=globs,
    )  # fmt: skip


def of_ids(ids: Iterable[int]) -> Selection:
    """Return the selection of exactly these jobs; of no job if there are none."""
    return Selection(tuple(merged((job, job) for job in ids)) or NO_JOB)


def merged(ranges: Iterable[Range]) -> Iterator[Range]:
    """Merge ranges: sorted, neighbours joined."""
    low, high = 0, -1
    for first, end in sorted(ranges):
        if first <= high + 1 and high >= low:
            high = max(high, end)
            continue
        if high >= low:
            yield low, high
        low, high = first, end
    if high >= low:
        yield low, high


def in_words(ranges: Iterable[Range]) -> str:
    """Format ranges as ``parse`` reads them: ``"3-5,9"``."""
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def is_glob(word: str) -> bool:
    """Whether a word is a pattern of names, as in ``load-*``; names are printable."""
    return word.isprintable() and bool(_WILD.search(word))


def range_of(word: str) -> Range | None:
    """Return the ids from ``3`` or ``3-5``, as they are written; None if the word is neither."""
    match = _PIECE.fullmatch(word)
    return (int(match[1]), int(match[2] or match[1])) if match else None


def _range(piece: str) -> Range:
    if not piece:
        raise UsageError("an empty word selects nothing: write ids as in 1-5,9 (is a shell variable unset?)")
    if not (found := range_of(piece)):
        raise UsageError(
            f"{piece!r} is not a job: write ids and ranges as in 1-5,9, last, or a pattern of names as in 'load-*'"
            f"{did_you_mean(piece, ['last'])}"
        )
    low, high = found
    if low == 0:
        raise UsageError(f"{piece!r} is not a job: ids begin with 1")
    if low > high:
        raise UsageError(f"the range {piece} is empty: write {high}-{low}")
    return low, high


def _states(words: Sequence[str], failed: bool, running: bool) -> tuple[str, ...]:
    also = {state for state, is_chosen in (("failed", failed), ("running", running)) if is_chosen}
    chosen = {state.strip() for word in words for state in word.split(",")} | also
    for word in sorted(chosen.difference(STATES)):
        raise UsageError(f"no state {word!r}{did_you_mean(word, [*STATES])}: a job is {', '.join(STATES)}")
    return tuple(state for state in STATES if state in chosen)


def _causes(words: Sequence[str]) -> tuple[str, ...]:
    chosen = {cause.strip() for word in words for cause in word.split(",")}
    for word in sorted(chosen):
        if not _CAUSE.fullmatch(word):
            raise UsageError(f"{word!r} is not the id of a cause, which has eight digits, as in 606e2443")
    return tuple(sorted(chosen))


def _run(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "last":
        return LAST_RUN
    if not _RUN.fullmatch(text):
        raise UsageError(f"--run: {text!r} is not a run: write its number, or last{did_you_mean(text, ['last'])}")
    return int(text)


def _since(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return clock.since(text)
    except ValueError as error:
        raise UsageError(f"--since: {error}") from None
