"""What the attempts of one executor share: folders for results and logs, variables of jobs, the count of OOM kills."""

import contextlib
import errno
import os
import time
from collections.abc import Iterable, Sequence

from batchq.executors.listener import Listener, Relay
from batchq.executors.logs import Logs
from batchq.executors.results import Results
from batchq.jobs.attempt import KEPT, Claim, Failure
from batchq.processes import machine
from batchq.processes.capture import Filed, Output, Sink
from batchq.processes.package import Package
from batchq.processes.scratch import Scratch
from batchq.processes.spawn import Refusal, Spawner, machine_refusal

_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)


class ExecutorContext:
    """What the attempts of one executor share: the store that they see as ``$BATCHQ_DB``, and a private folder.

    ``cookie`` is in the environment of everything that it starts, so that a rescuer also finds processes that hide their
    token. ``logs`` is the folder of ``--log-dir``, ``mark`` distinguishes the logs of this store from those of others.
    ``listeners`` receive what the attempts print while they run. ``keep_output`` bytes of each stream are kept unless a job
    has a number of its own.
    """

    def __init__(
        self,
        spawner: Spawner,
        scratch: str,
        db: str,
        cookie: str,
        logs: str | None = None,
        mark: str = "",
        listeners: Sequence[Listener] = (),
        keep_output: int = KEPT,
    ) -> None:
        self.spawner = spawner
        self.db = db
        self.scratch = Scratch(cookie, scratch)
        self.cookie = cookie
        self.package = Package()
        self.logs = Logs(logs, _own_logs(db), mark)
        self.listeners = listeners
        self._keep_output = keep_output
        self._oom_kills = machine.oom_kills()
        self._results = Results()
        self.full_at = -1.0  # when (monotonic seconds) the folder was last found full

    def saw_oom_kill(self) -> bool:
        """Whether the kernel has killed a process because memory ran out since the last call."""
        before, self._oom_kills = self._oom_kills, machine.oom_kills()
        return self._oom_kills > before

    def files(self, claim: Claim) -> "Filed | Refusal":
        """Make files for the output of a job that may leave something running, or return why that is not possible."""
        try:
            logs = self.logs.open_own(claim)
        except OSError as error:
            problem = f"cannot make files for its output in {self.logs.own()}: {error.strerror}"
            return Refusal("NoLog", problem, of_machine=error.errno in _SCARCE)
        return Filed({stream: log.fd for stream, log in logs.items()}, tuple(logs.values()))

    def is_observed(self) -> bool:
        """Whether something receives all output while the jobs run: a log folder, or a listener."""
        return self.logs.folder is not None or bool(self.listeners)

    def begin_output(self, claim: Claim, output: Output) -> None:
        """Capture what an attempt prints, also for its log and the listeners; a job that prints to files has a log."""
        output.begin(self.kept(claim))
        if self.is_observed():
            sinks: list[Sink] = [Relay(one, claim) for one in self.listeners]
            if claim.leftovers != "keep" and (log := self.logs.open(claim)) is not None:
                sinks.append(log)
            output.sinks += tuple(sinks)

    def kept(self, claim: Claim) -> int:
        """Return how many bytes of each stream of an attempt are kept."""
        return self._keep_output if claim.keep_output is None else claim.keep_output

    def end_output(self, output: Output) -> None:
        """Close the attempt's log, and report the end of its output to the listeners."""
        sinks, output.sinks = output.sinks, ()
        for sink in sinks:
            sink.close()

    def discard_output(self, output: Output) -> None:
        """Remove the log of an attempt that did not begin."""
        sinks, output.sinks = output.sinks, ()
        for sink in sinks:
            sink.discard()

    def parents_file(self, claim: Claim) -> str:
        """Name the file that describes its parents to a job that has some."""
        return f"{self.scratch.path}/parents-{claim.id}-{claim.attempt}"

    def write_parents(self, claim: Claim) -> Refusal | None:
        """Write that file, or return why that is not possible; nothing for a job without parents."""
        if claim.parents is None:
            return None
        try:
            self.scratch.renew()
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(self.parents_file(claim), flags, 0o600), "w", encoding="utf-8") as file:
                file.write(claim.parents)
        except OSError as error:
            self.remove_parents([claim])
            return machine_refusal(error)
        return None

    def remove_parents(self, claims: Iterable[Claim]) -> None:
        """Remove these files after the attempts."""
        for claim in claims:
            if claim.parents is not None:
                with contextlib.suppress(OSError):
                    os.unlink(self.parents_file(claim))

    def result_file(self, claim: Claim) -> str:
        """Name the file in which a command may leave its result."""
        return f"{self.scratch.path}/result-{claim.id}-{claim.attempt}"

    def results(self) -> set[str] | None:
        """List the files that commands have left there; None if unknown."""
        if not self.scratch.holds(f"{self.scratch.path}/"):
            self.scratch.was_lost = True
            return set()
        found = self._results.there(self.scratch.path)
        if found and self.scratch.is_full():
            self.full_at = time.monotonic()
        return found

    def result(self, path: str) -> tuple[str | None, Failure | None]:
        """Read the result that a command has left, as JSON text, or what is wrong with it; neither if there is none."""
        return self._results.read(path)

    def variables(self, claim: Claim) -> dict[str, str]:
        """Make the variables that describe its attempt to a command."""
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
        if claim.parents is not None:
            own["BATCHQ_PARENTS_FILE"] = self.parents_file(claim)
        return own


def _own_logs(db: str) -> str:
    """Name the folder of logs next to the store; where that is on another machine, one in the data folder of the user."""
    if db.startswith("/"):
        return f"{db}-logs"
    return os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "batchq", "logs")
