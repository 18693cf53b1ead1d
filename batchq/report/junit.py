"""Jobs as a JUnit file, which Jenkins, GitLab and others read: a batch is a suite, a job is a test case.

The file follows the schema ``junit-10.xsd`` of Jenkins' xunit plugin. It is made in pieces from one state of the store;
a name is the same each night, because CI servers know a test by its name.
"""

import os
from collections.abc import Iterator

from batchq.clock import iso
from batchq.report.digest import how, last_lines, prompted
from batchq.report.ending import ending, nth
from batchq.report.folding import folded
from batchq.report.formats import Scope
from batchq.report.numbering import Numbering
from batchq.report.program import program
from batchq.store.looking import cases
from batchq.store.looking.cases import KEPT, Earlier, Totals
from batchq.store.looking.rows import End, Job, Log
from batchq.store.snapshots import snapshot
from batchq.store.states import ADDED_ON_HOLD, HELD_BY_HAND
from batchq.visible import visible

LINES = 24  #: last lines of an output that are shown
_NAME = 200  #: characters of a name; the rest of a long command says little
_MESSAGE = 300
_LONGEST = 1e9  #: seconds; the schema has no place for infinity, which only other programs write
_AUTOMATIC = "auto:"  #: how the keys begin that depend on the contents of files, and so change
# What XML 1.0 forbids besides that which ``visible`` escapes, and what means something in it.
_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\ufffe": "\\ufffe", "\uffff": "\\uffff"})


def document(scope: Scope) -> Iterator[str]:
    """The whole file, in pieces: memory does not grow with the output of jobs, and by some bytes with each job."""
    with snapshot(scope.store):
        suites = cases.totals(scope.store, scope.selection)
        names = Numbering(sum(suite.jobs for suite in suites))
        yield '<?xml version="1.0" encoding="UTF-8"?>\n'
        errors = sum(suite.errors for suite in suites)
        failures = sum(suite.failed - suite.crashed for suite in suites)
        yield (
            f'<testsuites name="batchq" tests="{sum(suite.jobs for suite in suites)}" failures="{failures}"'
            f' errors="{errors}" time="{_seconds(sum(suite.seconds for suite in suites))}">\n'
        )
        for suite in suites:
            yield _opening(suite)
            for page in cases.jobs(scope.store, scope.selection, suite.batch):
                yield "".join(_case(scope, job, names) for job in page)
            yield "</testsuite>\n"
        yield "</testsuites>\n"


def _opening(suite: Totals) -> str:
    started = iso(suite.started_at)
    stamp = f' timestamp="{started[:19]}"' if started else ""  # without a zone, as readers of the format expect: UTC
    return (
        f'<testsuite name="{_line(suite.batch)}" hostname="{_line(os.uname().nodename)}"'
        f' tests="{suite.jobs}" failures="{suite.failed - suite.crashed}"'
        f' errors="{suite.errors}" skipped="{suite.jobs - suite.failed - suite.on_hold - suite.succeeded}"'
        f' time="{_seconds(suite.seconds)}"{stamp}>\n'
    )


def _case(scope: Scope, job: Job, names: Numbering) -> str:
    batch = _line(job.batch)
    inside = "".join(_parts(scope, job))
    name = names.unique(_name(job), batch)
    opening = f'<testcase classname="{batch}" name="{name}" time="{_seconds(job.seconds or 0)}"'
    return f"{opening}>\n{inside}</testcase>\n" if inside else f"{opening}/>\n"


def _name(job: Job) -> str:
    """What the job is called: by its name, else its key, else its command; never by its id, which is new each night."""
    key = job.key if job.key and not job.key.startswith(_AUTOMATIC) else None
    text = visible(job.name or key or job.command, one_line=True)
    return _xml(text if len(text) <= _NAME else f"{text[: _NAME - 1]}…") or "-"


