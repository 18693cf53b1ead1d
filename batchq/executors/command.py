"""One running command: a process in its own session, watched until it has ended."""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence

from batchq import clock
from batchq.executors.kill import Kill, overrun, unkillable
from batchq.executors.plainwords import may_do_without, plain_words
from batchq.executors.shared import ExecutorContext
from batchq.jobs.attempt import (
    FAILED,
    INTERRUPTED,
    MACHINE_BUSY,
    SUCCEEDED,
    TIMED_OUT,
    Claim,
    Ended,
    Failure,
    Outcome,
)
from batchq.jobs.model import SHELL
from batchq.processes import tree
from batchq.processes.capture import Output
from batchq.processes.spawn import Refusal, machine_refusal
from batchq.processes.unnamed import unnamed_file


class Command:
    """One attempt of a command, prepared for its start; ``deadline`` (monotonic seconds) is when ``enforce`` is due.

    ``start`` and ``note_end`` do only what cannot be done before or after: they run one at a time, with cold caches after
    each start of a program, and take three times as long as work done for many commands at once.
    """

    pid: int
    output: Output
    started_at: int
    numbers: Sequence[int]  #: of its slots, the first of which the job gets as ``$BATCHQ_SLOT``
    leftovers = 0  #: how many of its processes had to be killed after it
    outlived_by = ""  #: why a process that it left is still alive

    def __init__(self, claim: Claim, context: ExecutorContext) -> None:
        self.claim = claim
        self.deadline: float | None = None
        self._context = context
        self._kill = Kill()
        self._words = json.loads(claim.work)
        if type(self._words) is not list or not self._words or any(type(word) is not str for word in self._words):
            raise TypeError("it is not a list of words")
        if claim.kind == "shell":
            text, *parameters = self._words
            self._words = [SHELL, "-c", text, "sh", *parameters]
        named = {} if claim.env is None else json.loads(claim.env)
        self._environment = context.spawner.environment(claim.path, claim.cwd, named, context.variables(claim))
        self._direct: list[str] | None = None
        if claim.kind == "shell" and not parameters and may_do_without(self._environment, claim.cwd):
            self._direct = plain_words(text)

    def start(self, output: Output) -> Refusal | None:
        """Start the process, or return why that is not possible."""
        claim, context = self.claim, self._context
        try:
            context.scratch.renew()
            stdin = _input(claim.stdin)
        except OSError as error:
            context.discard_output(output)
            return machine_refusal(error)
        self._result_file = self._environment["BATCHQ_RESULT_FILE"] = context.result_file(claim)
        self._environment["BATCHQ_SLOT"] = str(self.numbers[0])
        if claim.timeout is not None:
            self._environment["BATCHQ_DEADLINE"] = f"{time.time() + claim.timeout / 1000:.3f}"
        context.begin_output(claim, output)
        to_out, to_err = output.writers()
        if claim.output == "merged":
            to_err = to_out

        def spawn(words: list[str]) -> int | Refusal:
            return context.spawner.spawn(
                words, self._environment, claim.cwd, to_out, to_err,
                mark=claim.token, stdin=stdin, umask=claim.umask, anew=words is self._direct,
            )  # fmt: skip

        try:
            pid = spawn(self._direct or self._words)
            if self._direct and isinstance(pid, Refusal) and not pid.of_machine:
                pid = spawn(self._words)  # the shell reports what is wrong with the program
        finally:
            if stdin is not None:
                os.close(stdin)
        if isinstance(pid, Refusal):
            context.discard_output(output)
            return pid
        self.pid, self.output = pid, output
        self.started_at = clock.now()
        self._started = time.monotonic()
        if claim.timeout is not None:
            self.deadline = self._started + claim.timeout / 1000
        return None

    def enforce(self, status: str, grace: float) -> None:
        """Kill the attempt, which ends as ``status``."""
        self.deadline = self._kill.enforce(self.pid, status, grace)

    def is_killed(self) -> bool:
        """Whether SIGKILL was sent, and only the system can still keep the process."""
        return self._kill.is_killed

    def given_up(self) -> Ended:
        """Return the end of an attempt whose process cannot be killed."""
        now = clock.now()
        printout = self.output.take()
        outcome = Outcome(
            self._kill.status or FAILED,
            seconds=time.monotonic() - self._started,
            stdout=printout.stdout,
            stderr=printout.stderr,
            started_at=self.started_at,
            finished_at=now,
            turns=printout.turns,
        )
        self._context.end_output(self.output)
        return Ended(self.claim, unkillable(outcome, tree.why_alive(self.pid)))

    def note_end(self, status: int, usage: resource.struct_rusage) -> None:
        """Record what wait4(2) returned for its process."""
        self._status, self._usage = status, usage
        self._finished_at = clock.now()
        self._seconds = time.monotonic() - self._started

    def take_output(self) -> None:
        """Take its output: the next command gets the pipes."""
        self._printout = self.output.take()
        self._context.end_output(self.output)

    def has_lost_its_result(self) -> bool:
        """Whether the folder in which it may have left one is gone."""
        return not self._context.scratch.holds(self._result_file)

    def ended(self, floor: int, results: set[str] | None) -> Ended:
        """Return how it ended, as recorded by ``note_end`` and ``take_output``.

        ``results`` are the result files in the folder (None: unknown), ``floor`` is the peak memory of this process (KiB).
        The kernel counts the memory that a child shared with us before exec as the child's own, so a peak that is not
        above ours says nothing about the child and is left out.
        """
        code, usage = os.waitstatus_to_exitcode(self._status), self._usage
        result: str | None = None
        failure: Failure | None = None
        trouble = ""
        if results is None or self._result_file in results:
            if self._started <= self._context.full_at:
                trouble = f"there is no room for the result of a job in {self._context.scratch.path}"
            result, failure = self._context.result(self._result_file)
        codes = self.claim.success_codes
        is_success = code == 0 if codes is None else str(code) in codes.split(",")
        status = SUCCEEDED if is_success and failure is None else FAILED
        if self._kill.status is not None:
            status, result = self._kill.status, None
            failure = overrun(self.claim) if status == TIMED_OUT else None
        elif code == -signal.SIGKILL and self._context.saw_oom_kill():
            failure = Failure(
                "OutOfMemory", "killed, and the kernel ran out of memory for this control group meanwhile"
            )
        elif status == FAILED and not trouble and not self._context.scratch.holds(self._result_file):
            trouble = "the folder for the result of a job was removed while the job ran"
        if status == FAILED and trouble:
            status, failure = INTERRUPTED, Failure(MACHINE_BUSY, trouble)
        peak = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
        stdout, stderr, turns = self._printout
        outcome = Outcome(  # by position, which is quicker
            status,
            code if code >= 0 else None,
            -code if code < 0 else None,
            self._seconds,
            usage.ru_utime + usage.ru_stime,
            peak if peak > floor else None,
            result,
            failure,
            stdout,
            stderr,
            self.leftovers,
            self.started_at,
            self._finished_at,
        )
        if turns is not None:
            outcome = outcome._replace(turns=turns)
        return Ended(self.claim, unkillable(outcome, self.outlived_by) if self.outlived_by else outcome)


def _input(data: bytes | None) -> int | None:
    """Open a descriptor from which ``data`` can be read, None if there is none."""
    if data is None:
        return None
    fd = unnamed_file("stdin")
    try:
        while data:
            data = data[os.write(fd, data) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        os.close(fd)
        raise
    return fd
