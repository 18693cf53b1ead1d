"""The plan of a run, and what it has done."""

from collections.abc import Sequence

from batchq.errors import BatchqError, BusyError
from batchq.executors.seam import Refused
from batchq.jobs.attempt import INTERRUPTED, Ended
from batchq.jobs.lifecycle import is_snooze
from batchq.named import NamedTuple
from batchq.runner.status import passed
from batchq.store.answering.answers import Asked, Before, Last
from batchq.store.looking.obstacles import NotRun
from batchq.store.names import Unknown
from batchq.store.running.recording import Settled
from batchq.store.running.wanted import RunSelection


class Halt(NamedTuple):
    """When failures end a run: from ``failed`` failed jobs on, or from ``percent`` of the finished jobs on (of at least
    three, as in GNU parallel). With ``now`` running jobs are killed, else they may finish."""

    now: bool
    failed: int | None = 1
    percent: float | None = None

    def is_due(self, failed: int, finished: int) -> bool:
        """Whether ``failed`` of ``finished`` jobs are enough."""
        if self.percent is None:
            return self.failed is not None and failed >= self.failed
        return finished >= 3 and failed * 100 >= self.percent * finished


class Plan(NamedTuple):
    """The task of one run: which jobs, at most how many and for how long, and when failures end it.

    ``grace`` is how many seconds running jobs have to finish when the run is stopped. With ``watch`` it stays when
    nothing is left, and takes new jobs. ``if_running`` is what to do if another run of the same jobs is at work:
    ``join``, ``skip``, ``fail``, or ``wait`` for up to ``patience`` seconds (None: without limit). If it ``is_keyed``, it
    adds one job, and the job of that key decides this. If it ``is_passing``, it adds one job whose exit code is its own.
    """

    wanted: RunSelection
    max_jobs: int | None = None
    grace: float = 8.0
    max_seconds: float | None = None
    halt: Halt | None = None
    watch: bool = False
    if_running: str = "join"
    patience: float | None = None
    is_keyed: bool = False
    is_passing: bool = False


class Tally:
    """What a run has done so far. ``failed`` has the ids of failed jobs that this run answers for, ``held`` of those
    that batchq put on hold while it ran.

    ``run`` is its id, None if it did not begin. For jobs ``asked`` for by name it answers whichever run ran them:
    ``last`` is the only one, if its exit code is wanted; ``before`` are those that were known by key and had not
    succeeded, ``not_run`` those that did not run, and why. It
    does not answer for jobs ``on_hold`` (since an earlier run), ``too_wide`` (for the ``slots`` that a job can have at its
    end; one that ``is_elsewhere`` says so by its exit code, because ``-j`` does not decide there) or ``left_open`` (by an
    earlier run of the same files).

    ``seconds`` is how long it took. ``stopped_at`` names the option (``--max-jobs``, ``--max-time``, ``--halt``) that
    ended it with work left.
    ``beyond_reach`` are dead runners with processes that are alive, or may be alive unseen: their jobs stay as they are.
    ``left`` are jobs that may still run elsewhere where nobody answers: the next run makes sure of their end.
    ``unrecorded`` are results that could not be recorded, and ``trouble`` is why the store did not answer at the end;
    ``unlogged`` are jobs whose logs are incomplete. ``occupied_by`` is the process of an earlier run that kept this one
    from starting; ``occupied_job`` is its job that has the key of the only job that was wanted. ``is_stuck``: it runs
    inside a job, and ended because the rest could not start before that job finishes.
    """

    def __init__(self) -> None:
        self.succeeded = 0
        self.failed: dict[int, None] = {}
        self.held: dict[int, None] = {}
        self.run: int | None = None
        self.asked: Asked | None = None
        self.last: Last | None = None
        self.before: list[Before] = []
        self.not_run: list[NotRun] = []
        self.on_hold: list[int] = []
        self.left_open: list[int] = []
        self.never_seen: list[Unknown] = []
        self.too_wide: list[int] = []
        self.slots = 0
        self.is_elsewhere = False
        self.seconds = 0.0
        self.retried = 0
        self.interrupted = 0
        self.other = 0
        self.running = 0
        self.started = 0
        self.rescued = 0
        self.unrecorded: list[Ended] = []
        self.refusal: Refused | None = None
        self.trouble: BatchqError | None = None
        self.beyond_reach: list[int] = []
        self.left: list[int] = []
        self.unlogged: dict[int, None] = {}
        self.signal: int | None = None
        self.left_alone: dict[str, int] = {}
        self.stopped_at: str | None = None
        self.occupied_by: int | None = None
        self.occupied_job: int | None = None
        self.is_turned_away = False
        self.is_stuck = False

    def exit_code(self) -> int:
        """The exit code: a signal takes precedence over a lost result, that over a job that failed or was put on hold,
        that over a requested job that was not run, that over success. The only job may pass its own for its end."""
        if self.signal is not None:
            return 128 + self.signal
        if self.is_turned_away:
            return 75
        if self.unrecorded:
            return 74
        if self.trouble is not None:
            return 75 if isinstance(self.trouble, BusyError) else 74
        if self.refusal is not None:
            return self.refusal.exit_code
        if self.unlogged:
            return 74
        if self.last is not None and (own := passed(self.last)) is not None:
            return own
        if self.failed or self.held or self.before or self.stopped_at == "--halt":
            return 1
        is_short = self.is_elsewhere and self.too_wide
        return 3 if self.not_run or self.beyond_reach or self.left or is_short else 0

    def take(self, settled: Sequence[Settled]) -> None:
        """Count accepted outcomes."""
        for claim, outcome, to in settled:
            if to.state == "succeeded":
                self.succeeded += 1
                if self.failed:
                    self.failed.pop(claim.id, None)  # somebody has retried it since: the last state counts
            elif to.state == "failed":
                self.failed[claim.id] = None
            elif outcome.status == INTERRUPTED and to.state != "held" and not is_snooze(outcome):
                self.interrupted += 1
            elif to.state == "held":
                self.held[claim.id] = None
            elif to.state == "scheduled":
                self.retried += 1
            else:
                self.other += 1
