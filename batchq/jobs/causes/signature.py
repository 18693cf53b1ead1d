"""The signature of a failure: equal for failures of the same cause, as far as their evidence shows it.

1. A timeout, a signal without an error message, and silence: how it ended, and the program.
2. An exception of a callable, or a Python traceback at the end of stderr: its type, the innermost frame of the user's
   own code (file, function, source line; no line number, so that edits above it do not matter) and its message, unless
   the type explains itself; and the same of the root cause.
3. Anything else: the line of stderr, or of stdout, that explains most.

In messages and lines, what varies is masked. ``RULES`` changes with every change of what any evidence leads to.
"""

import re
import signal as signals

from batchq.jobs.attempt import CRASHED, TIMED_OUT
from batchq.jobs.causes.evidence import TAIL, TRACEBACK, Evidence
from batchq.jobs.causes.lines import explaining
from batchq.jobs.causes.masks import masked
from batchq.jobs.causes.severity import TROUBLE
from batchq.jobs.causes.tracebacks import Frame, Raised, chain
from batchq.named import NamedTuple
from batchq.visible import visible

RULES = 1
LONGEST = 300  #: characters of a cause as it is stored

_PART = 200  #: characters of a name or a source line that count
_LETTERS = re.compile(r"[^\W\d_]{2}")
_NUMBERED = re.compile(r"[\w-]*\d[\w-]*")
_SELF_EXPLAINING = re.compile(
    r"^(?:Key|Index|Lookup|ZeroDivision|Overflow|FloatingPoint|Assertion|Recursion|Memory|NotImplemented|Arithmetic)Error$"
    r"|(?:Unicode(?:De|En)code|Decode|Syntax|Parse|Parser|YAML|Indentation)Error$|^StopIteration$|ExceptionGroup$"
)
_OF_THE_RUN = ("RunnerDied", "WorkerLost")  # crashes that say nothing about the job


class Signature(NamedTuple):
    """``ending`` and ``text`` are compared; ``where`` (``fetch.py:10``) and ``line`` describe this one failure."""

    ending: str
    text: str
    where: str = ""
    line: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What is equal for failures of the same cause."""
        return self.ending, self.text

    @property
    def id(self) -> str:
        """The name of the cause: eight hexadecimal digits, the same in every store."""
        from hashlib import sha256

        return sha256("\0".join(self.key).encode("utf-8", "backslashreplace")).hexdigest()[:8]

    @property
    def cause(self) -> str:
        """The cause as it is stored: ``606e2443 exception | URLError | fetch.py(page): … | …``, on one safe line."""
        return visible(f"{self.id} {self.ending} | {self.text}", one_line=True)[:LONGEST]


def signature(evidence: Evidence) -> Signature:
    """Compute the signature of an attempt that failed, timed out or crashed. Raises nothing, whatever was printed."""
    program = masked(evidence.program, quotes=False)
    if evidence.outcome == TIMED_OUT:
        return Signature("timed out", program, line=evidence.program)
    if evidence.outcome == CRASHED:
        return _of_crash(evidence, program)
    if found := chain((evidence.traceback or "")[-TRACEBACK:]):
        return _of_exception(found, evidence.error or "")
    if evidence.error_type:
        said = _first_line(evidence.error or "")
        text = f"{evidence.error_type[:_PART]} | {masked(said, quotes=True)}"
        return Signature("exception", text, line=f"{evidence.error_type}: {said}")
    if found := chain(evidence.stderr[-TAIL:]):
        return _of_exception(found, "")
    return _of_output(evidence, program)


def _of_crash(evidence: Evidence, program: str) -> Signature:
    kind, said = (evidence.error_type or "")[:_PART], _first_line(evidence.error or "")
    parts = [kind, masked(said, quotes=True), "" if kind in _OF_THE_RUN else program]
    return Signature("crashed", " | ".join(filter(None, parts)), line=said or evidence.program)


def _of_output(evidence: Evidence, program: str) -> Signature:
    ending = _ending(evidence)
    best = explaining(evidence.stderr[-TAIL:])
    if best is None or best.severity < TROUBLE:
        other = explaining(evidence.stdout[-TAIL:])
        if other is not None and (best is None or other.severity >= TROUBLE):
            best = other
    if best is None or (evidence.signal is not None and best.severity < TROUBLE):
        return Signature(ending, program, line=evidence.program)
    said = masked(best.line, quotes=False)
    if not _LETTERS.search(said):  # numbers alone say nothing
        return Signature(ending, program, line=evidence.program)
    return Signature(ending, said, line=best.line.strip())


def _ending(evidence: Evidence) -> str:
    if evidence.signal is not None:
        try:
            return f"killed by {signals.Signals(evidence.signal).name}"
        except ValueError:
            return f"killed by signal {evidence.signal}"
    return f"exit {evidence.exit_code}" if evidence.exit_code is not None else evidence.outcome


def _of_exception(found: list[Raised], message: str) -> Signature:
    last, root = found[-1], found[0]
    group = next((one for one in found if one.type.endswith("ExceptionGroup")), None)
    if group is not None:  # the group comes first, then what is in it
        last, root = group, found[-1]
    said = _first_line(message or last.message)
    name, frame = _name(last), last.best_frame
    parts, line = [name, _place(frame), _message(name, said)], f"{name}: {said}" if said else name
    if root is not last and (inner := root.own_frame or (None if last.own_frame else root.best_frame)) is not None:
        kind, reason = _name(root), _first_line(root.message)
        parts += ["←", kind, _place(inner), _message(kind, reason)]
        if (kind, inner) != (name, frame):
            line += f" ← {kind} at {inner.name}:{inner.line}" + (f": {reason}" if reason else "")
    return Signature("exception", " | ".join(parts), "" if frame is None else f"{frame.name}:{frame.line}", line)


def _name(raised: Raised) -> str:
    return raised.type.rpartition(".")[2][:_PART]


def _message(kind: str, said: str) -> str:
    return "" if _SELF_EXPLAINING.search(kind) else masked(said, quotes=True)


def _place(frame: Frame | None) -> str:
    """A frame as it is compared: without its line number, unless nothing else is known of it."""
    if frame is None:
        return ""
    source = " ".join(frame.source[:_PART].split()) or frame.line
    return f"{_NUMBERED.sub('…', frame.name[-_PART:])}({frame.function[:_PART]}): {source}"


def _first_line(message: str) -> str:
    lines = [line.strip() for line in message[:TAIL].split("\n", 3) if line.strip()]
    return " ".join(lines[:2]) if lines and lines[0].endswith(":") else lines[0] if lines else ""
