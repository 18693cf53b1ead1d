"""``batchq doctor``, ``backup``, ``restore`` and ``prune``: keeping a store sound, safe and small."""

import json
import sys
from typing import Annotated

import typer

from batchq import clock
from batchq.cli.app import Db, Global, Json, app, store_for
from batchq.cli.noting import note
from batchq.errors import BusyError, LedgerError, UsageError
from batchq.jobs.lifecycle import FINAL
from batchq.store.file.connection import Store
from batchq.store.file.location import locate
from batchq.store.file.opening import open_store
from batchq.store.keeping import pruning, retention
from batchq.store.keeping.pruning import Policy
from batchq.visible import visible

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing; the exit code tells.")]


@app.command()
def doctor(
    rescue: Annotated[
        int | None,
        typer.Option(metavar="RUNNER", help="Take the jobs of this dead runner back; nothing of it may be alive."),
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="First mend what can be mended; a copy is kept.")] = False,
    as_json: Json = False,
    db: Db = None,
) -> None:
    """Examine the store: exit 0 if it is sound, 1 if something is wrong, 74 if it is damaged. Repairs only with --repair.

    \b
    batchq doctor                 look at everything, change nothing
    batchq doctor --repair        keep a copy, mend what can be mended, then look
    batchq doctor --rescue 17     take the jobs of the dead runner 17 back
    """
    from batchq.jobs.asciijson import dump
    from batchq.report.asjson import SCHEMA
    from batchq.runner.rescuing import here
    from batchq.store.keeping.examination import examine

    if rescue is not None:
        _rescue(rescue, db)
        return
    if repair:
        _repair(db)
    found = []
    with open_store(db or Global.db, reading=True) as store:  # its warnings are among the findings
        for finding in examine(store, here(store)):
            found.append(finding)
            if not as_json:
                sys.stdout.write(f"{finding.level:8} {finding.about:12} {visible(finding.text, one_line=True)}\n")
    is_damaged = any(finding.is_damage for finding in found)
    has_problem = any(finding.level == "problem" for finding in found)
    code = LedgerError.exit_code if is_damaged else int(has_problem)
    if as_json:
        findings = [{"level": one.level, "about": one.about, "text": one.text} for one in found]
        facts = {"schema": SCHEMA, "kind": "doctor", "store": store.path, "status": code, "findings": findings}
        sys.stdout.write(dump(facts) + "\n")
    if code:
        raise typer.Exit(code)


def _repair(db: str | None) -> None:
    """Keep the store as it is in a file beside it; then settle what dead runners left, and every other breach."""
    from batchq.runner.rescuing import Rescuer
    from batchq.store.keeping import repair

    with store_for(db) as store:
        kept = repair.keep_as_it_is(store, clock.local(clock.now()).replace(" ", "-").replace(":", ""))
        note(f"doctor: the store as it was is in {kept}")
        mended = repair.mend(store, clock.now())
        taken = sum(len(settled) for settled in Rescuer(store).rescue())
    for text in mended:
        note(f"doctor: mended: {text}")
    if taken:
        note(f"doctor: mended: {_jobs(taken)} of dead runs taken back")
    if not mended and not taken:
        note("doctor: there was nothing to mend")


def _rescue(runner: int, db: str | None) -> None:
    """What a run does by itself where it can see the processes of the dead one; here the user answers for them."""
    from batchq.runner.rescuing import Rescuer, here
    from batchq.store.running.rescue import lost_runners

    with store_for(db) as store:
        for lost in lost_runners(store, here=here(store)):
            if lost.runner == runner:
                settled = Rescuer(store).take_back(lost)
                note(f"doctor: {_jobs(len(settled))} of runner {runner} taken back")
                if len(settled) < len(lost.claims):
                    left = _jobs(len(lost.claims) - len(settled))
                    raise BusyError(
                        f"something of {left} of runner {runner} is alive and cannot be ended; try again later"
                    )
                return
    raise UsageError(f"runner {runner} is alive, has ended, or never was; 'batchq doctor' names the dead ones")


@app.command()
def backup(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where; what is there is replaced.")],
    quiet: Quiet = False,
    db: Db = None,
) -> None:
    """Copy the store, as it is at this moment, to FILE; safe while jobs run, which cp is not."""
    from batchq.store.keeping.backup import backup as copy

    with store_for(db, reading=True) as store:
        size = copy(store, file)
    if not quiet:
        note(f"backup: {size:,} bytes in {file}")


@app.command()
def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A backup; it stays as it is.")],
    quiet: Quiet = False,
    db: Db = None,
) -> None:
    """Put the backup FILE in the place of the store; safe also while jobs run, and after a crash, which cp is not.

    The store that was there is kept beside it, with its log. A run that is at work on it starts nothing more, and ends
    with 74 when its jobs are over.
    """
    from batchq.store.keeping.restoring import restore as put

    path = locate(db or Global.db)
    done = put(path, file)
    if done.was_in_use:
        note(
            "restore: the store that was there is in use; its runs start nothing more, and end with 74 when their jobs"
            " are over"
        )
    if not quiet:
        kept = "" if done.kept_as is None else f"; what was there is kept as {done.kept_as}"
        note(f"restore: {path} is the backup {file} now, {done.bytes:,} bytes{kept}")


