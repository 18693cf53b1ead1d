"""The failures of a run as one value: read from the store at its end, in one snapshot."""

from collections.abc import Collection, Iterable, Iterator
from functools import cache

from batchq.jobs.selection import Selection
from batchq.named import NamedTuple
from batchq.report.again import Failed, ids_of
from batchq.report.digest import IN_FULL, digest, digest_of_held
from batchq.report.program import place, program
from batchq.store.file.connection import Store
from batchq.store.looking import outputs, queries
from batchq.store.looking.rows import Failure
from batchq.store.snapshots import snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.report.formats import Scope
    from batchq.report.reasons import Reason
    from batchq.store.looking.change import Change

#: What explains failures. It takes about 10 ms to import, so a run does that at its first failure.
EXPLAINING = (
    "batchq.jobs.causes.signature",
    "batchq.report.change",
    "batchq.report.folding",
    "batchq.report.reasons",
    "batchq.store.looking.change",
)

COMPARED = (
    100_000  #: with more failed jobs than that nothing is compared with last time: it would take long, and memory
)


class Aftermath(NamedTuple):
    """The ``failed`` jobs of a run, their ``reasons``, and ``retry``, the command that runs exactly them again.

    ``failures`` are the first jobs in full, for one that failed alone, and for all if their reasons are unknown, because
    the files of batchq were replaced before the first failure. ``lost`` jobs of ``failed`` have been retried or removed
    since. ``cancelled`` jobs were cancelled because they depend on these. ``change`` is what changed since last time, and
    ``since`` the same in one line (None and "" if there is no last time); ``is_news``: other jobs failed than last time.
    """

    failed: int
    reasons: "list[Reason]"
    failures: list[Failure]
    lost: int
    cancelled: int
    change: "Change | None"
    since: str
    is_news: bool
    retry: str


def gather(store: Store, failed: Collection[int], answered: Selection | None, db: str | None = None) -> Aftermath:
    """Read what is known of the ``failed`` jobs, of which there is at least one.

    ``answered`` are the jobs that the run answers for, to compare them with last time. ``db`` is put into the commands.
    """
    ids = ids_of(failed)
    with snapshot(store):
        chosen = Selection(ids)
        if answered is not None and ids_of(queries.failed_ids(store, answered)) == ids:
            chosen = answered
        changed, found = None, []
        if explains := is_ready():
            changed = _change(store, answered) if len(failed) <= COMPARED else None
            found = _reasons(store, chosen, changed, db)
        shown = [] if found and len(failed) > 1 else outputs.failures(store, Selection(ids), IN_FULL)
        return Aftermath(
            failed=len(failed),
            reasons=found,
            failures=_folded(shown) if explains else shown,
            lost=max(0, len(failed) - sum(one.jobs for one in found)) if found else 0,
            cancelled=queries.cancelled_below(store, failed),
            change=changed,
            since=_sentence(changed),
            is_news=is_news(failed, changed),
            retry=Failed(store, chosen, ids, db).all(),
        )


def digests(scope: "Scope") -> Iterator[str]:
    """Yield what a run would print at its end if it had answered for the selected jobs; nothing if none went wrong."""
    from batchq.store.answering import answers

    store, selection = scope.store, scope.selection
    where = place(scope.db) if scope.db else ""
    if failed := [*queries.failed_ids(store, selection)]:
        yield digest(gather(store, failed, selection, scope.db), place=where)
    if held := answers.chosen_on_hold(store, selection):
        yield digest_of_held(outputs.on_hold(store, held[:IN_FULL]), held, program(scope.db), "" if failed else where)


@cache
def is_ready() -> bool:
    """Import what explains failures; return whether that worked, because an upgrade may replace it during a run."""
    try:
        for module in EXPLAINING:
            __import__(module)
    except (Exception, SystemExit):  # a newer version of a module may fail in any way
        return False
    return True


def as_values(found: Aftermath) -> "dict[str, Any]":
    """The values ``causes``, ``change`` and ``retry`` of a run as JSON, as in a report; no reasons if they are unknown."""
    if not is_ready():
        return {"causes": [], "change": None, "retry": found.retry}
    from batchq.report import change, reasons

    return {
        "causes": [reasons.as_values(one) for one in found.reasons],
        "change": found.change and change.as_values(found.change),
        "retry": found.retry,
    }


def recovered(store: Store, answered: Selection) -> str:
    """What changed for jobs of which none has failed, in one line, if some of them had failed last time; else ""."""
    if not is_ready():
        return ""
    with snapshot(store):
        changed = _change(store, answered)
    return _sentence(changed) if changed is not None and changed.recovered else ""


def is_news(failed: Iterable[int], changed: "Change | None") -> bool:
    """Whether a job failed that did not fail last time, or recovered. Without a counterpart, a failure is new."""
    return changed is None or bool(changed.recovered) or not set(failed) <= set(changed.again)


def _change(store: Store, answered: Selection | None) -> "Change | None":
    from batchq.store.looking import change

    return None if answered is None else change.change(store, answered)


def _reasons(store: Store, chosen: Selection, changed: "Change | None", db: str | None) -> "list[Reason]":
    from batchq.report import reasons

    found = reasons.find(store, chosen, past=changed and changed.compared, db=db)
    return [one._replace(examples=_folded(one.examples[:1])) for one in found]


def _sentence(changed: "Change | None") -> str:
    if changed is None:
        return ""
    from batchq.report import change

    is_any = changed.is_any or changed.again or changed.gone or changed.slower
    return change.sentence(changed) if is_any else ""


def _folded(failures: Iterable[Failure]) -> list[Failure]:
    """The same failures with folded tracebacks, also in what they printed."""
    from batchq.report.folding import folded, folded_output

    return [
        Failure(
            one.job._replace(traceback="\n".join(folded(one.job.traceback))) if one.job.traceback else one.job,
            one.log and one.log._replace(data=folded_output(one.log.data)),
        )
        for one in failures
    ]
