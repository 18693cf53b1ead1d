"""A run watched on a terminal: lines for what happens, and the block that shows its state."""

import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from batchq import clock
from batchq.cli.run.journal import Journal
from batchq.cli.run.labels import label, last_line, title
from batchq.cli.run.live import sentences
from batchq.cli.run.live.failures import Failures
from batchq.cli.run.live.frame import Running, View, frame
from batchq.cli.run.live.screen import Screen
from batchq.cli.run.preparing import Explainer
from batchq.jobs.attempt import Claim, Printed
from batchq.report import layout
from batchq.report.layout import Line, Look, line, render
from batchq.runner.observer import Observer, Scene
from batchq.store.file.connection import Store
from batchq.store.running import forecast, waits
from batchq.store.running.recording import Settled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.executors.tee import Tee

REFRESH = 0.125  #: seconds between two drawings
LOOK = 0.5  #: seconds between two looks for what the run waits for
SHARE = 0.02  #: of the time that looks into the store take at most
YOUNG = 0.5  #: seconds before a job is shown: shorter ones would only flicker
WINDOW = 30.0  #: seconds over which the rate is measured


@contextmanager
def watched(store: Store, tee: "Tee | None", *, verbose: bool) -> Iterator[Observer]:
    """Watch a run on the terminal that stderr is, if ``verbose`` with a line for each event. Messages are printed there,
    and lines of jobs. Under the output of a single job, which is passed on byte for byte, nothing is drawn."""
    environ = os.environ
    can_draw = environ.get("TERM", "dumb") not in {"dumb", "unknown", ""} and not environ.get("CI")
    sharing = getattr(tee, "sharing", None)
    can_draw = can_draw and (tee is None or sharing is not None)
    with (
        Screen(sys.stderr.fileno(), draws=can_draw) as screen,
        nullcontext() if sharing is None else sharing(screen),
    ):
        watcher = Watcher(store, screen, tee, verbose=verbose, colour=layout.look(sys.stderr, "auto", environ).colour)
        watcher.has_one_job = tee is not None and sharing is None
        yield watcher


