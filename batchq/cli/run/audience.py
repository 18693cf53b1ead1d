"""Who sees a run while it works: an observer for people, and what passes the output of jobs on."""

import signal
from contextlib import nullcontext

from batchq.cli.request import Request
from batchq.cli.run.output import OutputOptions
from batchq.cli.run.preparing import Explainer
from batchq.errors import LedgerError
from batchq.notes import note
from batchq.processes.signals import Inbox
from batchq.runner import Observer, Tally
from batchq.store.file.connection import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from batchq.executors.tee import Tee


def tee(request: Request, *, is_teed: bool) -> "Tee | None":
    """Make what passes the output of jobs on: byte for byte that of the only one, line by line that of several."""
    if request.keep_order or request.pass_on:
        from batchq.cli.run.passing import InOrder, Passing

        return InOrder() if request.keep_order else Passing()
    if is_teed:
        from batchq.executors.tee import Tee

        return Tee()
    return None


def observing(store: Store, options: OutputOptions, tee: "Tee | None") -> "AbstractContextManager[Observer]":
    """Make the observer: a terminal is drawn on, -v prints a line for each event, and otherwise nothing is printed."""
    if options.live:
        from batchq.cli.run.live.watching import watched

        return watched(store, tee, verbose=options.verbose)
    if options.verbose:
        from batchq.cli.run.journal import Journal

        return nullcontext(Journal(tee))
    return nullcontext(Explainer(tee))


def drained(tee: "Tee", inbox: Inbox, tally: Tally, code: int) -> int:
    """Wait until the output of jobs is read, now that all is recorded; return the exit code."""
    if tally.signal is None:
        tee.drain(inbox)
        if inbox.received:
            return status(inbox.received[0])
    if (trouble := tee.trouble()) is not None:
        note(f"cannot write the output of jobs: {trouble.strerror}")
        return code if tally.signal is not None else LedgerError.exit_code
    return code


def status(number: int) -> int:
    """Return the exit status of a run stopped by a signal; it ends by SIGINT itself, or a shell loop would continue."""
    return -number if number == signal.SIGINT else 128 + number
