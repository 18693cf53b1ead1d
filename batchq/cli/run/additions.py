"""The jobs that a run adds before it begins: which they are, and by what they are known as the same from run to run."""

import os
import sys

from batchq import folder
from batchq.cli.request import Request
from batchq.cli.run.options import FOR_JOBS
from batchq.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from batchq.jobs.reading.spool import Jobs
    from batchq.runner.tally import Plan


def requested(given: "dict[str, Any]") -> Request:
    """Return the values of the command line, those in a script that it names included. Raises UsageError, InputError."""
    if given["words"] and "/" in given["words"][0]:
        from batchq.cli.add import directives

        given = directives.merged(given)
    request = Request(given)
    if adds(request):
        if request.watch:
            raise UsageError("--watch and jobs to add exclude each other: the run ends when these jobs have ended")
    else:
        _refuse_options_for_jobs(given)
        if option := _of_one_job(request):
            raise UsageError(f"{option} is for a run of one job: put a command after --, or use -c or --call")
    return request


def _of_one_job(request: Request) -> str | None:
    return "--pass-exit-code" if request.pass_exit_code else "--tee" if request.tee else None


def adds(request: Request) -> bool:
    """Whether the command line names jobs to add; the run then takes only these."""
    is_command = request.words is not None or request.command is not None or request.call is not None
    return bool(request.files) or is_command or request.each


def _refuse_options_for_jobs(given: "dict[str, Any]") -> None:
    for name, option in FOR_JOBS.items():
        if given[name] not in (option.default, [], None):
            raise UsageError(
                f"{option.flags[-1]} is for jobs that this run adds, and it adds none: put a command after --, use -c or"
                " --call, or name a FILE"
            )


def jobs_of(request: Request) -> "Jobs":
    """Return the jobs to add, checked; a single one has its key. Raises UsageError, InputError and MissingError."""
    from batchq.cli.add import sources
    from batchq.store.adding import intake

    specs = sources.specs_of(request, "run")
    intake.find_keys(specs)
    if (number := len(specs)) != 1 and (option := _of_one_job(request)):
        for_many = "; --output passes on the output of several" if option == "--tee" else ""
        raise UsageError(f"{option} is for a run of one job, and this one would add {number:,}{for_many}")
    return specs


def is_teed(request: Request) -> bool:
    """Whether the output of the job is passed on: by default that of a command, on a terminal. Raises UsageError."""
    lines = "--keep-order" if request.keep_order else "--output" if request.pass_on else None
    for option, given in (
        ("--no-tee", request.no_tee),
        ("--json", request.json),
        ("--events -", request.events == "-"),
        (lines, lines is not None),
    ):
        if given and request.tee:
            raise UsageError(f"--tee and {option} exclude each other")
        if given and lines not in (None, option) and option != "--no-tee":
            raise UsageError(f"{lines} and {option} exclude each other: both print to stdout")
    if request.no_tee or request.json or request.events == "-" or lines:
        return False
    is_command = adds(request) and not request.files and not request.each
    on_terminal = sys.stdout.isatty() or sys.stderr.isatty()
    return bool(request.tee) or (is_command and on_terminal and not request.quiet)


def known_as(plan: "Plan", request: Request, specs: "Jobs") -> "Plan":
    """Return the plan with the names by which runs of these jobs are recognized.

    Of a single job with a key, that key decides whether it is being run already; the default is then to start nothing.
    """
    is_keyed = isinstance(specs, list) and not request.files and not request.each and specs[0].key is not None
    wanted = plan.wanted._replace(files=_names(request, specs))
    mode = "fail" if is_keyed and request.if_running is None else plan.if_running
    return plan._replace(wanted=wanted, if_running=mode, is_keyed=is_keyed, is_passing=request.pass_exit_code)


def _names(request: Request, specs: "Jobs") -> tuple[str, ...]:
    """The real paths of files, the key of a single job, or else what it does and where; none for jobs from stdin."""
    from batchq.cli.add.sources import reads_stdin

    if reads_stdin(request):
        return ()
    if request.each:
        what = f"each {[request.command, request.call, request.args, request.words, *request.files]}"
        return (
            (f"{what} in {folder.current()}",) if request.source is None else (os.path.realpath(request.source), what)
        )
    if request.files:
        return tuple(sorted(map(os.path.realpath, request.files)))
    (job,) = specs
    return (f"key {job.key}" if job.key is not None else f"{job.kind} {job.work} in {job.terms.cwd}",)
