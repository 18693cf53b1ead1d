"""The commands of an executor: prepared when they are claimed, started one by one, and concluded many at once."""

import resource
import signal
from collections.abc import Collection, Iterable, Sequence

from batchq import clock
from batchq.executors.aftermath import Cleared, Lingering
from batchq.executors.command import Command
from batchq.executors.pipes import Pipes
from batchq.executors.shared import ExecutorContext
from batchq.jobs.attempt import FAILED, INTERRUPTED, SUCCEEDED, Claim, Ended, Failure, Outcome, Printed
from batchq.named import NamedTuple
from batchq.processes import proc, tree
from batchq.processes.spawn import Refusal

CALLABLE = ("call", "payload")  #: the kinds of work that workers do
LATE = 16  #: ended commands that are concluded together, at most


class Conclusions(NamedTuple):
    """How commands ended; ``is_result_lost``: the folder in which one may have left its result was removed."""

    ended: list[Ended]
    is_result_lost: bool


class Commands:
    """Starts and ends commands; ``running`` are those at work, by process id."""

    def __init__(self, context: ExecutorContext, pipes: Pipes) -> None:
        self.running: dict[int, Command] = {}
        self._context = context
        self._pipes = pipes
        self._ready: dict[str, Command] = {}
        self._over: list[Command] = []

    def used(self) -> int:
        """Count the slots that commands hold."""
        return sum(command.claim.slots for command in self.running.values())

    def numbers(self) -> list[int]:
        """List the numbers of these slots."""
        return [number for command in self.running.values() for number in command.numbers]

    def make_ready(self, claim: Claim) -> Refusal | None:
        """Prepare the start of a command as far as possible; return a refusal if the stored work cannot be read."""
        if claim.kind in CALLABLE:
            return None
        try:
            self._ready[claim.token] = Command(claim, self._context)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            return Refusal("Unreadable", f"its stored work is not a command ({error}); add it again")
        return None

    def drop(self, claims: Iterable[Claim]) -> None:
        """Drop claims that were prepared and are requeued."""
        for claim in claims:
            self._ready.pop(claim.token, None)

    def start(self, claim: Claim, numbers: Sequence[int]) -> Command | Refusal:
        """Start the command of a prepared claim in the slots with these numbers, or return why that is not possible."""
        command = self._ready.pop(claim.token)
        command.numbers = numbers
        # Leftovers that stay print into files, because nobody reads pipes after the run.
        output = self._context.files(claim) if claim.leftovers == "keep" else self._pipes.take()
        if isinstance(output, Refusal):
            return output
        try:
            refusal = command.start(output)
        except (ValueError, TypeError, OverflowError) as error:  # a NUL in its folder, a umask beyond all numbers
            refusal = Refusal("Unreadable", f"it cannot be started as it is stored ({error}); add it again")
        if refusal is not None:
            self._pipes.give_back(output)
            return refusal
        self.running[command.pid] = command
        return command

    def reaped(self, pid: int, status: int, usage: resource.struct_rusage) -> Lingering | None:
        """Record the end of a process; None if it is not a command."""
        command = self.running.pop(pid, None)
        if command is None:
            return None
        if not proc.CAN_TRACE:
            tree.kill_group(pid, signal.SIGKILL)
        command.note_end(status, usage)
        return Lingering(command.claim, command.output, command, None, command.numbers)

    def finish(self, command: Command, over: Cleared) -> None:
        """Take the output of a command without leftovers: its pipes are free."""
        command.leftovers, command.outlived_by = over.leftovers, "; ".join(over.outliving)
        command.take_output()
        self._over.append(command)

    def are_many_finished(self) -> bool:
        """Whether enough have finished to be concluded now."""
        return len(self._over) >= LATE

    def conclude(self) -> Conclusions:
        """Make the outcomes of finished commands, while their slots are busy again."""
        if not self._over:
            return Conclusions([], is_result_lost=False)
        floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        results = self._context.results()
        ended = [command.ended(floor, results) for command in self._over]
        is_lost = self._context.scratch.was_lost and any(
            one.outcome.status == SUCCEEDED and command.has_lost_its_result()
            for command, one in zip(self._over, ended, strict=True)
        )
        self._over.clear()
        return Conclusions(ended, is_lost)

    def give_up(self, command: Command) -> Ended:
        """End the attempt of a process that SIGKILL does not end."""
        del self.running[command.pid]
        return command.given_up()

    def news(self) -> list[Printed]:
        """Return what the running commands have printed since the last call."""
        found = ((one.claim, one.output.news()) for one in self.running.values())
        return [Printed(claim, *printout) for claim, printout in found if printout is not None]

    def stop(self, tokens: Collection[str], status: str, grace: float) -> None:
        """Stop the running commands with these tokens."""
        for command in self.running.values():
            if command.claim.token in tokens:
                command.enforce(status, grace)


def unbegun(claim: Claim, refusal: Refusal) -> Ended:
    """Make the end of an attempt that could not begin; it costs its job nothing if the machine refused it."""
    now = clock.now()
    return Ended(
        claim,
        Outcome(
            INTERRUPTED if refusal.of_machine else FAILED,
            failure=Failure(refusal.type, refusal.message, missing=refusal.missing),
            started_at=None if refusal.of_machine else now,
            finished_at=now,
        ),
    )
