"""The columns of ``batchq list``: each is declared once, with its names, its heading, its value and its text."""

from batchq.clock import iso, local, show_age, show_duration
from batchq.errors import UsageError
from batchq.jobs.work import did_you_mean
from batchq.named import NamedTuple
from batchq.report.ending import ending
from batchq.report.layout import Part
from batchq.report.states import LOST, STYLES, state
from batchq.store.looking.rows import End, Job
from batchq.store.looking.sorting import Key
from batchq.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Now(NamedTuple):
    """When jobs are shown (ms); ``is_screen``: to a person now, so times may be written as ages."""

    at: int
    is_screen: bool = False


class Column(NamedTuple):
    """A column. ``field`` is its name in CSV and JSON, by which it can be asked for, too.

    ``value`` is what CSV and JSON have. ``text`` is for tables, made from ``value`` if it is None. ``is_label``: a text of
    any length, which is shortened to fit into a window.
    """

    name: str
    field: str
    value: "Callable[[Job, Now], object]"
    text: "Callable[[Job, Now], Part] | None" = None
    is_right: bool = False
    is_label: bool = False

    @property
    def heading(self) -> str:
        """Its title."""
        return self.name.upper().replace("_", " ")

    def cell(self, job: Job, now: Now) -> Part:
        """What a table shows of a job; ``-`` for nothing."""
        text, style = self.text(job, now) if self.text else (_plain(self.value(job, now)), "")
        if not text:
            return "-", "dim"
        return (visible(text, one_line=True) if self.is_label else text), style


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else str(value)


_NO_END = End("")


def _end(job: Job) -> End:
    return job.end or _NO_END


def _took(job: Job, now: Now) -> float | None:
    """How long the last attempt took, or has been running."""
    if job.state == "running":
        return None if job.is_lost or job.started_at is None else job.running_for(now.at) / 1000
    return job.seconds


def _since(job: Job) -> int:
    return max(job.created_at, job.started_at or 0, job.finished_at or 0)


def _duration(seconds: float | None) -> Part:
    return ("" if seconds is None else show_duration(seconds * 1000)), ""


def _moment(ms: int | None) -> Part:
    return ("" if ms is None else local(ms)), ""


def reason(job: Job, now: Now) -> str:
    """Why a job waits, or why it ended as it did; raw text."""
    if job.state == "scheduled" and job.due_at is not None:
        what = "retry" if job.why == "retry" else "due"
        if now.is_screen:
            left = job.due_at - now.at
            return f"{what} in {show_duration(left)}" if left > 0 else f"{what} now"
        return f"{what} at {local(job.due_at)}"
    if job.is_lost:
        return LOST
    if job.state == "failed" and job.end is not None:
        how, printed = ending(job.end, None), _printed(job)
        return f"{how}: {printed}" if printed else how
    return job.why or ""


def _printed(job: Job) -> str:
    """The line of its output that explains why a job failed, as its cause has it; nothing for an exception."""
    from batchq.jobs.causes.evidence import program_of
    from batchq.jobs.causes.masks import masked

    how, _, text = ((job.end and job.end.cause) or "")[9:].partition(" | ")
    if not how.startswith(("exit ", "killed by ")) or text == masked(program_of(job.kind, job.work), quotes=False):
        return ""
    return text


def _tags(job: Job) -> list[str]:
    from batchq.report.objects import parsed

    tags = parsed(job.tags) if job.tags else []
    return [str(tag) for tag in tags] if isinstance(tags, list) else [str(tags)]


def _memory(job: Job) -> Part:
    from batchq.report.detail import size

    return ("" if job.peak_kib is None else size(job.peak_kib * 1024)), ""


