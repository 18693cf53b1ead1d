"""The formats of ``report`` and ``list``: one table. The module of a format is imported when it is used."""

import sys
from collections.abc import Iterator

from batchq.errors import UsageError
from batchq.jobs.selection import Selection
from batchq.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.report.columns import Chosen
    from batchq.store.file.connection import Store
    from batchq.store.looking.rows import Job
    from batchq.store.looking.sorting import Key

SUMMARY, DRAWN, JOBS = range(3)  #: what a renderer takes: a Summary, one built to be drawn, or a Scope


class Format(NamedTuple):
    """A format: its name, the ``suffixes`` of its files, and its renderer, ``module:function`` below batchq.report.

    The renderer takes a Summary with that many ``failures`` and returns a text, or takes a Scope and yields pieces of
    text. ``lists``: ``list`` has the format, too. ``mode`` is that of a file, before the umask.
    """

    name: str
    suffixes: tuple[str, ...]
    renderer: str
    takes: int
    failures: int = 0
    lists: bool = False
    mode: int = 0o600

    def render(self, *values: "Any") -> "Any":
        """Call the renderer."""
        module, _, function = self.renderer.partition(":")
        name = f"batchq.report.{module}"
        __import__(name)
        return getattr(sys.modules[name], function)(*values)


class Scope(NamedTuple):
    """The selected jobs of a store at ``at`` (ms), for renderers that read the jobs themselves.

    ``limit``: only the newest ones, or the first in the ``order``. ``db`` is what commands pass to ``--db``; None:
    nothing. ``columns`` are those that were asked for; none: those of the format.
    """

    store: "Store"
    selection: Selection
    at: int
    db: str | None = None
    limit: int | None = None
    order: "tuple[Key, ...]" = ()
    columns: "tuple[Chosen, ...]" = ()

    def pages(self) -> "Iterator[list[Job]]":
        """Return the jobs in order, by default of their ids, page by page, so that any number of them can be streamed."""
        if self.order:
            from batchq.store.looking import sorting

            return sorting.pages(self.store, self.selection, self.order, self.limit, self.at)
        from batchq.store.looking import queries

        if self.limit:
            return iter([queries.newest(self.store, self.selection, self.limit)])
        return queries.pages(self.store, self.selection)


FORMATS = (
    Format("table", (".txt",), "table:report", SUMMARY, lists=True),
    Format("digest", (), "aftermath:digests", JOBS),
    Format("json", (".json",), "asjson:report", SUMMARY, failures=1000, lists=True),
    Format("jsonl", (".jsonl", ".ndjson"), "asjson:lines", JOBS, lists=True),
    Format("csv", (".csv",), "spreadsheet:rows", JOBS, lists=True),
    Format("md", (".md",), "markdown:report", SUMMARY),
    Format("junit", (".xml",), "junit:document", JOBS),
    Format("prometheus", (".prom",), "prometheus:metrics", JOBS, mode=0o644),
    Format("html", (".html", ".htm"), "page.page:page", DRAWN),
    Format("joblog", (".joblog",), "joblog:rows", JOBS, lists=True),
    Format("trace", (".trace.json", ".trace"), "trace:rows", JOBS),
)

NAMES = tuple(one.name for one in FORMATS)
FOR_PEOPLE = ("table", "digest")  #: printed in the encoding of stdout; all others are UTF-8
OF_LISTS = tuple(one.name for one in FORMATS if one.lists)


def chosen(name: str | None, file: str | None, *, json: bool, names: tuple[str, ...] = NAMES) -> Format:
    """Return the format that is named, or that the suffix of ``file`` stands for, or the table. Raises UsageError.

    ``json`` is the option of that name; ``names`` are the formats that the command has.
    """
    if json and name not in (None, "json"):
        raise UsageError(f"--json and --format {name} exclude each other")
    if name is None and not json and file is not None and file not in STDOUT:
        name = _by_suffix(file, names)
    wanted = name or ("json" if json else "table")
    return next(one for one in FORMATS if one.name == wanted)


STDOUT = ("-", "/dev/stdout")  #: names of ``--output`` for stdout itself


def _by_suffix(file: str, names: tuple[str, ...]) -> str:
    """Return the format of a file; of several suffixes the longest counts: ``.trace.json`` is not ``.json``."""
    known = {suffix: one.name for one in FORMATS if one.name in names for suffix in one.suffixes}
    found = [suffix for suffix in known if file.lower().endswith(suffix)]
    if not found:
        raise UsageError(
            f"the name of {file} does not show its format: choose one with --format, or one of these suffixes:"
            f" {', '.join(known)}"
        )
    return known[max(found, key=len)]