def _parts(scope: Scope, job: Job) -> Iterator[str]:
    """What stands inside a test case; nothing for a job that succeeded at its first attempt."""
    if job.state == "failed":
        yield from _failure(scope, job)
    elif job.state == "held" and job.why not in (HELD_BY_HAND, ADDED_ON_HOLD):
        yield _on_hold(scope, job)
    elif job.state != "succeeded":
        yield f'<skipped message="{_line(f"{job.standing}: {job.why}" if job.why else job.standing)}"/>\n'
        return
    failed, earlier = cases.earlier(scope.store, job)
    for one in earlier:
        yield _earlier(one, failed, "flaky" if job.state == "succeeded" else "rerun")


def _failure(scope: Scope, job: Job) -> Iterator[str]:
    logs = cases.printed(scope.store, job.id, job.attempt)
    tag = "error" if job.end and job.end.outcome == "crashed" else "failure"
    source, evidence = _evidence(job.traceback, logs)
    lines = [f"job {job.id}, {nth(job)}: {how(job)}", prompted(job), *evidence]
    text = _xml("\n".join(lines))
    again = _line(f"{program(scope.db)} retry {job.id}")
    yield f"<{tag} {_attributes(job.end, job.why)}>{text}\nrun it again: {again}\n</{tag}>\n"
    for stream in ("stdout", "stderr"):
        if stream != source and stream in logs:
            element = f"system-{stream[3:]}"
            yield f"<{element}>{_xml(chr(10).join(_last(logs[stream])))}</{element}>\n"


def _on_hold(scope: Scope, job: Job) -> str:
    """The element of a job that batchq itself has put on hold: the run that did so has exited with 1."""
    message = _line(f"on hold: {job.why}" if job.why else "on hold")
    help = _line(f"{program(scope.db)} release {job.id}")
    return f'<error type="on hold" message="{message}">job {job.id} waits for a person\nlet it run: {help}\n</error>\n'


def _earlier(one: Earlier, failed: int, kind: str) -> str:
    tag = f"{kind}{'Error' if one.end.outcome == 'crashed' else 'Failure'}"
    more = f", one of {failed:,} that failed before" if failed > cases.EARLIER else ""
    attributes = _attributes(one.end, which=f"attempt {one.number}{more}: ")
    text = _xml("\n".join(_evidence(one.traceback, one.logs)[1]))
    return f"<{tag} {attributes}><stackTrace>{text}</stackTrace></{tag}>\n"


def _evidence(traceback: str | None, logs: dict[str, Log]) -> tuple[str, list[str]]:
    """What shows best why an attempt failed, and its last lines, made safe."""
    if traceback:
        return "traceback", last_lines("\n".join(folded(traceback[-KEPT:])), LINES)[0]
    for stream in ("stderr", "stdout"):
        if stream in logs:
            return stream, _last(logs[stream])
    return "", ["it printed nothing"]


def _last(log: Log) -> list[str]:
    lines, more = last_lines("\n".join(folded(log.data.decode("utf-8", "backslashreplace"))), LINES)
    return [*(["…"] if more or log.cut else []), *lines]


def _attributes(end: End | None, why: str | None = None, which: str = "") -> str:
    """``type`` and ``message``: the same text each night, without times, because readers compare it."""
    if end is None:
        return f'type="failed" message="{_line(why or "failed")}"'
    text = ending(end)
    cause = (end.cause or "").partition(" | ")[2]
    if not end.error_type and cause:
        text = f"{text}: {cause}"
    message = visible(f"{which}{text}", one_line=True)
    return f'type="{_line(_kind(end))}" message="{_xml(message[:_MESSAGE])}"'


def _kind(end: End) -> str:
    if end.outcome != "failed":
        return end.outcome.replace("_", " ")
    return end.error_type or (f"exit {end.exit_code}" if end.signal is None else f"signal {end.signal}")


def _seconds(seconds: float) -> str:
    return f"{min(max(0.0, seconds), _LONGEST):.3f}"


def _line(text: str) -> str:
    return _xml(visible(text, one_line=True))


def _xml(text: str) -> str:
    """A text that was made safe, as XML has it."""
    return text.translate(_XML)
