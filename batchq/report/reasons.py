"""Why jobs failed: their causes, put together where they differ only in a word, each with its exact command."""

from collections.abc import Sequence

from batchq.clock import iso
from batchq.jobs.causes import clusters
from batchq.jobs.selection import Range, Selection, in_words, merged, of_ids
from batchq.named import NamedTuple
from batchq.report.again import Failed
from batchq.store.file.connection import Store
from batchq.store.looking import causes, outputs
from batchq.store.looking.causes import Hit
from batchq.store.looking.rows import Failure
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.jobs.causes.signature import Signature

EXAMPLES = 3
READ = 12  #: jobs of a reason that are read to find its title
SHOWN = 100  #: reasons whose jobs are read at all; the later ones are rare
_LONGEST_TITLE = 300
_UNKNOWN = "no cause is known: batchq 0.1.0 stored none"


class Reason(NamedTuple):
    """The failed jobs of one cluster of causes.

    ``causes`` are the ids of the stored causes that were put together, sorted; ``ending`` is how the jobs ended
    (``exception``, ``exit 3``, ``timed out``), ``title`` and ``where`` (``at work.py:14`` or nothing) are safe to print.
    ``first`` and ``last`` are when they failed (ms). ``before`` is how many jobs it hit last time: 0 if it is new, None
    if there is no last time. ``examples`` are a few of the jobs, ``retry`` is the command that takes exactly ``ids``.
    """

    causes: tuple[str, ...]
    ending: str
    title: str
    where: str
    jobs: int
    ids: tuple[Range, ...]
    first: int
    last: int
    queues: dict[str, int]
    before: int | None
    examples: list[Failure]
    retry: str

    @property
    def text(self) -> str:
        """How the jobs ended and why: ``KeyError: 'price'``, ``exit 3: checksum mismatch in …``."""
        return self.title if self.ending in ("exception", "") else f"{self.ending}: {self.title}"


def find(store: Store, selection: Selection, *, past: Selection | None = None, db: str | None = None) -> list[Reason]:
    """The reasons why jobs of the selection failed, the one of most jobs first, then the one of the smallest id.

    ``past`` are the jobs of last time (``Change.compared``). ``db`` is put into the commands. Of the first
    ``SHOWN`` reasons a few jobs are read, for their titles and examples.
    """
    hits = causes.by_cause(store, selection)
    if not hits:
        return []
    earlier = causes.by_cause(store, past) if past else []
    grouped = _grouped([*hits, *earlier], len(hits))
    every = tuple(merged(ids for hit in hits for ids in hit.ids))
    failed = Failed(store, selection, every, db)
    found = [
        _reason(key, now, sum(hit.jobs for hit in before) if past else None, failed)
        for key, (now, before) in grouped.items()
        if now
    ]
    found.sort(key=lambda one: (-one.jobs, one.ids))
    return [*_described(store, found[:SHOWN]), *found[SHOWN:]]


def as_values(reason: Reason) -> "dict[str, Any]":
    """A reason as JSON has it."""
    return {
        "causes": reason.causes,
        "ending": reason.ending,
        "title": reason.title,
        "where": reason.where,
        "jobs": reason.jobs,
        "ids": in_words(reason.ids),
        "first_failed_at": iso(reason.first),
        "last_failed_at": iso(reason.last),
        "queues": reason.queues,
        "last_time": reason.before,
        "examples": [one.job.id for one in reason.examples],
        "retry": reason.retry,
    }


def _grouped(hits: Sequence[Hit], now: int) -> dict[clusters.Key, tuple[list[Hit], list[Hit]]]:
    """The clusters of causes; of each the hits of now, which are the first ones, and those of last time."""
    cluster_of = clusters.merged({hit.key for hit in hits})
    found: dict[clusters.Key, tuple[list[Hit], list[Hit]]] = {}
    for number, hit in enumerate(hits):
        found.setdefault(cluster_of[hit.key], ([], []))[number >= now].append(hit)
    return found


def _reason(key: clusters.Key, hits: list[Hit], before: int | None, failed: Failed) -> Reason:
    ids = tuple(merged(pair for hit in hits for pair in hit.ids))
    of_causes = tuple(sorted({hit.id for hit in hits if hit.id}))
    queues: dict[str, int] = {}
    for hit in hits:
        for queue, jobs in hit.queues.items():
            queues[queue] = queues.get(queue, 0) + jobs
    return Reason(
        causes=of_causes,
        ending=visible(key[0], one_line=True),
        title=_masked_title(*key),
        where="",
        jobs=sum(hit.jobs for hit in hits),
        ids=ids,
        first=min(hit.first for hit in hits),
        last=max(hit.last for hit in hits),
        queues=dict(sorted(queues.items(), key=lambda item: (-item[1], item[0]))),
        before=before,
        examples=[],
        retry=failed.some(ids, of_causes if all(hit.is_stored for hit in hits) else ()),
    )


def _described(store: Store, found: Sequence[Reason]) -> list[Reason]:
    """The reasons with their titles, places and examples, from a few jobs of each."""
    to_read = [_spread(one) for one in found]
    read = dict(causes.signatures(store, sorted({id for ids in to_read for id in ids})))
    examples = {
        one.job.id: one for one in outputs.failures(store, of_ids(id for ids in to_read for id in ids[:EXAMPLES]), -1)
    }
    described = []
    for one, ids in zip(found, to_read, strict=True):
        same = [read[id] for id in ids if id in read and read[id].id in one.causes]
        described.append(
            one._replace(
                title=_title(one, same),
                where=visible(f"at {same[0].where}", one_line=True) if same and same[0].where else "",
                examples=[examples[id] for id in ids[:EXAMPLES] if id in examples],
            )
        )
    return described


def _spread(reason: Reason) -> list[int]:
    """The first ids of a reason, and then some from all over it, so that what varies is seen."""
    jobs = reason.jobs
    wanted = sorted({*range(min(EXAMPLES, jobs)), *(jobs * part // READ for part in range(READ)), jobs - 1})
    found: list[int] = []
    place = 0
    for low, high in reason.ids:
        while len(found) < len(wanted) and wanted[len(found)] <= place + high - low:
            found.append(low + wanted[len(found)] - place)
        place += high - low + 1
    return found


def _title(reason: Reason, same: "Sequence[Signature]") -> str:
    lines = [one.line for one in same if one.line]
    if not lines or (len(lines) == 1 < reason.jobs):
        return reason.title
    return _safe(clusters.title(lines, reason.title))


def _masked_title(ending: str, text: str) -> str:
    """What a reason is called if none of its jobs can be read."""
    if not text:
        return _UNKNOWN
    if ending != "exception":
        return _safe(text)
    kind, *rest = text.split(" | ")
    said = rest[1] if len(rest) > 1 else rest[0] if len(rest) == 1 else ""
    return _safe(f"{kind}: {said}" if said else kind)


def _safe(text: str) -> str:
    text = visible(text, one_line=True)
    return text if len(text) <= _LONGEST_TITLE else text[: _LONGEST_TITLE - 1] + "…"
