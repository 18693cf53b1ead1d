"""The hosts of the attempts at a place."""

from collections.abc import Iterable, Mapping

from batchq.executors.seam import Lost, Report
from batchq.jobs.attempt import Claim, Ended, Outcome


class Hosts:
    """Attempts run on ``here``, the machine of the place; at a bridge, which has none, where ``news`` say."""

    def __init__(self) -> None:
        self.here: str | None = None
        self._of: dict[str, str] = {}

    def news(self, found: Mapping[str, str], claims: Mapping[str, Claim]) -> None:
        """Note hosts of attempts by their tokens, as far as these are among ``claims``."""
        self._of = {token: host for token, host in (self._of | {**found}).items() if token in claims}

    def of(self, token: str) -> str | None:
        """Return where an attempt runs, if that is known."""
        return self._of.get(token, self.here)

    def known(self, tokens: Iterable[str]) -> dict[str, str]:
        """Map those of the attempts to their hosts whose host is known."""
        return {token: host for token in tokens if (host := self.of(token)) is not None}

    def named(self, report: Report) -> Report:
        """Return the report with the host, if it ends an attempt; a bridge has named that already."""
        if isinstance(report, Ended) and report.outcome.host is None and (host := self.of(report.claim.token)):
            return Ended(report.claim, Outcome(*report.outcome[:-1], host))
        if isinstance(report, Lost) and report.host is None:
            return report._replace(host=self.of(report.claim.token))
        return report


def name(machine: str, place: str) -> str:
    """Name a machine as reached by this name: ``me@alpha`` for ``alpha.example`` adds nothing, ``10.0.0.5`` does."""
    short = place.rpartition("@")[2].partition(".")[0]
    return machine if short in ("", machine.partition(".")[0]) else f"{machine}/{place}"
