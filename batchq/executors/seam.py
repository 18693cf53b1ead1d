"""The interface between the runner and every executor, and what an executor may report.

It follows ``concurrent.futures``, reduced to what a ledger needs: work is passed as a claim, and each claim comes back
exactly once, as ``Ended``, ``Lost`` or ``Left``.
"""

from collections.abc import Iterable, Mapping, Sequence

from batchq.jobs.attempt import Claim, Ended, Logged, Printed
from batchq.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object


class Started(NamedTuple):
    """A claim ahead (``claim.started_at`` None) has begun; ``at`` in milliseconds since 1970."""

    claim: Claim
    at: int


class Lost(NamedTuple):
    """A claim that its executor cannot finish. One that never ``started`` costs its job nothing.

    ``host`` is where it ran, as in Outcome.
    """

    claim: Claim
    started: bool
    host: str | None = None


class Left(NamedTuple):
    """A claim of a stopped run that may still be at work where nobody answers.

    The next run settles it, after it has made sure that nothing of it is left.
    """

    claim: Claim


class Refused(NamedTuple):
    """The run cannot go on (no such scheduler, a module missing there): it stops, and that costs no job anything.

    ``exit_code`` is that of the run: 78 if its setup is wrong, 74 if something that it needs has gone.
    """

    reason: str
    exit_code: int = 78


class Noted(NamedTuple):
    """One line that the run should print at once."""

    text: str


Report = Started | Printed | Logged | Ended | Lost | Left | Refused | Noted


class Executor(Protocol):
    """A place that runs jobs in ``slots`` slots. All calls come from the runner's one thread.

    ``slots`` and ``widest`` may change, as machines come and go. ``lease`` is how many seconds jobs elsewhere may
    outlive the run; None: all run on this machine, where the end of the run is seen.
    """

    name: str
    lease: float | None

    @property
    def slots(self) -> int:
        """How many slots there are now, at least 1."""

    @property
    def widest(self) -> int:
        """How many slots a job can have at most; it changes as machines come and go."""

    @property
    def hoped(self) -> int:
        """What ``widest`` may become again: it is more while machines are away that may come back."""

    def prepare(self) -> None:
        """Get ready before the first claim, if there is time for it."""

    def free(self) -> int:
        """Count the claims that would start at once."""

    def rooms(self) -> list[int] | None:
        """Return how many slots are free at each place, of which a job of several slots needs one; None: all at one."""

    def ahead(self) -> int:
        """Count the claims that it would take in advance, beyond ``free``: more than 0 only for very short jobs."""

    def start(self, claims: Sequence[Claim]) -> None:
        """Take the work. ``poll`` reports how it goes, even if it cannot begin."""

    def poll(self, timeout: float | None, gather: float = 0.0) -> list[Report]:
        """Wait up to ``timeout`` seconds (None: without limit) for an event; return the reports since the last call.

        While there is work for all slots it may wait ``gather`` seconds longer, to report more at once. Returns early,
        perhaps with nothing, when a signal came in.
        """

    def whereabouts(self) -> Mapping[str, int | str]:
        """Map the token of each attempt that runs now to its first process, or to its host if it runs elsewhere."""

    def stop(self, tokens: Iterable[str], status: str, grace: float) -> None:
        """Stop these attempts: TERM now, KILL after ``grace`` seconds; they end with ``status``, reported by ``poll``.

        One that has not begun is reported as Lost.
        """

    def listening(self, number: int) -> set[str]:
        """Find the tokens of running attempts whose processes handle this signal themselves, as far as is known.

        After such a signal the exit code says nothing about the work.
        """

    def suspend(self) -> None:
        """Stop all processes until ``resume``; timeouts keep running."""

    def resume(self) -> None:
        """Continue the suspended processes."""

    def close(self) -> None:
        """Release everything; nothing runs any more."""
