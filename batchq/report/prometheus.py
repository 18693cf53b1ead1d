"""A store as metrics for Prometheus, in a file for the textfile collector of its node exporter.

Labels are batches, queues and states only: causes and jobs would be time series without end. There are no timestamps
on samples, because the collector refuses them; times are values.
"""

import os
from collections.abc import Iterable, Iterator

from batchq.errors import UsageError
from batchq.jobs.lifecycle import STATES
from batchq.jobs.selection import Selection
from batchq.report.formats import Scope
from batchq.store.changing import queues
from batchq.store.looking import gauges
from batchq.store.looking.gauges import Batch
from batchq.store.running import runners
from batchq.store.snapshots import snapshot
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    Labels = tuple[tuple[str, str], ...]
    Sample = tuple[str, Labels, float]  # what follows the name of the family, labels, value

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})


def metrics(scope: Scope) -> Iterator[str]:
    """The whole file. Raises UsageError for a selection other than a batch: these are numbers of a whole store."""
    only = scope.selection.batch
    if scope.selection._replace(batch=None, everything=False) != Selection():
        raise UsageError("--format prometheus describes the whole store: of the filters it takes only --batch")
    return _families(scope, only)


def _families(scope: Scope, only: str | None) -> Iterator[str]:
    store = scope.store
    with snapshot(store):
        names, more = gauges.batches(store, only)
        cells = gauges.cells(store, names)
        batches = [found for name in names if (found := gauges.batch(store, name))]
        paused = [(one.name, one.paused) for one in queues.queues(store)]
        at_work = runners.at_work(store)
    if more:
        yield f"# {more} more batches, whose newest jobs are older, are left out\n"
    jobs = [("", (("batch", batch), ("queue", queue), ("state", state)), jobs) for batch, queue, state, jobs in cells]
    yield from _family("batchq_jobs", "Jobs by batch, queue and state.", jobs)
    yield from _of_batches(batches)
    yield from _family(
        "batchq_queue_paused",
        "Whether a queue is paused.",
        [("", (("queue", name),), int(is_paused)) for name, is_paused in paused],
    )
    yield from _family("batchq_runners", "Runs at work on the store.", [("", (), at_work)])
    yield from _family("batchq_store_bytes", "Size of the store file.", [("", (), os.path.getsize(store.path))])
    yield from _family("batchq_report_timestamp_seconds", "When these numbers were read.", [("", (), scope.at / 1000)])


def _of_batches(batches: list[Batch]) -> Iterator[str]:
    newest = "of the newest add of a batch"
    yield from _family(
        "batchq_batch_jobs",
        f"Jobs {newest} by state.",
        [
            ("", (("batch", one.name), ("state", state)), one.course.jobs.get(state, 0))
            for one in batches
            for state in STATES
        ],
    )
    for name, text, times in (
        ("added", "When the newest add of a batch was made.", [one.added_at for one in batches]),
        ("start", f"When the first job {newest} started.", [one.course.started_at for one in batches]),
        (
            "end",
            f"When the last job {newest} ended; absent while one is open.",
            [one.course.ended_at for one in batches],
        ),
        ("success", "When the newest add ended of which every job succeeded.", [one.succeeded_at for one in batches]),
    ):
        samples = [
            ("", (("batch", one.name),), at / 1000) for one, at in zip(batches, times, strict=True) if at is not None
        ]
        yield from _family(f"batchq_batch_{name}_timestamp_seconds", text, samples)
    took = [sample for one in batches for sample in _quantiles(one)]
    yield from _family("batchq_attempt_seconds", f"How long the attempts {newest} took.", took, kind="summary")


def _quantiles(batch: Batch) -> "Iterator[Sample]":
    label = ("batch", batch.name)
    if batch.took is not None:
        for quantile, seconds in (("0.5", batch.took.p50), ("0.9", batch.took.p90), ("0.99", batch.took.p99)):
            yield "", (label, ("quantile", quantile)), seconds
    yield "_sum", (label,), batch.seconds
    yield "_count", (label,), batch.attempts


def _family(name: str, text: str, samples: "Iterable[Sample]", *, kind: str = "gauge") -> Iterator[str]:
    """One family; nothing without a sample. Of samples with equal labels, which would cost the whole file, one stays."""
    lines = {f"{name}{suffix}{_labels(labels)}": value for suffix, labels, value in samples}
    if lines:
        yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
        yield "".join(f"{line} {value!r}\n" for line, value in lines.items())


def _labels(labels: "Labels") -> str:
    inside = ",".join(f'{name}="{visible(value, one_line=True).translate(_ESCAPES)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""
