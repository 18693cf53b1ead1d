"""Notify the target of a run: ``--notify``, or what the store has stored. Loaded only if there is one."""

import contextlib
import io
import sys
from typing import Any

from batchq import clock
from batchq.cli.run import output
from batchq.cli.run.output import OutputOptions
from batchq.errors import BatchqError
from batchq.events import Event
from batchq.notes import note
from batchq.notify import delivery
from batchq.notify.letters import Letter, cut
from batchq.notify.target import checked, is_url, masked
from batchq.processes.messenger import Messenger
from batchq.runner.tally import Plan, Tally
from batchq.store.file.connection import Store
from batchq.store.file.locks import LockFile
from batchq.store.file.opening import open_at
from batchq.store.keeping import notice
from batchq.store.keeping.notice import Failed
from batchq.visible import visible

_COUNTED = ("FAILED", "HELD", "RETRIED", "INTERRUPTED", "RESCUED", "NOT_RUN")


class Notifier:
    """One target and its messenger. As a handler of events it reports the start of the run."""

    def __init__(self, target: str, path: str, lock: LockFile) -> None:
        self.target = checked(target)
        self._path = path
        self._lock = lock
        if is_url(target):
            from batchq.notify import pings  # noqa: F401  before the first job: an upgrade may replace it
        self._messenger = Messenger(lambda messages: delivery.deliver(target, path, messages), lock.close)
        self.pid = self._messenger.pid

    def __call__(self, event: Event) -> None:
        """Report that the run has begun, after it was registered: a run that is turned away has not."""
        if event.name == "run.start":
            self._messenger.send(delivery.start())

    def end(self, store: Store, plan: Plan, tally: Tally, options: OutputOptions) -> None:
        """Write the letter, when the run has recorded its end; it is sent when all its processes have ended."""
        if tally.occupied_by is not None and not tally.is_turned_away:
            return  # --if-running skip: the run at work notifies
        printed = io.StringIO()
        try:
            with contextlib.redirect_stderr(printed):
                shown = options._replace(
                    quiet=False, verbose=False, as_json=False, live=False, only_news=False, db=self._path
                )
                output.print_result(store, plan, tally, shown)
        except (BatchqError, OSError) as error:
            self.trouble(str(error))
        else:
            self._messenger.send(delivery.end(_letter(tally, self._path, printed.getvalue())))

    def trouble(self, text: str) -> None:
        """Report that the run ends with this error."""
        self._messenger.send(delivery.trouble(text))

    def finish(self, status: int, options: OutputOptions, *, trust_owner: bool) -> None:
        """Have the end of the run delivered. If that fails, store why; nothing else changes."""
        self._lock.close()  # everything of the run has ended: other runs need not wait for the messenger
        is_seen = options.verbose or (sys.stderr.isatty() and not options.quiet)
        to = masked(self.target)
        reason = self._messenger.finish(
            delivery.over(128 - status if status < 0 else status),
            lambda: note(f"notifying {to}; Ctrl-C ends the wait") if is_seen else None,
        )
        if reason is None:
            return
        if reason and is_seen:
            note(f"could not notify {to}: {reason}")
        # A store that does not answer now has been reported by the run.
        with contextlib.suppress(BatchqError, OSError), open_at(self._path, trust_owner=trust_owner) as store:
            store.patience = 1.0
            notice.note_failure(store, Failed(clock.now(), to, reason) if reason else None)


def _letter(tally: Tally, path: str, text: str) -> Letter:
    code = tally.exit_code()
    counts: dict[str, Any] = {
        "SUCCEEDED": tally.succeeded, "FAILED": len(tally.failed), "HELD": len(tally.held), "RETRIED": tally.retried,
        "INTERRUPTED": tally.interrupted, "RESCUED": tally.rescued,
        "NOT_RUN": sum(len(one.jobs) for one in tally.not_run),
    }  # fmt: skip
    told = [f"{tally.succeeded:,} succeeded"]
    told += [f"{counts[name]:,} {name.lower().replace('_', ' ')}" for name in _COUNTED if counts[name]]
    of = "run" if tally.run is None else f"run {tally.run}"
    head = f"batchq: {of} of {visible(path, one_line=True)}: {', '.join(told)}; exit code {code}\n"
    has_news = bool(tally.started or tally.rescued or code)
    return Letter({"RUN": tally.run, "STATUS": code, "DB": path, **counts}, cut(head + text), has_news)
