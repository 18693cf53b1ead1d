"""``key = "auto"``: what makes two jobs the same piece of work, as one hash."""

import os

from batchq.errors import InputError
from batchq.jobs.work import encode_bytes, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.jobs.model import JobSpec


def automatic_key(spec: "JobSpec") -> str:
    """``auto:`` and 40 hexadecimal digits (of SHA-256) over what is run: work, folder, stdin, named variables, inputs.

    Of the input files the contents count, of a JSON object its members in any order. Raises InputError for a file that
    cannot be read.
    """
    import hashlib
    import json
    import stat

    parts = [spec.kind.encode(), *meaning(spec.kind, spec.work, spec.terms.cwd, spec.terms.stdin, spec.terms.env)]
    for file in json.loads(spec.terms.inputs or "[]"):
        try:
            with open(file, "rb", opener=_without_waiting) as opened:
                if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                    raise InputError(f"{spec.where}: field 'inputs' names {quoted(file)}, which is not a regular file")
                digest = hashlib.file_digest(opened, "sha256")
        except OSError as error:
            raise InputError(
                f"{spec.where}: field 'inputs' names {quoted(file)}, which cannot be read: {error.strerror}"
            ) from None
        parts += [encode_bytes(file), digest.digest()]
    whole = b"".join(len(part).to_bytes(8, "big") + part for part in parts)  # so that no two lists of parts look alike
    return f"auto:{hashlib.sha256(whole).hexdigest()[:40]}"


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # or a pipe that nobody writes would keep it for ever


def meaning(kind: str, work: str, cwd: str, stdin: bytes | None, env: str | None) -> list[bytes]:
    """What a job is to do, in a form that is the same for all ways to write it: an object of JSON has no order."""
    import json

    if kind == "payload":
        work = json.dumps(json.loads(work), sort_keys=True, separators=(",", ":"))
    elif kind == "call":
        call = json.loads(work)
        args = json.dumps(call["args"], sort_keys=True, separators=(",", ":"))
        work = f'{{"call":{json.dumps(call["call"])},"args":{args}}}'
    variables = json.dumps(json.loads(env or "{}"), sort_keys=True)
    return [encode_bytes(work), encode_bytes(cwd), stdin or b"", encode_bytes(variables)]
