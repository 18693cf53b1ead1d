"""What a run calls a job in its lines, and why an attempt failed: both safe to print."""

import re

from batchq.jobs.attempt import CANCELLED, INTERRUPTED, TIMED_OUT, Claim, Outcome, Stream
from batchq.store.looking.rows import command
from batchq.visible import visible

LONGEST = 200  #: characters of a name, a command, or a line
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")  # SGR, of ECMA-48


def title(claim: Claim) -> str:
    """The id of a job, and its name: ``12 (load)``."""
    return f"{claim.id} ({visible(claim.name[:LONGEST], one_line=True)})" if claim.name else str(claim.id)


def label(claim: Claim) -> str:
    """The id of a job, and its name or else its command: ``13  sleep 5``."""
    return title(claim) if claim.name else f"{claim.id}  {work(claim)}"


def work(claim: Claim) -> str:
    """The command of a job."""
    return visible(command(claim.kind, claim.work)[:LONGEST], one_line=True)


def last_line(stream: Stream) -> str:
    """The last line of a stream that is not blank, as a terminal shows it, without colours."""
    data = (stream.tail or stream.head)[-LONGEST * 8 :]
    lines = [line.strip().rpartition("\r")[2] for line in _COLOURS.sub("", data.decode("utf-8", "replace")).split("\n")]
    return next((visible(line[-LONGEST:], one_line=True) for line in reversed(lines) if line), "")


def reason(claim: Claim, outcome: Outcome) -> str:
    """Why an attempt failed: ``exit 3: no route to host``, ``KeyError: 'price', at work.py:14``; nothing if it did not."""
    if outcome.status in (INTERRUPTED, CANCELLED):
        return visible(outcome.failure.message, one_line=True) if outcome.failure is not None else ""
    try:
        from batchq.jobs.causes.evidence import of_outcome
        from batchq.jobs.causes.signature import signature

        evidence = of_outcome(claim.kind, claim.work, outcome)
        found = signature(evidence)
    except (Exception, SystemExit):  # an upgrade may have replaced the rules during the run
        return ""
    said = "" if found.line == evidence.program else visible(found.line, one_line=True)
    if found.ending == "exception":
        return said + (f", at {visible(found.where, one_line=True)}" if found.where else "")
    ending = "" if outcome.status == TIMED_OUT else found.ending
    return f"{ending}: {said}" if ending and said else ending or said
