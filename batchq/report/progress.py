"""The progress bar of a run on a terminal: counts, rate and remaining time."""

import time
from types import TracebackType

REFRESH = 0.1  #: seconds between two drawings


class Progress:
    """A bar on stderr during a ``with`` block; it is erased at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,  # no thread, because the runner forks: its loop draws the bar
        )
        self._task = self._bar.add_task("", total=None, counts="")
        self._next = 0.0
        self._began = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to draw again, so that jobs are not counted for nothing."""
        return time.monotonic() >= self._next

    def show(self, *, ended: int, failed: int, running: int, waiting: int) -> None:
        """Draw the counts."""
        now = time.monotonic()
        self._next = now + REFRESH
        rate = ended / max(now - self._began, 0.001)
        trouble = f", {failed} failed" if failed else ""
        counts = f"{running} running{trouble}, {rate:.1f}/s"
        self._bar.update(self._task, completed=ended, total=ended + running + waiting, counts=counts)
        self._bar.refresh()

    def __enter__(self) -> "Progress":
        self._bar.start()
        self._bar.console.show_cursor()  # rich hides it, and a run that is killed could not restore it
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