class Watcher(Explainer):
    """Shows a run on ``screen``. If it ``has_one_job``, whose output is passed on, only the digest reports its failure."""

    has_one_job = False

    def __init__(self, store: Store, screen: Screen, tee: "Tee | None", *, verbose: bool, colour: bool) -> None:
        super().__init__(tee)
        self._store = store
        self._screen = screen
        self._colour = colour
        self._failures = Failures()
        self._journal = Journal(write=self._log) if verbose else None
        self._scene: Scene | None = None
        self._began = time.monotonic()
        self._draw_at = self._look_at = self._count_at = 0.0
        self._waiting = 0
        self._waits: list[str] = []
        self._last: dict[str, str] = {}  # lines by token
        self._samples: deque[tuple[float, int]] = deque()
        self._stop_at: float | None = None
        self._is_killing = False

    def occupied(self, pid: int) -> None:
        """Print for which run this one waits."""
        self._print(line(f"batchq: waiting for process {pid}, which runs these jobs"))

    def begin(self, scene: Scene) -> None:
        """Begin to watch."""
        self._scene = scene
        if self._journal is not None:
            self._journal.begin(scene)

    def started(self, claim: Claim) -> None:
        """Print a job that starts, if everything is printed."""
        if self._journal is not None:
            self._journal.started(claim)

    def printed(self, printed: Printed) -> None:
        """Keep the last line of a job, to be shown next to it."""
        for stream in (printed.stderr, printed.stdout):
            if stream is not None and (text := last_line(stream)):
                self._last[printed.claim.token] = text

    def settled(self, settled: Sequence[Settled]) -> None:
        """Print the first failures of each kind, or everything."""
        super().settled(settled)
        if self._journal is not None:
            self._journal.settled(settled)
            return
        now = clock.now()
        for one in settled:
            if one.settlement.state != "succeeded" and (found := self._failures.add(one, now)) is not None:
                text, is_final = found
                if not (self.has_one_job and is_final):
                    self._print(line((text, "red" if is_final else "yellow"), crop=True))

    def step(self) -> None:
        """Report a stop, and draw if it is time and the terminal takes it. Raises BatchqError."""
        scene, now = self._scene, time.monotonic()
        assert scene is not None
        self._screen.hurries = scene.tally.signal is not None
        if scene.stopping.at != self._stop_at:
            self._report_stop(scene, now)
        self._screen.push()
        if now < self._draw_at or not self._screen.draws or not self._screen.is_ready():
            return
        self._draw_at = now + REFRESH
        self._look(scene, now)
        size = self._screen.size()
        self._draw(frame(self._view(scene, now), size.columns, size.lines), size.columns)

    def pause(self) -> None:
        """Erase the block."""
        self._screen.erase()

    def _report_stop(self, scene: Scene, now: float) -> None:
        """Print for whom a stop waits; later once more, when these jobs are stopped."""
        stop, is_first = scene.stopping, self._stop_at is None
        assert stop.at is not None
        left = 0.0 if stop.is_hurried else stop.at - now
        self._stop_at = stop.at
        if self._is_killing:
            return
        self._is_killing = stop.is_hurried or not is_first
        names = [title(claim) for claim in _begun(scene)]
        if not is_first and not names:
            return
        why = sentences.cause(scene.tally)
        if not is_first:
            why, left = (f"{why} again" if stop.is_hurried else f"{why}: the time is up"), 0.0
        for text in sentences.stopping(why, names, left, clock.now()):
            self._print(line(f"batchq: {text}"))

    def _look(self, scene: Scene, now: float) -> None:
        """Read from the store what is waiting, and for what; rarely, if that takes long."""
        if now >= self._count_at:
            self._waiting = forecast.waiting(self._store, scene.me.wanted)
            self._count_at = _again(now, REFRESH)
        if now < self._look_at:
            return
        running = sum(claim.slots for claim in scene.running.values())
        if running < scene.executor.slots and scene.stopping.at is None:
            me = scene.me._replace(widest=max(scene.me.widest, scene.executor.widest))  # a machine may have come
            found = waits.waits(self._store, me, len(scene.running))
            self._waits = sentences.waiting(
                found,
                clock.now(),
                is_idle=not running,
                watches=scene.plan.watch,
                is_elsewhere=scene.executor.lease is not None,
            )
        else:
            self._waits = []
        self._look_at = _again(now, LOOK)

    def _view(self, scene: Scene, now: float) -> View:
        tally, wall = scene.tally, clock.now()
        begun = _begun(scene)
        self._last = {token: text for token, text in self._last.items() if token in scene.running}
        ended = tally.succeeded + len(tally.failed)
        rate = self._rate(now, ended)
        waiting = max(0, self._waiting)
        jobs = [
            Running(seconds, label(claim), self._last.get(claim.token, ""))
            for claim in begun
            if (seconds := (wall - (claim.started_at or wall)) / 1000) >= YOUNG
        ]
        at = scene.stopping.at
        return View(
            ended,
            ended + len(scene.running) + waiting,
            min(len(begun), scene.executor.slots),  # one that has just ended may still be among them
            len(tally.failed),
            now - self._began,
            rate,
            None if not rate or self._waits or at is not None else (len(scene.running) + waiting) / rate,
            jobs,
            self._failures.counted(),
            self._waits,
            "" if at is None else sentences.stop(tally, len(begun), 0 if self._is_killing else at - now),
        )

    def _rate(self, now: float, ended: int) -> float | None:
        """Jobs in a second, over the last half minute."""
        samples = self._samples
        samples.append((now, ended))
        while samples[0][0] < now - WINDOW:
            samples.popleft()
        since, before = samples[0]
        return (ended - before) / (now - since) if ended > before else None

    def _draw(self, lines: Sequence[Line], columns: int) -> None:
        self._screen.draw(render(lines, Look(columns - 1, self._colour)).split("\n")[:-1], columns)

    def _log(self, text: str) -> None:
        self._print(line((clock.bare(clock.now()).split(" ")[1], "dim"), f" {text}"))

    def _print(self, one: Line) -> None:
        self._screen.print(render([one], Look(self._screen.size().columns - 1, self._colour)))


def _again(began: float, least: float) -> float:
    """When to look again after a look that began then."""
    now = time.monotonic()
    return now + max(least, (now - began) / SHARE)


def _begun(scene: Scene) -> list[Claim]:
    """The attempts that have begun, the oldest first."""
    begun = [claim for claim in scene.running.values() if claim.started_at is not None]
    return sorted(begun, key=lambda claim: (claim.started_at, claim.id))
