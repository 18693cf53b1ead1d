"""What a person who watches a run may see of it: the loop shows its parts to an observer after each step."""

from collections.abc import Mapping, Sequence

from batchq.executors.seam import Executor
from batchq.jobs.attempt import Claim, Printed
from batchq.named import NamedTuple
from batchq.runner.stopping import Stopping
from batchq.runner.tally import Plan, Tally
from batchq.store.running.recording import Settled
from batchq.store.running.runners import Runner


class Scene(NamedTuple):
    """A run at work, to be read: its parts change from step to step. ``running`` has its claims, by token."""

    me: Runner
    plan: Plan
    tally: Tally
    running: Mapping[str, Claim]
    stopping: Stopping
    executor: Executor


class Observer:
    """Sees nothing. Whatever one does must not take long: the loop waits for it."""

    def occupied(self, pid: int) -> None:
        """See that the run waits until the run of another process has ended."""

    def begin(self, scene: Scene) -> None:
        """See a run that has been registered."""

    def claimed(self, claims: Sequence[Claim]) -> None:
        """See attempts that will start, in this order."""

    def started(self, claim: Claim) -> None:
        """See an attempt that starts."""

    def printed(self, printed: Printed) -> None:
        """See what a running attempt has printed so far, about once a second."""

    def settled(self, settled: Sequence[Settled]) -> None:
        """See outcomes that have just been recorded."""

    def step(self) -> None:
        """See the run after a step of its loop. May raise BatchqError for a store that does not answer."""

    def pause(self) -> None:
        """Leave the terminal to others: the process is about to be stopped (Ctrl-Z)."""
