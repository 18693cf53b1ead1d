"""The files that describe jobs: TOML, JSON lines, CSV, and plain lists of shell commands.

Any input results in a list of checked jobs, or in one InputError that says where and what. A list of commands needs no
other import, because ``batchq add -`` starts as fast as bare Python.
"""

from batchq.errors import InputError, UsageError
from batchq.jobs.model import AUTO, Maker, job_spec
from batchq.jobs.reading.blocks import JOBS_LIMIT, pieces, too_many
from batchq.jobs.reading.sheet import TOO_LONG, merged, named, text_of_file
from batchq.jobs.work import quoted, shell_work, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, NoReturn

    from batchq.jobs.model import JobSpec

FORMATS = ("toml", "jsonl", "json", "csv", "lines")
_SUFFIXES = {"toml": "toml", "jsonl": "jsonl", "ndjson": "jsonl", "json": "json", "csv": "csv", "txt": "lines"}
_PLAIN = 32_000  #: characters of a command that is certainly below the limit of an argument


def format_of(filename: str) -> str | None:
    """Return the format by the suffix of a file name; None for a suffix that has none."""
    stem, _, suffix = filename.rpartition(".")
    return _SUFFIXES.get(suffix.lower()) if stem else None


def read(
    data: bytes, format: str, source: str, common: "Mapping[str, Any]", cwd: str, path: str, *, nul: bool = False
) -> "list[JobSpec]":
    """Return the jobs of a file that has been read already; see ``stream``."""
    return list(stream([data], format, source, common, cwd, path, nul=nul))


def stream(
    blocks: "Iterable[bytes]",
    format: str,
    source: str,
    common: "Mapping[str, Any]",
    cwd: str,
    path: str,
    *,
    nul: bool = False,
) -> "Iterator[JobSpec]":
    """Yield the jobs that the ``blocks`` of a file describe, in order; none for an empty file.

    ``format`` is one of ``FORMATS``. ``source`` names the file in messages, ``stdin`` for standard
    input. ``common`` has the fields from the command line: they override the ``[defaults]`` of a TOML file, and a job's
    own fields override both. The ``env`` tables of all three are merged; a job's own ``run_at`` displaces a ``delay``
    from outside and the reverse. ``cwd`` and ``path`` are as for ``job_spec``.

    ``lines`` is one shell command per line. Blank lines and comments (lines whose first visible character is ``#``) are
    skipped; everything else reaches the shell as it is, even bytes that are not UTF-8. With ``nul``
    each command ends with a NUL and may have several lines, and one that begins with ``#`` is kept.

    Raises InputError with one sentence that begins with the place, as in ``jobs.toml, job 3 (load)``,
    ``jobs.jsonl, line 17 (load)``, ``stdin, line 17``, ``stdin, item 17`` or ``command line`` (for ``common``).
    """
    pattern = job_spec({"command": "true", **common}, "command line", cwd, path)
    if format == "lines":
        specs = _lines(blocks, source, pattern, nul)
    elif format in FORMATS:
        found = _found(blocks, format, source, common, cwd, path)
        specs = _described(found, Maker(cwd, path), source)
    else:
        raise UsageError(f"--format must be one of {', '.join(FORMATS)}, not {quoted(format)}")
    # The store has one job per key: without this check all jobs except the first would vanish silently.
    shared = pattern.key if pattern.key != AUTO else None
    with_it = 0
    for spec in specs:
        with_it += shared is not None and spec.key == shared
        if with_it > 1:
            raise InputError(f"{source}: has several jobs, but the key {quoted(shared)} can belong to only one of them")
        yield spec


def described(jobs: "Iterable[object]", cwd: str, path: str) -> "list[JobSpec]":
    """Return the jobs that mappings of fields describe, a ``matrix`` included. Raises InputError that begins with the
    place, as in ``job 3 (load)``."""
    return list(_described(_placed(jobs), Maker(cwd, path), "the list"))


def _placed(jobs: "Iterable[object]") -> "Iterator[tuple[str, dict[str, Any]]]":
    from batchq.jobs.misfits import misfit

    for number, own in enumerate(jobs, 1):
        if not isinstance(own, dict) or not all(isinstance(name, str) for name in own):
            raise InputError(f"job {number}: must be a mapping of the fields of a job, as in {{'command': ['make']}}")
        where = f"job {number}{named(own)}"
        for name in own.keys() & {"args", "payload"}:
            if (problem := misfit(own[name], name)) is not None:
                raise InputError(f"{where}: field {name!r} cannot be stored: {problem}")
        yield where, own


def _found(
    blocks: "Iterable[bytes]", format: str, source: str, common: "Mapping[str, Any]", cwd: str, path: str
) -> "Iterator[tuple[str, dict[str, Any]]]":
    if format == "toml":
        from batchq.jobs.reading import tomljobs

        return tomljobs.jobs(blocks, source, common, cwd, path)
    if format == "jsonl":
        return _jsonl(blocks, source, common)
    if format == "json":
        return _json(blocks, source, common)
    from batchq.jobs.reading import csvjobs

    return ((where + named(own), merged(common, own)) for where, own in csvjobs.jobs(blocks, source, json_value))


