"""What a run imports before it needs it: an upgrade may replace or remove the files of batchq while jobs run."""

from collections.abc import Sequence

from batchq.errors import ScarceError
from batchq.jobs.attempt import Claim
from batchq.processes.package import REPLACED
from batchq.runner import Observer
from batchq.store.running.recording import Settled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.executors.tee import Tee

_AT_THE_END = (
    "batchq.jobs.selection",
    "batchq.report.aftermath",
    "batchq.report.again",
    "batchq.report.digest",
    "batchq.report.undone",
    "batchq.store.looking.outputs",
)


def prepare() -> None:
    """Import what the end of a run needs, before its first job starts. Raises ScarceError."""
    try:
        for module in _AT_THE_END:
            __import__(module)
    except (Exception, SystemExit):  # a newer version of a module may fail in any way
        raise ScarceError(REPLACED) from None


def prepare_to_compare() -> None:
    """Import also what finds recovered jobs, for which no failure prepares. Raises ScarceError."""
    prepare()
    from batchq.report import aftermath

    if not aftermath.is_ready():
        raise ScarceError(REPLACED)


class Explainer(Observer):
    """Imports what explains failures at the first one, and passes claims and outcomes on to ``tee``."""

    def __init__(self, tee: "Tee | None" = None) -> None:
        self._tee = tee

    def claimed(self, claims: Sequence[Claim]) -> None:
        """See new claims."""
        if self._tee is not None:
            self._tee.claimed(claims)

    def settled(self, settled: Sequence[Settled]) -> None:
        """See outcomes."""
        if self._tee is not None:
            self._tee.settled(settled)
        if any(one.settlement.state == "failed" for one in settled):
            from batchq.report import aftermath

            aftermath.is_ready()
