"""The failures of a run as they happen: the first few of each kind in a line, and then how many there are."""

from batchq.cli.run.journal import then
from batchq.cli.run.labels import reason, title
from batchq.clock import show_duration
from batchq.jobs.attempt import CRASHED, FAILED, TIMED_OUT
from batchq.store.running.recording import Settled

FIRST = 3  #: failures of one kind that get a line each
COUNTED = 3  #: kinds whose number is shown
KINDS = 1_000  #: kinds that are told apart; further ones are one kind, so that memory stays bounded


class Failures:
    """Failures by their cause, and by whether they are retried."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, bool], int] = {}
        self._texts: dict[tuple[str, bool], str] = {}

    def add(self, one: Settled, now: int) -> tuple[str, bool] | None:
        """Count an attempt if it failed. Return its line, and whether the job failed for good; None without a line."""
        claim, outcome, to = one
        if outcome.status not in (FAILED, TIMED_OUT, CRASHED):
            return None
        is_final = to.state not in ("scheduled", "queued")
        key = (outcome.cause or outcome.status, is_final)
        if key not in self._seen and len(self._seen) >= KINDS:
            key = ("", is_final)
        number = self._seen[key] = self._seen.get(key, 0) + 1
        if number > FIRST:
            return None
        why = reason(claim, outcome) or outcome.status.replace("_", " ")
        if outcome.status == TIMED_OUT:
            why = f"timed out after {show_duration(outcome.seconds * 1000)}"
        self._texts.setdefault(key, f"{'failed' if is_final else 'are retried'}: {why if key[0] else 'other reasons'}")
        return f"job {title(claim)}: {why}{then(one, now)}", is_final

    def counted(self) -> list[str]:
        """Kinds with more failures than lines, the most frequent first: ``57 more failed: exit 3: no route to host``."""
        more = sorted(((number - FIRST, key) for key, number in self._seen.items() if number > FIRST), reverse=True)
        lines = [f"{number:,} more {self._texts[key]}" for number, key in more[:COUNTED]]
        if rest := more[COUNTED:]:
            kinds = "1 more reason" if len(rest) == 1 else f"{len(rest):,} more reasons"
            lines.append(f"{sum(number for number, _ in rest):,} more failed for {kinds}")
        return lines