def _described(found: "Iterable[tuple[str, dict[str, Any]]]", maker: Maker, source: str) -> "Iterator[JobSpec]":
    combinations = 0
    for where, fields in found:
        if "matrix" in fields:
            from batchq.jobs.reading import matrix

            combinations += matrix.number(fields["matrix"])
            if combinations > JOBS_LIMIT:
                raise too_many(source)
            yield from matrix.jobs(fields, where, maker)
        else:
            yield maker.spec(fields, where)


def _lines(blocks: "Iterable[bytes]", source: str, pattern: "JobSpec", nul: bool) -> "Iterator[JobSpec]":
    for piece in pieces(blocks, source, nul=nul):
        text = piece.data.decode("utf-8", "surrogateescape")
        text = text if piece.offset else text.removeprefix("\ufeff")
        plain = text if nul else text.replace("\r\n", "\n").removesuffix("\r")
        for number, line in enumerate(plain.split("\0" if nul else "\n"), piece.number):
            visible = line.lstrip()
            if not visible or (visible[0] == "#" and not nul):
                continue
            # Nearly every command is plain, and a plain one needs no escapes in JSON.
            if line.isascii() and line.isprintable() and '"' not in line and "\\" not in line and len(line) < _PLAIN:
                yield pattern.like("shell", f'["{line}"]')
                continue
            where = f"{source}, {'item' if nul else 'line'} {number}"
            if "\0" in line:
                raise InputError(f"{where}: contains a NUL character; give -0 if each command ends with one")
            try:
                yield pattern.like("shell", shell_work([line]))
            except ValueError as error:
                raise InputError(f"{where}: the command {error}") from None


# --- JSON lines -------------------------------------------------------------------------------------------------------


def _jsonl(
    blocks: "Iterable[bytes]", source: str, common: "Mapping[str, Any]"
) -> "Iterator[tuple[str, dict[str, Any]]]":
    import json

    decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode
    is_first = True
    for piece in pieces(blocks, source):
        text = text_of_file(piece.data, source, piece.number, piece.offset)
        if '"matrix"' in text:
            _refuse_too_many(text, source, decode)
        for number, line in enumerate(text.split("\n"), piece.number):
            if not line or line.isspace():
                continue
            where = f"{source}, line {number}"
            if is_first and line.lstrip().startswith("["):
                raise InputError(f"{where}: is a list; for a file that is one JSON array use --format json")
            is_first = False
            own = _decoded(decode, line, where)
            if not isinstance(own, dict):
                raise InputError(where + ': must be one JSON object, as in {"command": "make"}')
            where += named(own)
            if "\\ud" in line or "\\uD" in line:
                _refuse_surrogates(own, where)
            yield where, merged(common, own)


def _json(
    blocks: "Iterable[bytes]", source: str, common: "Mapping[str, Any]"
) -> "Iterator[tuple[str, dict[str, Any]]]":
    """Yield the jobs of a file that is one JSON array of objects; of one object; or of one object a line."""
    data = b"".join(blocks)
    text = text_of_file(data, source, 1, 0)
    try:
        whole = json_value(text, source)
    except InputError:
        if text.lstrip().startswith("["):
            raise
        yield from _jsonl([data], source, common)
        return
    for number, own in enumerate(whole if isinstance(whole, list) else [whole], 1):
        where = f"{source}, job {number}"
        if not isinstance(own, dict):
            raise InputError(where + ': must be a JSON object, as in {"command": "make"}')
        where += named(own)
        _refuse_surrogates(own, where)
        yield where, merged(common, own)


def _refuse_too_many(text: str, source: str, decode: "Callable[[str], Any]") -> None:
    """Count the jobs before any is made: a few lines can describe millions of them."""
    from batchq.jobs.reading import matrix

    combinations = 0
    for line in text.split("\n"):
        try:
            own = decode(line) if '"matrix"' in line else None
        except (ValueError, RecursionError, InputError):  # reported when the line is read
            continue
        combinations += matrix.number(own.get("matrix")) if isinstance(own, dict) else 0
    if combinations > JOBS_LIMIT:
        raise too_many(source)


def json_value(text: str, where: str) -> "Any":
    """Return one JSON value from the command line, read as strictly as in a file. InputError begins with ``where``."""
    import json

    return _decoded(json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode, text, where)


def _decoded(decode: "Callable[[str], Any]", line: str, where: str) -> "Any":
    import json

    try:
        return decode(line)
    except RecursionError:
        problem = "is nested too deeply"
    except InputError as error:
        problem = str(error)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} at column {error.colno}"
    except ValueError:  # from int(), which json does not catch
        problem = TOO_LONG
    raise InputError(f"{where}: {problem}")


def _object(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    table = dict(pairs)
    if len(table) < len(pairs):
        # A dict keeps the order of first appearance, so a name is repeated where the dict and the pairs differ.
        twice = next(name for (name, _), key in zip(pairs, [*table, None], strict=False) if name != key)
        raise InputError(f"has the key {quoted(twice)} twice in one object")
    return table


def _constant(word: str) -> "NoReturn":
    raise InputError(f"contains {word}, which is not JSON")


def _refuse_surrogates(own: "dict[str, Any]", where: str) -> None:
    # Half a character is not text, and as a raw byte of a file name it is valid only in words from the system. In a name
    # or a tag it is shown as an escape.
    for name, value in own.items():
        if name in ("name", "tags"):
            continue
        try:
            to_json([name, value], "value")
        except ValueError as error:
            raise InputError(f"{where}: field {quoted(name)} {error}") from None
