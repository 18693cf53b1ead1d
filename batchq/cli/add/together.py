"""Which words and options of ``batchq add`` go together: exactly one source of jobs, and what belongs to it."""

from batchq.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.cli.request import Request


def check(request: "Request", verb: str) -> None:
    """Refuse a command line of ``batchq VERB`` whose parts exclude each other, or that has no work. Raises UsageError."""
    _check_sources(request, verb)
    _check_each(request)


def _check_sources(request: "Request", verb: str) -> None:
    given = [
        name
        for name, present in (
            ("FILE", request.files),
            ("-c", request.command is not None),
            ("--call", request.call is not None),
        )
        if present
    ]
    if given == ["FILE", "-c"]:
        from batchq.cli.programs import JOB_FILES

        if not request.files[0].lower().endswith(JOB_FILES):
            import shlex

            script = shlex.quote(" ".join([request.command, *request.files]))
            raise UsageError(f"-c takes one script; write it in quotes, as in -c {script}")
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other; run 'batchq {verb}' once for each")
    if not given and request.words is None:
        raise UsageError(
            "--each needs a template: -- COMMAND…, -c 'SCRIPT' or --call MODULE:FUNCTION"
            if request.each
            else "nothing to add: give a FILE, '-' for stdin, -c 'COMMAND', --call MODULE:FUNCTION or -- COMMAND"
        )
    if given and given != ["-c"] and request.words is not None:
        raise UsageError(f"{given[0]} and a command after -- exclude each other; run 'batchq {verb}' once for each")
    if request.args is not None and request.call is None:
        raise UsageError("--args belongs to --call")
    if request.format is not None and not request.files:
        raise UsageError("--format belongs to FILE or '-'")
    if request.nul and not request.files and not request.each:
        raise UsageError("-0 belongs to FILE, '-' or --each")


def _check_each(request: "Request") -> None:
    if not request.each:
        options = (
            ("--from", request.source is not None),
            ("--csv", request.csv),
            ("--tsv", request.tsv),
            ("-n", request.per_job is not None),
            ("--link", request.link),
        )
        for option, present in options:
            if present:
                raise UsageError(f"{option} belongs to --each")
        return
    if request.files:
        raise UsageError(
            "--each and FILE exclude each other: write the command after --, and read the lines from --from FILE"
        )
    layouts = [name for name, given in (("--csv", request.csv), ("--tsv", request.tsv), ("-0", request.nul)) if given]
    if len(layouts) > 1:
        raise UsageError(f"{' and '.join(layouts)} exclude each other")
    if request.per_job is not None and layouts not in ([], ["-0"]):
        raise UsageError(f"-n and {layouts[0]} exclude each other: -n puts several lines without columns into a job")
    if request.lists:
        others = [*layouts, *["--from"] * (request.source is not None), *["-n"] * (request.per_job is not None)]
        if others:
            raise UsageError(f"{others[0]} and ::: exclude each other: the values are the words after :::")
    elif request.link:
        raise UsageError("--link belongs to lists of values, as in -- convert {1} {2} ::: a b ::: 1 2")
