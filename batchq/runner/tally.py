"""What a run is to do, and what it has done."""

from collections.abc import Sequence

from batchq.errors import BatchqError, BusyError
from batchq.jobs.attempt import INTERRUPTED, Ended
from batchq.jobs.lifecycle import is_snooze
from batchq.named import NamedTuple
from batchq.store.answering.answers import Asked, Before
from batchq.store.looking.obstacles import NotRun
from batchq.store.names import Unknown
from batchq.store.running.recording import Settled
from batchq.store.running.runners import RunSelection


class Halt(NamedTuple):
    """When failures end a run: ``now`` ends what runs, else it may finish; from ``failed`` failed jobs on, or from
    that ``percent`` of the jobs that are over (of three at least, as in GNU parallel)."""

    now: bool
    failed: int | None = 1
    percent: float | None = None

    def is_due(self, failed: int, over: int) -> bool:
        """Whether so many failures are enough."""
        if self.percent is None:
            return self.failed is not None and failed >= self.failed
        return over >= 3 and failed * 100 >= self.percent * over


class Plan(NamedTuple):
    """What one run is to do: which jobs, at most how many and for how long, and when failures end it.

    ``grace`` (seconds) is how long running jobs may finish when it is stopped. With ``watch`` it stays when nothing is
    left, and takes what is added. ``if_running`` says what another run of the same jobs means for this one: ``join``,
    ``skip``, ``fail``, or ``wait`` for up to ``patience`` seconds (None: as long as it takes).
    """

    wanted: RunSelection
    max_jobs: int | None = None
    grace: float = 8.0
    max_seconds: float | None = None
    halt: Halt | None = None
    watch: bool = False
    if_running: str = "join"
    patience: float | None = None


class Tally:
    """What a run has done so far. ``failed`` holds the ids of jobs that ended failed and that this run answers for,
    ``held`` of those that batchq put on hold while it ran.

    What was ``asked`` for by name is answered for whoever ran it: ``before`` are jobs of it that were known by key and
    had not succeeded, ``not_run`` those that did not run, and why. ``on_hold`` (since an earlier run), ``too_wide`` (for
    its slots) and ``left_open`` (by an earlier run of the same files) are jobs that it met, without answering for them.

    ``stopped_at`` names the option (``--max-jobs``, ``--max-time``, ``--halt``) that ended it with work left.
    ``beyond_reach`` are dead runners of which something lives, or may live unseen: their jobs stay as they are.
    ``unrecorded`` are results that could not be recorded, and ``trouble`` is why the store did not answer at the end;
    ``unlogged`` are jobs whose logs are incomplete.
    ``occupied_by`` is the process of a run that was there before and kept this one from beginning. ``is_stuck``: it runs
    inside of a job, and ended because what was left could not start before that is over.
    """

    def __init__(self) -> None:
        self.succeeded = 0
        self.failed: dict[int, None] = {}
        self.held: dict[int, None] = {}
        self.asked: Asked | None = None
        self.before: list[Before] = []
        self.not_run: list[NotRun] = []
        self.on_hold: list[int] = []
        self.left_open: list[int] = []
        self.never_seen: list[Unknown] = []
        self.too_wide: list[int] = []
        self.slots = 0
        self.retried = 0
        self.interrupted = 0
        self.other = 0
        self.running = 0
        self.started = 0
        self.rescued = 0
        self.unrecorded: list[Ended] = []
        self.refusal: str | None = None
        self.trouble: BatchqError | None = None
        self.beyond_reach: list[int] = []
        self.unlogged: dict[int, None] = {}
        self.signal: int | None = None
        self.left_alone: dict[str, int] = {}
        self.stopped_at: str | None = None
        self.occupied_by: int | None = None
        self.is_turned_away = False
        self.is_stuck = False

    def exit_code(self) -> int:
        """What a script sees: a signal comes before a lost result, that before a job that failed or was put on hold,
        that before a job that was asked for and not run, that before success."""
        if self.signal is not None:
            return 128 + self.signal
        if self.is_turned_away:
            return 75
        if self.unrecorded:
            return 74
        if self.trouble is not None:
            return 75 if isinstance(self.trouble, BusyError) else 74
        if self.refusal is not None:
            return 78
        if self.unlogged:
            return 74
        if self.failed or self.held or self.before or self.stopped_at == "--halt":
            return 1
        return 3 if self.not_run or self.beyond_reach else 0

    def take(self, settled: Sequence[Settled]) -> None:
        """Count accepted outcomes."""
        for claim, outcome, to in settled:
            if to.state == "succeeded":
                self.succeeded += 1
                if self.failed:
                    self.failed.pop(claim.id, None)  # somebody has retried it meanwhile: how it ended counts
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
