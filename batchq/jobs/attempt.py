"""One attempt of a job: the claim that allows it and the outcome that ends it. Values only, all picklable."""

from collections.abc import Sequence

from batchq.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUCCEEDED = "succeeded"
FAILED = "failed"
TIMED_OUT = "timed_out"
CRASHED = "crashed"
INTERRUPTED = "interrupted"
MACHINE_BUSY = "MachineBusy"  #: the type of an interruption caused by the machine; it is not counted
UNKILLABLE = "Unkillable"  #: the type of a failure after which a process of the attempt is still alive
CANCELLED = "cancelled"
KEPT = 128 * 1024  #: bytes that are kept of a stream, half of its beginning and half of its end


class Claim(NamedTuple):
    """The right to run one attempt. A result without its ``token`` is refused (fencing: Kleppmann 2016, Chubby).

    ``success_codes`` are the exit codes that count as success, as in ``"0,24"``; None is 0 alone.
    Both streams go to stdout if ``output`` is ``merged``; ``keep_output`` bytes of each are kept, or None for the default.
    ``python`` runs a callable (None: the Python of the run), in its own process if ``fresh``.

    ``started_at`` is None for a claim ahead, which waits in its executor for a slot. ``parents`` is a JSON document that
    describes the jobs after which this one runs; None if there are none.
    """

    id: int
    token: str
    attempt: int
    kind: str
    work: str
    name: str | None
    batch: str
    queue: str
    key: str | None
    timeout: int | None
    env: str | None
    umask: int | None
    stdin: bytes | None
    leftovers: str
    slots: int
    on_crash: str
    python: str | None
    fresh: bool
    success_codes: str | None
    output: str
    keep_output: int | None
    started_at: int | None
    cwd: str
    path: str
    parents: str | None = None


class Budget(NamedTuple):
    """The retry budget of a job: what it has used and what it is allowed. ``backoff`` is in milliseconds."""

    max_attempts: int
    failures: int
    max_crashes: int
    crashes: int
    on_crash: str
    interruptions: int
    backoff: int
    retry_on: str | None = None
    no_retry_on: str | None = None
    snoozes: int = 0
    max_snoozes: int = 0


class Stream(NamedTuple):
    """The output of one stream of an attempt: its first and last bytes, and the total number of bytes."""

    head: bytes
    tail: bytes
    total: int


class Printout(NamedTuple):
    """The output of an attempt: its streams, None without output, and the order of printing.

    ``turns`` is a JSON list: how many bytes stdout printed first, then stderr, then stdout again, and so on. None if the
    order is unknown, or if one stream was silent.
    """

    stdout: Stream | None = None
    stderr: Stream | None = None
    turns: str | None = None


SILENCE = Printout()


def ends_of(kept: int) -> tuple[int, int]:
    """Return how many bytes of the beginning and of the end of a stream are kept, of ``kept`` in all."""
    return kept // 2, kept - kept // 2


class Failure(NamedTuple):
    """Why an attempt did not succeed, in the terms of an exception; ``traceback`` is empty for commands.

    ``kinds`` are the names of the exception's class and its bases, followed by those of each leaf if it is a group.
    ``missing`` is the folder, the module or the Python without which the work could not begin; else it is empty.
    """

    type: str
    message: str
    traceback: str = ""
    kinds: Sequence[Sequence[str]] = ()
    missing: str = ""


class Outcome(NamedTuple):
    """How an attempt ended.

    ``status`` is one of the constants above. ``exit_code`` and ``signal`` exclude each other. ``seconds`` is measured
    with the monotonic clock; ``cpu`` is user plus system time in seconds; ``peak`` the peak resident memory in KiB.
    ``result`` is JSON text. ``leftovers`` is the number of processes that were alive when the job had ended,
    ``threads`` the number of threads that it left in its worker.
    ``retry_after`` (milliseconds) and ``is_final`` are requests of the job itself: that delay, or no retry.
    ``matched`` are the regular expressions of the job's rules that were found on stderr; None: not searched yet.
    ``started_at`` is None if its work never began. ``cause`` is why it failed, as the store keeps it
    (``causes/signature.py``); None for what did not fail, and until the exchange has computed it. ``turns`` is the order
    of printing, as in Printout. ``host`` is the machine that ran it, and which worker there; None: that of the run.
    """

    status: str
    exit_code: int | None = None
    signal: int | None = None
    seconds: float = 0.0
    cpu: float | None = None
    peak: int | None = None
    result: str | None = None
    failure: Failure | None = None
    stdout: Stream | None = None
    stderr: Stream | None = None
    leftovers: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    retry_after: int | None = None
    is_final: bool = False
    matched: tuple[str, ...] | None = None
    threads: int = 0
    cause: str | None = None
    turns: str | None = None
    host: str | None = None


class Printed(NamedTuple):
    """The output of a running attempt so far; None for a stream without new output."""

    claim: Claim
    stdout: Stream | None
    stderr: Stream | None
    turns: str | None = None


class Leader(NamedTuple):
    """The first process of a running attempt, the leader of its session: its pid and start time (clock ticks).

    Of one that runs elsewhere only the ``host`` is known.
    """

    claim: Claim
    pid: int | None
    born: int | None
    host: str | None = None


class Logged(NamedTuple):
    """A file with all output of an attempt to ``stream`` (``stdout``, ``stderr`` or ``both``).

    ``trouble`` says why some of it is missing; None if nothing is.
    """

    claim: Claim
    stream: str
    path: str
    trouble: str | None = None


class Ended(NamedTuple):
    """A claim and the outcome that ends it: what an executor passes to the ledger."""

    claim: Claim
    outcome: Outcome

    @property
    def errors(self) -> Stream | None:
        """The stream to which it printed errors: that of both, if they were merged."""
        return self.outcome.stdout if self.claim.output == "merged" else self.outcome.stderr


def payload(claim: Claim) -> "Any":
    """Return the decoded work: the words, the call with its arguments, or the payload."""
    import json

    return json.loads(claim.work)