_ALL = (
    Column("id", "id", lambda job, _: job.id, is_right=True),
    Column("state", "state", lambda job, _: job.standing, lambda job, _: state(job.standing)),
    Column(
        "tries", "attempt", lambda job, _: job.attempt, lambda job, _: (str(job.attempt or ""), ""), is_right=True
    ),
    Column("took", "seconds", lambda job, _: job.seconds, lambda job, now: _duration(_took(job, now)), is_right=True),
    Column(
        "age", "age", lambda job, now: max(0, now.at - _since(job)) / 1000,
        lambda job, now: (show_age(now.at - _since(job)), ""), is_right=True,
    ),
    Column("since", "since", lambda job, _: iso(_since(job)), lambda job, _: _moment(_since(job))),
    Column("added", "created_at", lambda job, _: iso(job.created_at), lambda job, _: _moment(job.created_at)),
    Column("started", "started_at", lambda job, _: iso(job.started_at), lambda job, _: _moment(job.started_at)),
    Column("finished", "finished_at", lambda job, _: iso(job.finished_at), lambda job, _: _moment(job.finished_at)),
    Column("due", "due_at", lambda job, _: iso(job.due_at), lambda job, _: _moment(job.due_at)),
    Column("batch", "batch", lambda job, _: job.batch, is_label=True),
    Column("queue", "queue", lambda job, _: job.queue, is_label=True),
    Column("host", "host", lambda job, _: job.host, is_label=True),
    Column("priority", "priority", lambda job, _: job.priority, is_right=True),
    Column("name", "name", lambda job, _: job.name, is_label=True),
    Column("key", "key", lambda job, _: job.key, is_label=True),
    Column("tags", "tags", lambda job, _: _tags(job), is_label=True),
    Column("max_attempts", "max_attempts", lambda job, _: job.max_attempts, is_right=True),
    Column("outcome", "outcome", lambda job, _: _end(job).outcome),
    Column("exit_code", "exit_code", lambda job, _: _end(job).exit_code, is_right=True),
    Column("signal", "signal", lambda job, _: _end(job).signal, is_right=True),
    Column("error_type", "error_type", lambda job, _: _end(job).error_type, is_label=True),
    Column("error", "error", lambda job, _: _end(job).error, is_label=True),
    Column("cause", "cause", lambda job, _: _end(job).cause, is_label=True),
    Column("why", "why", lambda job, _: job.why, is_label=True),
    Column("cpu", "cpu_seconds", lambda job, _: job.cpu_seconds, lambda job, _: _duration(job.cpu_seconds), is_right=True),
    Column("memory", "peak_kib", lambda job, _: job.peak_kib, lambda job, _: _memory(job), is_right=True),
    Column(
        "reason", "reason", lambda job, now: reason(job, now) or None,
        lambda job, now: (reason(job, now), STYLES.get(job.standing, "dim")), is_label=True,
    ),
    Column("command", "command", lambda job, _: job.command, is_label=True),
)  # fmt: skip
COLUMNS = {column.name: column for column in _ALL}
_KNOWN = COLUMNS | {column.field: column for column in _ALL}

#: What a table shows if nothing is asked for: to a person now, and to all who may read it later
ON_SCREEN = ("id", "state", "tries", "took", "age", "batch", "queue", "host", "name", "reason", "command")
IN_FULL = ("id", "state", "tries", "took", "since", "batch", "queue", "host", "name", "reason", "command")


class Chosen(NamedTuple):
    """A column that was asked for, and by which of its names."""

    word: str
    column: Column


def chosen(text: str) -> tuple[Chosen, ...]:
    """Return the columns of ``--columns id,state,took``. Raises UsageError."""
    return tuple(Chosen(word, _column(word, "--columns")) for word in map(str.strip, text.split(",")))


def order(text: str) -> tuple[Key, ...]:
    """Return the keys of ``--sort state,-took``. Raises UsageError."""
    words = [word.strip() for word in text.split(",")]
    return tuple(Key(_column(word.removeprefix("-"), "--sort").name, word.startswith("-")) for word in words)


def _column(word: str, option: str) -> Column:
    if word not in _KNOWN:
        raise UsageError(
            f"{option}: no column {word!r}{did_you_mean(word, [*_KNOWN])}; the columns are {', '.join(COLUMNS)}"
        )
    return _KNOWN[word]
