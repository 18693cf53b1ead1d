"""``key = "auto"``: what makes two jobs the same piece of work, as one hash."""

from batchq.errors import InputError
from batchq.jobs.work import encode_bytes, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.jobs.model import JobSpec


def automatic_key(spec: "JobSpec") -> str:
    """``auto:`` and 40 hexadecimal digits (of SHA-256) over what is run: work, folder, stdin, named variables, inputs.

    Of the input files the contents count. Raises InputError for one that cannot be read.
    """
    import hashlib
    import json

    parts = [spec.kind.encode(), encode_bytes(spec.work), encode_bytes(spec.cwd), spec.stdin or b""]
    parts += [encode_bytes(json.dumps(json.loads(spec.env or "{}"), sort_keys=True))]
    for file in json.loads(spec.inputs or "[]"):
        try:
            with open(file, "rb") as opened:
                digest = hashlib.file_digest(opened, "sha256")
        except OSError as error:
            raise InputError(
                f"{spec.where}: field 'inputs' names {quoted(file)}, which cannot be read: {error.strerror}"
            ) from None
        parts += [encode_bytes(file), digest.digest()]
    whole = b"".join(len(part).to_bytes(8, "big") + part for part in parts)  # so that no two lists of parts look alike
    return f"auto:{hashlib.sha256(whole).hexdigest()[:40]}"
