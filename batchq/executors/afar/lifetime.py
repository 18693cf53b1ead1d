"""How long a site works. Decisions only: times are given, in monotonic seconds, and so is whether its parent is alive."""

from batchq.processes.signals import SAME, STOPPING, STOPPING_NOW

TERM_TO_KILL = 2.0  #: seconds between TERM and KILL of jobs when the site itself is stopped by a signal


class Lifetime:
    """``is_over``: the site has to leave. ``is_stopped``, by a signal: it takes no more claims.

    It is over when the run says so, when the parent is gone, and when nothing was heard for ``lease`` seconds (None: no
    limit): the run then counts the jobs as lost, and runs them elsewhere. A forked child of the engine's worker may keep
    the pipe open, and so does Slurm if srun is killed, so its end alone is not enough. One that is stopped leaves a moment
    after its last job: claims may be under way. A run that has suspended its jobs may be suspended, too, and silent.
    """

    def __init__(self, lease: float | None, now: float) -> None:
        self.is_over = self.is_suspended = False
        self._lease = lease
        self._heard_at = now
        self._stopped_at: float | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether a signal has stopped the site."""
        return self._stopped_at is not None

    def hear(self, now: float) -> None:
        """Note a sign of life of the run."""
        self._heard_at = now

    def strike(self, number: int, now: float) -> float | None:
        """Note a signal; return how much grace the jobs get if it stops them: at first some, then none."""
        if number not in (*STOPPING, *STOPPING_NOW):
            return None
        is_orderly = number in STOPPING and self._stopped_at is None
        self._stopped_at = self._stopped_at or now
        return TERM_TO_KILL if is_orderly else 0.0

    def check(self, now: float, *, is_idle: bool, has_parent: bool) -> None:
        """Decide anew; ``is_idle``: no job runs."""
        is_silent = self._lease is not None and not self.is_suspended and now - self._heard_at > self._lease
        has_ended = is_idle and self._stopped_at is not None and now - self._stopped_at > SAME
        self.is_over = self.is_over or not has_parent or is_silent or has_ended
