"""What ``run -v`` prints: one line for each event, for people. Programs read ``--events``."""

import sys
from collections.abc import Callable, Sequence

from batchq import clock
from batchq.cli.run.labels import reason, title, work
from batchq.cli.run.preparing import Explainer
from batchq.clock import show_duration
from batchq.jobs.attempt import SUCCEEDED, Claim
from batchq.runner.observer import Scene
from batchq.store.running.recording import Settled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.executors.tee import Tee

LINE = 80  #: columns that a line should have; only the command of a job is shortened for that


def to_stderr(text: str) -> None:
    """Print a line to what stderr is now, with the date: a log may be kept for days."""
    sys.stderr.write(f"{clock.bare(clock.now())} {text}\n")


class Journal(Explainer):
    """Prints what happens in a run with ``write``, a line at a time, all of them safe."""

    def __init__(self, tee: "Tee | None" = None, write: Callable[[str], None] = to_stderr) -> None:
        super().__init__(tee)
        self._write = write

    def begin(self, scene: Scene) -> None:
        """Print which run it is."""
        self._write(f"run {scene.me.id} started, {scene.me.slots} at once")

    def started(self, claim: Claim) -> None:
        """Print a job that starts, with its command if it has no name."""
        nth = f", attempt {claim.attempt}" if claim.attempt > 1 else ""
        text = f"job {title(claim)}{nth} started"
        if not claim.name:
            room = LINE - len(text) - 22
            shown = work(claim)
            text += f": {shown if len(shown) <= room else shown[: room - 1] + '…'}"
        self._write(text)

    def settled(self, settled: Sequence[Settled]) -> None:
        """Print how attempts ended, how long they took, and what follows."""
        super().settled(settled)
        now = clock.now()
        for one in settled:
            self._write(told(one, now))


def told(one: Settled, now: int) -> str:
    """How an attempt ended: ``job 13 (sync) failed after 212 ms: exit 3: no route to host; retried in 2.0 s``."""
    claim, outcome, _ = one
    took = f" after {show_duration(outcome.seconds * 1000)}"
    if outcome.status == SUCCEEDED:
        return f"job {title(claim)} succeeded{took}"
    why = reason(claim, outcome)
    word = outcome.status.replace("_", " ")
    return f"job {title(claim)} {word}{took}{f': {why}' if why else ''}{then(one, now)}"


def then(one: Settled, now: int) -> str:
    """What follows a failure: ``; retried in 2.0 s``, nothing if the job has failed."""
    state, due = one.settlement.state, one.settlement.due_at
    if state in ("scheduled", "queued"):
        return f"; retried in {show_duration(due - now)}" if due is not None and due > now else "; queued again"
    return {"held": "; now on hold", "cancelled": "; now cancelled"}.get(state, "")
