"""Which jobs a run takes."""

import json

from batchq.jobs.selection import Range
from batchq.named import NamedTuple


class RunSelection(NamedTuple):
    """Which jobs a runner takes: of one queue, of one batch, of these ranges of ids; ``None`` is any.

    Payload jobs are included only with ``payloads``. ``files`` are the sorted real paths of the job files to which the
    ids belong, or a text that identifies a command: each run of these has other ids, but counts as the same run.
    ``entered`` is the runner under which this connection keeps the ranges in a temporary table.
    """

    queue: str | None = None
    batch: str | None = None
    payloads: bool = False
    ids: tuple[Range, ...] | None = None
    files: tuple[str, ...] = ()
    entered: int | None = None

    @property
    def is_selective(self) -> bool:
        """Whether this is less than all jobs."""
        return self.queue is not None or self.batch is not None or self.ids is not None

    @property
    def source(self) -> str:
        """Where the ids come from: ``files``, or a ``command``."""
        return "files" if self.files and self.files[0].startswith("/") else "command"

    def condition(self) -> str:
        """The SQL condition on ``jobs`` for these, whatever their kind; it needs the values of ``named``."""
        parts = ["jobs.queue = :my_queue"] if self.queue is not None else []
        parts += ["jobs.queue <> 'default'"] if self.queue not in (None, "default") else []  # as below
        parts += ["jobs.batch = :my_batch"] if self.batch is not None else []
        parts += ["jobs.batch <> 'default'"] if self.batch not in (None, "default") else []  # or SQLite uses no index
        if self.ids is not None and len(self.ids) == 1:
            parts += ["jobs.id BETWEEN :my_low AND :my_high"]
        elif self.ids is not None and self.entered is not None:
            parts += [
                "(SELECT high FROM temp.spans WHERE runner = :my_runner AND low <= jobs.id ORDER BY low DESC LIMIT 1)"
                " >= jobs.id"
            ]
        elif self.ids is not None:
            parts += [
                "jobs.id IN (SELECT mine.id FROM json_each(:my_ids) AS span CROSS JOIN jobs AS mine ON mine.id BETWEEN"
                " json_extract(span.value, '$[0]') AND json_extract(span.value, '$[1]'))"
            ]
        return " AND ".join(parts) or "1"

    def named(self) -> dict[str, object]:
        """The values for ``condition``; the names differ from those of a Selection, so one statement can have both."""
        low, high = self.ids[0] if self.ids else (None, None)
        ids = json.dumps(self.ids) if self.ids is not None and len(self.ids) > 1 else None
        return {"my_queue": self.queue, "my_batch": self.batch, "my_low": low, "my_high": high, "my_ids": ids,
                "my_runner": self.entered}  # fmt: skip

    def text(self) -> str:
        """The selection as it is stored."""
        chosen: dict[str, object] = {"queue": self.queue, "batch": self.batch, "payloads": self.payloads}
        chosen |= {} if self.ids is None else {"ids": self.ids}
        return json.dumps(chosen | ({"files": self.files} if self.files else {}))

    def is_same_as(self, other: "RunSelection") -> bool:
        """Whether two runners select the same jobs, or the same job files."""
        return self._replace(ids=None) == other._replace(ids=None) if self.files else self == other
