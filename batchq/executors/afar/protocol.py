"""What a run and a site send each other: claims and reports as plain JSON values.

To a site: ``["setup", {…}]`` first; then ``["run", [claim, …]]``, ``["stop", [token, …], status, grace]``, ``["back",
[token, …]]`` for claims that have not begun, ``["suspend"]``, ``["resume"]``, ``["alive"]``, which it sends back, and
``["close"]``. From it: ``["up", {…}]`` once it can work,
``["room", slots, ahead, widest]`` when that changes, from a bridge to workers of several threads with ``[free, …]`` of each
and how many claims it has received; ``["suspended"]``, one message for each report, from a bridge also
``["at", {token: host}]``, and if the run has listeners ``["said", token, stream, text]`` and ``["silent", token]``.
"""

import binascii
from binascii import crc32

from batchq.executors.seam import Left, Lost, Noted, Refused, Report, Started
from batchq.jobs.attempt import Claim, Ended, Failure, Logged, Outcome, Printed, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.processes.link import Message

#: Both sides must have the same: values travel by position, so another set of fields is another protocol.
PROTOCOL = f"2-{crc32(repr((Claim._fields, Outcome._fields, Failure._fields)).encode()):08x}"
#: Kinds of messages that a run can do without, if it does not read them fast enough: the end of an attempt has its output
SPARED = frozenset(("printed",))
_STDIN = Claim._fields.index("stdin")
_OUT, _ERR, _FAILURE, _HOST = map(Outcome._fields.index, ("stdout", "stderr", "failure", "host"))


def mismatch(greeting: "dict[str, Any]") -> str | None:
    """Return why nobody here can talk to who greets so, if that is the case."""
    if greeting["protocol"] == PROTOCOL:
        return None
    return f"batchq {greeting['batchq']} is there, which this one cannot work with: install the same"


def packed(claim: Claim) -> "list[Any]":
    """Return a claim as values of JSON."""
    values = list(claim)
    if claim.stdin is not None:
        values[_STDIN] = _text(claim.stdin)
    return values


def unpacked(values: "list[Any]") -> Claim:
    """Return the claim that was packed."""
    claim = Claim(*values)
    return claim if claim.stdin is None else claim._replace(stdin=binascii.a2b_base64(values[_STDIN]))


def message(report: Report) -> "Message":
    """Return a report as a message: its kind, the token of its attempt, and what it reports."""
    if isinstance(report, Ended):
        return ["ended", report.claim.token, _packed_outcome(report.outcome)]
    if isinstance(report, Started):
        return ["started", report.claim.token, report.at]
    if isinstance(report, Printed):
        streams = map(_packed_stream, (report.stdout, report.stderr))
        return ["printed", report.claim.token, *streams, report.turns]
    if isinstance(report, Logged):
        return ["logged", report.claim.token, report.stream, report.path, report.trouble]
    if isinstance(report, Lost):
        return ["lost", report.claim.token, report.started, report.host]
    if isinstance(report, Left):
        return ["left", report.claim.token]
    return ["noted", report.text] if isinstance(report, Noted) else ["refused", *report]


def piece(claim: Claim, stream: str, data: bytes) -> "Message":
    """Return the message that passes on what an attempt has just printed."""
    return ["said", claim.token, stream, _text(data)]


def said(message: "Message") -> tuple[str, bytes]:
    """Return the stream and the bytes of such a message."""
    _, _, stream, text = message
    return stream, binascii.a2b_base64(text)


def name_host(message: "Message", host: str) -> None:
    """Put the host into a message with the end of an attempt."""
    if message[0] == "ended":
        message[2][_HOST] = host


def report(message: "Message", claims: dict[str, Claim]) -> Report | None:
    """Return the report in a message; None if it is about an attempt that is not among ``claims`` (it came too late)."""
    kind, *rest = message
    if kind == "refused":
        return Refused(*rest)
    if kind == "noted":
        return Noted(rest[0])
    claim = claims.get(rest[0])
    if claim is None:
        return None
    if kind == "ended":
        return Ended(claim, _unpacked_outcome(rest[1]))
    if kind == "started":
        return Started(claim, rest[1])
    if kind == "printed":
        return Printed(claim, _unpacked_stream(rest[1]), _unpacked_stream(rest[2]), rest[3])
    if kind == "left":
        return Left(claim)
    return Logged(claim, *rest[1:]) if kind == "logged" else Lost(claim, *rest[1:])


def _packed_outcome(outcome: Outcome) -> "list[Any]":
    values: list[Any] = list(outcome)
    values[_OUT], values[_ERR] = _packed_stream(outcome.stdout), _packed_stream(outcome.stderr)
    return values


def _unpacked_outcome(values: "list[Any]") -> Outcome:
    values = [*values]
    values[_OUT], values[_ERR] = _unpacked_stream(values[_OUT]), _unpacked_stream(values[_ERR])
    if values[_FAILURE] is not None:
        values[_FAILURE] = Failure(*values[_FAILURE])
    return Outcome(*values)


def _packed_stream(stream: Stream | None) -> "list[Any] | None":
    return None if stream is None else [_text(stream.head), _text(stream.tail), stream.total]


def _unpacked_stream(values: "list[Any] | None") -> Stream | None:
    if values is None:
        return None
    head, tail, total = values
    return Stream(binascii.a2b_base64(head), binascii.a2b_base64(tail), total)


def _text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