@app.command()
def prune(
    older_than: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Jobs that have been over for so long, as in 30d.")
    ] = None,
    states: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Only succeeded, failed or cancelled jobs; may be repeated."),
    ] = None,
    keep: Annotated[int, typer.Option(min=0, metavar="N", help="But not the newest N of them.")] = 0,
    forget_keys: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="And keys of removed jobs that no add has named for so long."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    set_retention: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Have runners remove by and by what is older.")
    ] = None,
    no_retention: Annotated[bool, typer.Option("--no-retention", help="Have runners remove nothing.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print what runners remove.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    db: Db = None,
) -> None:
    """Remove jobs that are over, with their attempts and output, and make the file smaller.

    Their keys stay known, so that nothing is added twice, unless --forget-keys is given.

    \b
    batchq prune --older-than 30d                     now
    batchq prune --older-than 1d --state succeeded    keep what failed
    batchq prune --set-retention 30d --keep 1000      by and by, by each batchq run
    """
    ways = [
        name
        for name, given in (
            ("--older-than", older_than is not None),
            ("--set-retention", set_retention is not None),
            ("--no-retention", no_retention),
            ("--show", show),
        )
        if given
    ]
    if len(ways) != 1:
        raise UsageError("prune takes one of --older-than, --set-retention, --no-retention and --show")
    if dry_run and older_than is None:
        raise UsageError("--dry-run belongs to --older-than")
    if (states or keep or forget_keys) and (no_retention or show):
        raise UsageError(f"--state, --keep and --forget-keys do not go with {ways[0]}")
    policy = _policy(ways[0], older_than or set_retention, states or [], keep, forget_keys)
    with store_for(db, reading=show or dry_run) as store:
        if policy is not None and older_than is not None:
            facts, text = _prune(store, policy, dry_run)
        else:
            if not show:
                retention.set_retention(store, policy)
            facts, text = _retention(store)
    if as_json:
        sys.stdout.write(json.dumps({"schema": 1, "kind": "prune", **facts}) + "\n")
    elif show:
        sys.stdout.write(visible(text) + "\n")
    elif not quiet:
        note(f"prune: {text}")


def _prune(store: Store, policy: Policy, dry_run: bool) -> tuple[dict[str, object], str]:
    if dry_run:
        counts = pruning.prunable(store, policy, clock.now())
        jobs = sum(counts.values())
        return {"dry_run": True, "jobs": jobs, "states": counts}, f"{_jobs(jobs)} would be removed"
    done = pruning.prune(store, policy, clock.now())
    facts: dict[str, object] = {"dry_run": False, "jobs": done.jobs, "runners": done.runners, "keys": done.keys}
    facts["bytes"] = done.bytes
    keys = f" and {done.keys:,} {'key' if done.keys == 1 else 'keys'}" if done.keys else ""
    facts["logs_left"] = done.logs_left
    text = f"{_jobs(done.jobs)}{keys} removed, the store is {done.bytes:,} bytes smaller"
    if done.logs_left:
        logs = "1 log stays" if done.logs_left == 1 else f"{done.logs_left:,} logs stay"
        text += f"; {logs}: written for a store at another place, of which this is a copy, or which was moved here"
    return facts, text


def _retention(store: Store) -> tuple[dict[str, object], str]:
    policy = retention.retention(store)
    if policy is None:
        return {"retention": None}, "runners remove nothing: this store keeps all jobs"
    facts = {"older_than_seconds": policy.older_than / 1000, "states": [*policy.states], "keep": policy.keep}
    facts["forget_keys_seconds"] = None if policy.keys is None else policy.keys / 1000
    text = f"runners remove {', '.join(policy.states)} jobs older than {clock.show_duration(policy.older_than)}"
    text += f", but not the newest {policy.keep:,}" if policy.keep else ""
    if policy.keys is not None:
        text += f"; they forget keys that no add has named for {clock.show_duration(policy.keys)}"
    return {"retention": facts}, text


def _policy(option: str, duration: str | None, words: list[str], keep: int, forget_keys: str | None) -> Policy | None:
    if duration is None:
        return None
    older_than = _duration(option, duration)
    keys = None if forget_keys is None else _duration("--forget-keys", forget_keys)
    chosen = {state.strip() for word in words for state in word.split(",")}
    for state in sorted(chosen.difference(FINAL)):
        raise UsageError(f"--state {state}: only jobs that are over can be removed: {', '.join(FINAL)}")
    return Policy(older_than, tuple(state for state in FINAL if not chosen or state in chosen), keep, keys)


def _duration(option: str, text: str) -> int:
    try:
        return clock.duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _jobs(number: int) -> str:
    return f"{number:,} {'job' if number == 1 else 'jobs'}"
