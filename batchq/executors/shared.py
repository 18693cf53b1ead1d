"""What the attempts of one executor share: where results and logs go, what jobs are told, what the kernel has killed."""

import errno
import time

from batchq.executors.logs import Logs
from batchq.executors.results import Results
from batchq.jobs.attempt import Claim, Failure
from batchq.processes import machine
from batchq.processes.capture import Filed, Output, Sink
from batchq.processes.package import Package
from batchq.processes.scratch import Scratch
from batchq.processes.spawn import Refusal, Spawner

_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)


class ExecutorContext:
    """What the attempts of one executor have in common: the store that they are told of, and a private folder.

    ``cookie`` is in the environment of all that it starts, so that a rescuer finds also what hides its token. ``logs`` is
    the folder of ``--log-dir``, ``mark`` what tells the logs of this store from those of others.
    """

    def __init__(
        self, spawner: Spawner, scratch: str, db: str, cookie: str, logs: str | None = None, mark: str = ""
    ) -> None:
        self.spawner = spawner
        self.db = db
        self.scratch = Scratch(cookie, scratch)
        self.cookie = cookie
        self.package = Package()
        self.logs = Logs(logs, f"{db}-logs", mark)
        self._oom_kills = machine.oom_kills()
        self._results = Results()
        self.full_at = -1.0  # when (monotonic seconds) there was last seen to be no room for a result

    def saw_oom_kill(self) -> bool:
        """Whether the kernel has killed for want of memory since this was asked last."""
        before, self._oom_kills = self._oom_kills, machine.oom_kills()
        return self._oom_kills > before

    def files(self, claim: Claim) -> "tuple[Filed, Filed] | Refusal":
        """What takes the output of a job that may leave something running, or why there is none."""
        try:
            out, err = self.logs.open_both(claim)
        except OSError as error:
            problem = f"cannot make files for its output in {self.logs.own()}: {error.strerror}"
            return Refusal("NoLog", problem, of_machine=error.errno in _SCARCE)
        return Filed(out.fd, out), Filed(err.fd, err)

    def open_log(self, claim: Claim, *captures: Output) -> None:
        """Let the captures write the attempt's log, too; files are that themselves."""
        if self.logs.folder is None or claim.leftovers == "keep":
            return
        log = self.logs.open(claim)
        for capture in captures:
            capture.sink = log

    def close_log(self, *captures: Output) -> None:
        """The end of the attempt's log."""
        for log in self._take_sinks(*captures):
            log.close()

    def discard_log(self, *captures: Output) -> None:
        """The attempt did not begin, and has no log."""
        for log in self._take_sinks(*captures):
            log.discard()

    def _take_sinks(self, *captures: Output) -> set[Sink]:
        found = {capture.sink for capture in captures if capture.sink is not None}
        for capture in captures:
            capture.sink = None
        return found

    def result_file(self, claim: Claim) -> str:
        """Where a command may leave its result."""
        return f"{self.scratch.path}/result-{claim.id}-{claim.attempt}"

    def results(self) -> set[str] | None:
        """The files that commands have left there by now; None where nobody can tell."""
        if not self.scratch.holds(f"{self.scratch.path}/"):
            self.scratch.was_lost = True
            return set()
        found = self._results.there(self.scratch.path)
        if found and self.scratch.is_full():
            self.full_at = time.monotonic()
        return found

    def result(self, path: str) -> tuple[str | None, Failure | None]:
        """The result that a command has left, as JSON text, or what is wrong with it; neither where there is none."""
        return self._results.read(path)

    def variables(self, claim: Claim) -> dict[str, str]:
        """What a command is told of itself."""
        own = {
            "BATCHQ_JOB_ID": str(claim.id),
            "BATCHQ_ATTEMPT": str(claim.attempt),
            "BATCHQ_BATCH": claim.batch,
            "BATCHQ_QUEUE": claim.queue,
            "BATCHQ_DB": self.db,
            "BATCHQ_TOKEN": claim.token,
            "BATCHQ_RUNNER": self.cookie,
        }
        if claim.key is not None:
            own["BATCHQ_KEY"] = claim.key
        return own
