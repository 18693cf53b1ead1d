"""``batchq run``: its options, as typer reads them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchq.cli.app import Db, Global, Json, NetworkFs, TrustOwner, app
from batchq.cli.request import RunRequest
from batchq.cli.run import draining

if TYPE_CHECKING:
    from collections.abc import Mapping


@app.command()
def run(
    context: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE|-]...", help="Add these jobs, run exactly them, and answer for exactly them."),
    ] = None,
    jobs: Annotated[
        str, typer.Option("-j", "--jobs", metavar="N", help="Jobs at once; 0 or 100%: one for each core.")
    ] = "0",
    queue: Annotated[str | None, typer.Option(help="Only this queue.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only this batch.")] = None,
    max_jobs: Annotated[int | None, typer.Option(min=1, help="Start so many, then stop.")] = None,
    max_time: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Start nothing more after so long, then stop.")
    ] = None,
    halt: Annotated[
        str, typer.Option(metavar="WHEN", help="never, or soon|now[,fail=N|N%]: stop at so many failed jobs.")
    ] = "never",
    if_running: Annotated[
        str, typer.Option(metavar="WHAT", help="If these jobs are being run already: join, skip, wait[=60s] or fail.")
    ] = "join",
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and take new work as soon as it is added.")] = False,
    perform: Annotated[
        str | None, typer.Option(metavar="MODULE:FUNCTION", help="What does the jobs that are a payload.")
    ] = None,
    events: Annotated[str | None, typer.Option(metavar="FILE|-", help="Append each event as a line of JSON.")] = None,
    handler: Annotated[
        list[str] | None, typer.Option(metavar="MODULE:FUNCTION", help="Call this with each event.")
    ] = None,
    grace: Annotated[str, typer.Option(metavar="DURATION", help="How long jobs may finish when told to stop.")] = "8s",
    log_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Keep all output here, one file an attempt.")
    ] = None,
    worker_jobs: Annotated[int, typer.Option(min=0, help="Replace a worker after so many callables; 0: never.")] = 0,
    limit_processes: Annotated[
        int | None, typer.Option(min=1, help="How many processes your user may have while this runs (not for root).")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing; the exit code tells.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Log each job, and what was left alone.")] = False,
    as_json: Json = False,
    allow_network_fs: NetworkFs = False,
    trust_owner: TrustOwner = False,
    db: Db = None,
) -> None:
    """Run what is claimable until nothing is left; exit 1 if a job failed.

    \b
    batchq run -j 4                 what is queued, four jobs at once
    batchq run etl.toml             add the jobs of a file, run them, answer for them
    batchq run --watch              stay, and take new work as it comes
    batchq run --if-running skip    from cron: do nothing if a run is at work that takes all
    """
    request = requested(context.params, getattr(context.obj, "words", None))
    request.db = db or Global.db
    raise typer.Exit(draining.run(request))


def requested(options: "Mapping[str, Any]", words: list[str] | None) -> RunRequest:
    """The request that the options of ``run``, by the names of its parameters, and the words after ``--`` make."""
    request = RunRequest()
    for name in vars(request):
        setattr(request, name, options[name])
    request.files = [*(options["files"] or ()), *(words or ())]
    request.handler = list(options["handler"] or ())
    return request
