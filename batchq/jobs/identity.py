"""``key = "auto"``: one hash that is equal for jobs that do the same work."""

import os

from batchq.errors import InputError
from batchq.jobs.work import encode_bytes, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.jobs.model import JobSpec


def automatic_key(spec: "JobSpec") -> str:
    """Return ``auto:`` and 40 hexadecimal digits (of SHA-256) of the work, folder, stdin, named variables and inputs.

    Input files count by their contents, and the members of a JSON object in any order. Raises InputError for a file that
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
    whole = b"".join(
        len(part).to_bytes(8, "big") + part for part in parts
    )  # so that different lists of parts never look the same
    return f"auto:{hashlib.sha256(whole).hexdigest()[:40]}"


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # or a pipe without a writer would block for ever


def meaning(kind: str, work: str, cwd: str, stdin: bytes | None, env: str | None) -> list[bytes]:
    """Return what a job does in one normal form: the order of the members of a JSON object does not matter."""
    import json

    if kind == "payload":
        work = json.dumps(json.loads(work), sort_keys=True, separators=(",", ":"))
    elif kind == "call":
        call = json.loads(work)
        args = json.dumps(call["args"], sort_keys=True, separators=(",", ":"))
        work = f'{{"call":{json.dumps(call["call"])},"args":{args}}}'
    variables = json.dumps(json.loads(env or "{}"), sort_keys=True)
    return [encode_bytes(work), encode_bytes(cwd), stdin or b"", encode_bytes(variables)]
