"""One job as a person writes it, checked field by field, and as the store keeps it.

``FIELDS`` is the one list of what a job may say: TOML, JSON lines and the command line all read it. This module is
imported by every ``batchq add``, so it imports nothing that costs start-up time.
"""

import marshal
import sys

from batchq.errors import InputError
from batchq.jobs.fields import FIELDS, WORK_FIELDS
from batchq.jobs.work import (
    argv_work,
    bounded_json,
    call_work,
    quoted,
    raw_json,
    shell_work,
    target_of,
)  # fmt: skip
from batchq.paths import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SHELL = "/bin/sh"
AUTO = "auto"  #: the key that is computed from what the job does


class Terms:
    """The terms that the jobs of a list share: each field of ``FIELDS`` that is not a job's own, checked, and ``path``.

    One object serves all of them, so it is not changed once it has been shared. Durations and instants are milliseconds.
    """

    path = ""  #: the search path of the add

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...


_TERMS = {name: field.default for name, field in FIELDS.items() if not field.is_own}
for _name, _default in _TERMS.items():
    setattr(Terms, _name, _default)


class JobSpec:
    """One job to be stored: its work, its own fields, and the ``terms`` that it shares; all checked.

    ``kind`` is ``argv`` (``work`` is the JSON list of words), ``shell`` (JSON list: the script, then ``$1`` …),
    ``call`` (JSON object: call, args) or ``payload`` (any JSON). ``where`` says where it was written, for a complaint
    that only the store can make.
    """

    __slots__ = ("after", "after_any", "after_failed", "key", "kind", "name", "terms", "where", "work")

    def __init__(self, kind: str, work: str, terms: Terms, where: str = "") -> None:
        self.kind, self.work, self.terms, self.where = kind, work, terms, where
        self.name: str | None = None
        self.key: str | None = None
        self.after: tuple[str, ...] = ()
        self.after_any: tuple[str, ...] = ()
        self.after_failed: tuple[str, ...] = ()

    def like(self, kind: str, work: str) -> "JobSpec":
        """Return a new job with this ``kind`` and ``work``, otherwise equal to this one; nothing is checked."""
        spec = _new(JobSpec)
        spec.kind, spec.work, spec.terms, spec.where = kind, work, self.terms, self.where
        spec.name, spec.key = self.name, self.key
        spec.after, spec.after_any, spec.after_failed = self.after, self.after_any, self.after_failed
        return spec


_new = JobSpec.__new__


class Maker:
    """Makes the jobs of one list from their fields. Successive jobs with the same terms share one object.

    ``cwd`` is the folder of the ``add`` call, against which a job's own ``cwd`` resolves; ``path`` is the search path to
    store.
    """

    def __init__(self, cwd: str, path: str) -> None:
        self._cwd = cwd
        self._path = path
        self._terms = Terms()
        self._written: bytes | None = None  # the fields from which the terms were made

    def spec(self, fields: "Mapping[str, Any]", where: str) -> JobSpec:
        """Make the checked job that ``fields`` describe; ``where`` begins each message, as in ``jobs.toml, job 3``.

        Raises InputError with one sentence that names the field.
        """
        for name in fields:
            if name not in FIELDS and name not in WORK_FIELDS:
                from batchq.jobs.synonyms import meant_field

                raise InputError(f"{where}: unknown field {quoted(name)}{meant_field(name)}")
        kind, work = work_of(fields, where)
        written = _written(kind, fields)
        is_known = written is not None and written == self._written
        terms = self._terms if is_known else Terms()
        spec = JobSpec(kind, work, terms, where)
        for name, value in fields.items():
            field = FIELDS.get(name)
            if field is None or (is_known and not field.is_own):
                continue
            try:
                setattr(spec if field.is_own else terms, name, field.check(value))
            except ValueError as error:
                raise InputError(f"{where}: field {name!r} {error}") from None
            if field.for_commands and kind in ("call", "payload") and getattr(terms, name) != field.default:
                refusal = f"can be {quoted(value)} for commands only: {field.for_commands}"
                raise InputError(f"{where}: field {name!r} {refusal}")
        if not is_known:
            _complete(terms, kind, where, self._cwd, self._path)
            self._terms, self._written = terms, written
        return spec


def job_spec(fields: "Mapping[str, Any]", where: str, cwd: str, path: str) -> JobSpec:
    """Return one job; see ``Maker``."""
    return Maker(cwd, path).spec(fields, where)


def _written(kind: str, fields: "Mapping[str, Any]") -> bytes | None:
    """Return the fields of the terms as bytes that tell 1 from true; None if that is not possible."""
    try:
        # Version 2 has no references, so equal values give equal bytes.
        return marshal.dumps([kind, *[one for one in fields.items() if one[0] in _TERMS]], 2)
    except ValueError:  # a date, or endless nesting
        return None


def _complete(terms: Terms, kind: str, where: str, cwd: str, path: str) -> None:
    """Check fields against each other, and resolve the paths."""
    terms.path = path
    if terms.delay is not None and terms.run_at is not None:
        raise InputError(f"{where}: fields 'delay' and 'run_at' exclude each other")
    terms.cwd = _resolve(terms.cwd, cwd) if terms.cwd is not None else cwd
    if terms.python is None:
        terms.python = sys.executable if kind == "call" else None
    elif "/" in terms.python:
        terms.python = _resolve(terms.python, cwd)
    if terms.inputs is not None:
        import json

        terms.inputs = raw_json([_resolve(file, cwd) for file in json.loads(terms.inputs)])


def _resolve(folder: str, start: str) -> str:
    import os.path

    return absolute(os.path.expanduser(folder), start)


def work_of(fields: "Mapping[str, Any]", where: str) -> tuple[str, str]:
    """Return the ``kind`` and the ``work`` that ``fields`` describe. Raises InputError as ``job_spec``."""
    said = [name for name in ("command", "call", "payload") if name in fields]
    if len(said) != 1:
        words = " and ".join(repr(name) for name in said)
        problem = f"fields {words} exclude each other" if said else "needs a 'command', a 'call' or a 'payload'"
        raise InputError(f"{where}: {problem}")
    (name,) = said
    value = fields[name]
    try:
        if "args" in fields and name != "call":
            raise ValueError("takes no 'args': they belong to a 'call'")
        if name == "command":
            return ("shell", shell_work([value])) if isinstance(value, str) else ("argv", argv_work(value))
        if name == "call":
            target_of(value)
            name = "args"
            return "call", call_work(value, fields.get("args", {}))
        return "payload", bounded_json(value, "payload")
    except ValueError as error:
        raise InputError(f"{where}: field {name!r} {error}") from None
