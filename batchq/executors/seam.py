"""What the runner asks of every executor, and what an executor may report.

The shape follows ``concurrent.futures`` reduced to what a ledger needs: work is handed over with a claim, and each claim
comes back exactly once, as ``Ended`` or ``Lost``.
"""

from collections.abc import Iterable, Sequence

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
    """A claim whose place of work is gone. One that never ``started`` costs its job nothing."""

    claim: Claim
    started: bool


class Refused(NamedTuple):
    """The set-up is wrong (no such scheduler, a module missing there): the run stops and no job is charged."""

    reason: str


class Noted(NamedTuple):
    """What the person should be told at once, in one line."""

    text: str


Report = Started | Printed | Logged | Ended | Lost | Refused | Noted


class Executor(Protocol):
    """One place of work with ``slots`` places. All calls come from the runner's one thread."""

    name: str
    slots: int

    def free(self) -> int:
        """How many claims would start at once."""

    def ahead(self) -> int:
        """How many claims beyond those it would take to have work at hand: more than none only for very short jobs."""

    def start(self, claims: Sequence[Claim]) -> None:
        """Take over the work. How it goes comes out of ``poll``, also when it cannot begin."""

    def poll(self, timeout: float | None, gather: float = 0.0) -> list[Report]:
        """Wait up to ``timeout`` seconds (None: without end) for something to happen; what happened since the last call.

        As long as there is work at hand for all slots it may go on for ``gather`` seconds more, to tell of much at once.
        Returns early, perhaps with nothing, when a signal came in.
        """

    def processes(self) -> dict[str, int]:
        """The first process of each attempt that runs now, by token; none for those that run elsewhere."""

    def stop(self, tokens: Iterable[str], status: str, grace: float) -> None:
        """End these attempts: TERM now, KILL after ``grace`` seconds; they end with ``status``, reported by ``poll``.

        One that has not begun is reported as Lost.
        """

    def listening(self, number: int) -> set[str]:
        """The tokens of the attempts that run now and whose processes answer this signal themselves, as far as is known.

        If it has got the signal, its exit code says nothing about its work.
        """

    def suspend(self) -> None:
        """Stop what runs, until ``resume``; timeouts go on counting."""

    def resume(self) -> None:
        """Let what was suspended go on."""

    def close(self) -> None:
        """Give everything back; nothing runs any more."""
