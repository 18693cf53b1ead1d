"""Jobs in a TOML file: ``[defaults]``, and one ``[[job]]`` for each job."""

from batchq.errors import InputError
from batchq.jobs.fields import WORK_FIELDS
from batchq.jobs.model import AUTO, job_spec
from batchq.jobs.reading import matrix
from batchq.jobs.reading.blocks import JOBS_LIMIT, too_many, whole
from batchq.jobs.reading.sheet import TOO_LONG, merged, named, text_of_file
from batchq.jobs.work import did_you_mean, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

TOML_LIMIT = 16 * 1024 * 1024  #: bytes of a TOML file; its parser needs half a gigabyte for that
KEY_PARTS = 64  #: parts of a dotted TOML key


def jobs(
    blocks: "Iterable[bytes]", source: str, common: "Mapping[str, Any]", cwd: str, path: str
) -> "Iterator[tuple[str, dict[str, Any]]]":
    """Yield the place and the fields of each job; ``common`` overrides ``[defaults]``. Raises InputError."""
    instead = "write that many jobs as JSON lines"
    tables = _parsed(whole(blocks, source, TOML_LIMIT, instead), source)
    for name in tables:
        if name not in ("defaults", "job"):
            hint = did_you_mean(name, ["defaults", "job"])
            raise InputError(f"{source}: unknown table {quoted(name)}{hint}: a file has only [defaults] and [[job]]")
    defaults = tables.get("defaults", {})
    _check_defaults(defaults, f"{source}, [defaults]", cwd, path)
    outer = merged(defaults, common)
    jobs = tables.get("job", [])
    if not isinstance(jobs, list):
        raise InputError(f"{source}: 'job' must be a list of tables: write [[job]] above each job")
    if sum(matrix.number(own.get("matrix")) for own in jobs if isinstance(own, dict)) > JOBS_LIMIT:
        raise too_many(source)
    for number, own in enumerate(jobs, 1):
        where = f"{source}, job {number}"
        if not isinstance(own, dict):
            raise InputError(f"{where}: must be a table: write [[job]] above each job")
        yield where + named(own), merged(outer, own)


def _check_defaults(defaults: "Any", where: str, cwd: str, path: str) -> None:
    if not isinstance(defaults, dict):
        raise InputError(f"{where}: must be a table: write [defaults] above its fields")
    for name in (*WORK_FIELDS, "matrix", "key"):
        if name in defaults and not (name == "key" and defaults[name] == AUTO):
            raise InputError(f"{where}: field {name!r} belongs to one job: write it under its [[job]]")
    job_spec({"command": "true", **defaults}, where, cwd, path)


def _parsed(data: bytes, source: str) -> "dict[str, Any]":
    import tomllib

    text = text_of_file(data, source)
    _refuse_long_keys(text, source)
    try:
        return tomllib.loads(text)
    except RecursionError:
        problem = "is nested too deeply"
    except tomllib.TOMLDecodeError as error:
        text = str(error)
        problem = f"is not TOML: {text if len(text) <= 200 else f'{text[:100]} … {text[-60:]}'}"
    except ValueError:  # from int(), which tomllib does not catch
        problem = TOO_LONG
    raise InputError(f"{source}: {problem}")


def _refuse_long_keys(text: str, source: str) -> None:
    # The parser's time grows with the square of the parts of a dotted key: 40 KB of them take it six seconds.
    if not any(line.count(".") >= KEY_PARTS for line in text.split("\n")):
        return
    import re

    masked = _without_strings(text)  # strings and comments may have any number of dots
    found = re.search(rf"(?<![\w-])(?:[\w-]+[ \t]*\.[ \t]*){{{KEY_PARTS}}}", masked)
    if found:
        line = masked.count("\n", 0, found.start()) + 1
        raise InputError(f"{source}, line {line}: has a dotted key of more than {KEY_PARTS} parts")


def _without_strings(text: str) -> str:
    """Replace each string of a TOML text by ``s``, and remove comments; the lines stay."""
    import re

    opening = re.compile(r"""\"{3}|'{3}|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|#[^\n]*""")
    closing = {'"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*"{0,5}', re.S), "'''": re.compile(r"(?:[^']|'(?!''))*'{0,5}")}
    parts, here = [], 0
    while found := opening.search(text, here):
        parts.append(text[here : found.start()])
        end = found.end()
        if (rest := closing.get(found[0])) is not None and (tail := rest.match(text, end)) is not None:
            end = tail.end()
        parts.append("" if found[0][0] == "#" else "s" + "\n" * text.count("\n", found.start(), end))
        here = end
    return "".join((*parts, text[here:]))
