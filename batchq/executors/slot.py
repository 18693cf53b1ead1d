"""One slot of the local executor: its two pipes, the attempt that runs in it, and the worker that waits in it."""

import json
import os
import resource
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from batchq import clock
from batchq.jobs.attempt import CRASHED, FAILED, SUCCEEDED, TIMED_OUT, Claim, Ended, Failure, Outcome
from batchq.jobs.model import SHELL
from batchq.processes import tree
from batchq.processes.capture import Capture
from batchq.processes.resident import Resident
from batchq.processes.spawn import Refusal, Spawner

RESULT_LIMIT = 1024 * 1024  #: bytes that a command may write to $BATCHQ_RESULT_FILE
EndLeftovers = Callable[["Slot", str, int], int]


class Slot:
    """``claim`` is the attempt that runs here, None while the slot is empty; ``pid`` its process, or the idle worker.

    ``deadline`` (monotonic seconds) is when ``enforce`` is due; ``answer`` is what a worker said, once it is complete.
    """

    def __init__(
        self, selector: selectors.BaseSelector, spawner: Spawner, scratch: str, db: str, perform: str | None, home: str
    ) -> None:
        self.claim: Claim | None = None
        self.pid: int | None = None
        self.deadline: float | None = None
        self.answer: dict[str, Any] | None = None
        self._selector = selector
        self._spawner = spawner
        self._scratch = scratch
        self._db = db
        self._perform = perform
        self._home = home
        self._worker: Resident | None = None
        self._imposed: str | None = None
        self._started = 0.0
        self._started_at = 0
        self._floor = 0
        self._open_pipes()

    def _open_pipes(self) -> None:
        self._out, self._err = Capture(), Capture()
        for capture in (self._out, self._err):
            self._selector.register(capture.reader, selectors.EVENT_READ, capture.pump)

    def _close_pipes(self) -> None:
        for capture in (self._out, self._err):
            self._selector.unregister(capture.reader)
            capture.close()

    # --- starting ------------------------------------------------------------------------------------------------------

    def suits(self, claim: Claim) -> bool:
        """Whether an idle worker of the claim's folder waits here, or none is needed and none waits."""
        if claim.kind in ("call", "payload"):
            return self._worker is not None and self._worker.home == (claim.cwd, claim.path)
        return self._worker is None

    def start(self, claim: Claim) -> Refusal | None:
        """Begin an attempt; why not, where that is impossible (the slot stays empty)."""
        self._started_at, self._started = clock.now(), time.monotonic()
        if claim.kind in ("call", "payload"):
            refusal = self._start_task(claim)
        else:
            refusal = self._start_command(claim)
        if refusal is None:
            self.claim = claim
            self._imposed = None
            self.deadline = None if claim.timeout is None else self._started + claim.timeout / 1000
        return refusal

    def _start_command(self, claim: Claim) -> Refusal | None:
        self._dismiss()
        words = json.loads(claim.work)
        if claim.kind == "shell":
            words = [SHELL, "-c", words[0], "sh", *words[1:]]
        environment = self._spawner.environment(claim.path, _named(claim), self._own(claim))
        self._floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with _input(claim.stdin) as stdin:
            pid = self._spawner.spawn(
                words, environment, claim.cwd, self._out.writer, self._err.writer, stdin=stdin, umask=claim.umask
            )
        if isinstance(pid, Refusal):
            return pid
        self.pid = pid
        return None

    def _start_task(self, claim: Claim) -> Refusal | None:
        if self._worker is not None and self._worker.home != (claim.cwd, claim.path):
            self._dismiss()
        if self._worker is None:
            worker = Resident.start(self._spawner, (claim.cwd, claim.path), self._out.writer, self._err.writer)
            if isinstance(worker, Refusal):
                return worker
            self._worker, self.pid = worker, worker.pid
            self._selector.register(worker.fileno(), selectors.EVENT_READ, self._hear)
        self._worker.send(self._task(claim))  # a worker that is gone is noticed when it is reaped
        return None

    def _task(self, claim: Claim) -> dict[str, Any]:
        task: dict[str, Any] = {"env": _named(claim) | self._own(claim), "cwd": claim.cwd, "umask": claim.umask}
        work: dict[str, Any] = json.loads(claim.work)
        if claim.kind == "call":
            return task | work
        about = ("id", "attempt", "name", "batch", "queue", "key")
        job = {field: getattr(claim, field) for field in about}
        return task | {"call": self._perform, "also": self._home, "payload": work, "job": job}

    def _own(self, claim: Claim) -> dict[str, str]:
        own = {
            "BATCHQ_JOB_ID": str(claim.id),
            "BATCHQ_ATTEMPT": str(claim.attempt),
            "BATCHQ_BATCH": claim.batch,
            "BATCHQ_QUEUE": claim.queue,
            "BATCHQ_DB": self._db,
            "BATCHQ_TOKEN": claim.token,
            "BATCHQ_RESULT_FILE": self._result_file(claim),
        }
        return own if claim.key is None else own | {"BATCHQ_KEY": claim.key}

    def _result_file(self, claim: Claim) -> str:
        return os.path.join(self._scratch, f"result-{claim.id}-{claim.attempt}")

    # --- ending --------------------------------------------------------------------------------------------------------

    def enforce(self, status: str, grace: float) -> None:
        """End the attempt as ``status``: TERM to its group the first time, KILL to all of it after ``grace`` seconds."""
        if self.pid is None:
            return
        if self._imposed is None and grace > 0:
            tree.kill_group(self.pid, signal.SIGTERM)
            tree.kill_group(self.pid, signal.SIGCONT)  # a stopped process would not see the TERM
            self.deadline = time.monotonic() + grace
        else:
            below = tree.descendants(self.pid)
            tree.kill_group(self.pid, signal.SIGKILL)
            for pid in below:
                tree.kill(pid, signal.SIGKILL)
            self.deadline = None
        self._imposed = self._imposed or status

    def _hear(self) -> None:
        assert self._worker is not None
        self.answer = self._worker.receive()

    def answered(self) -> Ended:
        """The end of a task whose worker lives on."""
        assert self.claim is not None and self.answer is not None
        answer, self.answer = self.answer, None
        ending: dict[str, Any] = {"cpu": answer["cpu"], "peak": answer["peak"]}
        if "error" in answer:
            outcome = self._outcome(FAILED, failure=Failure(*answer["error"]), exit_code=answer.get("exit"), **ending)
        else:
            outcome = self._outcome(SUCCEEDED, result=answer["result"], **ending)
        return self._vacate(outcome)

    def ended(self, code: int, usage: resource.struct_rusage, end_leftovers: EndLeftovers) -> Ended | None:
        """The process of the slot has ended and been reaped; None when it was an idle worker."""
        pid, self.pid, self.deadline = self.pid, None, None
        assert pid is not None
        was_worker = self._worker is not None
        if was_worker:
            self._hear()
            self._forget_worker()
        claim = self.claim
        if claim is None:
            return None
        leftovers = end_leftovers(self, claim.token, pid)
        if self.answer is not None and self._imposed is None:
            return self.answered()
        self.answer = None
        peak = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
        ending: dict[str, Any] = {
            "exit_code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "cpu": usage.ru_utime + usage.ru_stime,
            # The kernel counts the memory that a child shared with us before exec as the child's own, so a peak that is
            # not above ours says nothing about the child.
            "peak": peak if peak > self._floor else None,
            "leftovers": leftovers,
        }
        if was_worker:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            return self._vacate(
                self._outcome(CRASHED, failure=Failure("WorkerDied", f"its worker process {how}"), **ending)
            )
        result, failure = self._read_result(claim)
        status = SUCCEEDED if code == 0 and failure is None else FAILED
        return self._vacate(self._outcome(status, result=result, failure=failure, **ending))

    def _outcome(self, status: str, **ending: Any) -> Outcome:
        seconds = time.monotonic() - self._started
        if self._imposed is not None:
            status, ending["result"] = self._imposed, None
            ending["failure"] = self._overrun() if status == TIMED_OUT else None
        return Outcome(
            status,
            seconds=seconds,
            stdout=self._out.take(),
            stderr=self._err.take(),
            started_at=self._started_at,
            finished_at=clock.now(),
            **ending,
        )

    def _overrun(self) -> Failure:
        assert self.claim is not None and self.claim.timeout is not None
        return Failure("TimedOut", f"ran longer than its timeout of {clock.show_duration(self.claim.timeout)}")

    def _vacate(self, outcome: Outcome) -> Ended:
        assert self.claim is not None
        claim, self.claim, self.deadline = self.claim, None, None
        return Ended(claim, outcome)

    def _read_result(self, claim: Claim) -> tuple[str | None, Failure | None]:
        path = self._result_file(claim)
        try:
            with open(path, "rb") as file:
                data = file.read(RESULT_LIMIT + 1)
            os.unlink(path)
        except OSError:
            return None, None
        if len(data) > RESULT_LIMIT:
            return None, Failure("ResultTooLarge", "it wrote over 1 MiB to $BATCHQ_RESULT_FILE")
        try:
            value = json.loads(data, parse_constant=_no_constant)
            return json.dumps(value, separators=(",", ":")), None
        except (ValueError, RecursionError) as error:
            return None, Failure("ResultNotJSON", f"what it wrote to $BATCHQ_RESULT_FILE is not JSON: {error}")

    # --- the worker ----------------------------------------------------------------------------------------------------

    def _dismiss(self) -> None:
        """End the idle worker, and wait for it: its pipes are the next job's."""
        if self._worker is None:
            return
        assert self.pid is not None
        pid, self.pid = self.pid, None
        self._forget_worker()
        tree.kill_group(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def _forget_worker(self) -> None:
        assert self._worker is not None
        self._selector.unregister(self._worker.fileno())
        self._worker.close()
        self._worker = None

    def close(self) -> None:
        """End the worker and give the pipes back."""
        self._dismiss()
        self._close_pipes()


def _named(claim: Claim) -> dict[str, str]:
    return {} if claim.env is None else json.loads(claim.env)


class _input:
    """A job's stdin as a file that is gone when the job has it; None for /dev/null."""

    def __init__(self, data: bytes | None) -> None:
        self._file = None if data is None else tempfile.TemporaryFile()
        if self._file is not None and data:
            self._file.write(data)
            self._file.seek(0)

    def __enter__(self) -> int | None:
        return None if self._file is None else self._file.fileno()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
