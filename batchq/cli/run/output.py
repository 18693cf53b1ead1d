"""The output at the end of a run: nothing, a digest of failures, or JSON; on a terminal also jobs that were left alone."""

import contextlib
import json
import os
import sys

from batchq.errors import BatchqError
from batchq.jobs.selection import Selection, in_words, merged
from batchq.named import NamedTuple
from batchq.notes import note
from batchq.runner.tally import Plan, Tally
from batchq.store.answering import answers
from batchq.store.file.connection import Store
from batchq.store.running import forecast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from batchq.report.aftermath import Aftermath

_LEFT_ALONE = {
    "held": "held: '{batchq} list --state held' shows them, '{batchq} release ID' releases one",
    "scheduled": "scheduled for later",
    "blocked": "blocked by jobs that have not finished: '{batchq} explain ID' names them",
    "paused": "in a paused queue: '{batchq} queue resume NAME'",
    "slots": "with more slots than -j gives",
    "payload": "with a payload: run them with --perform MODULE:FUNCTION",
}


class OutputOptions(NamedTuple):
    """What a run prints: ``live`` draws a bar; ``db`` is the path of the store, None on a terminal where commands find
    it. ``only_news``: the digest only if other jobs failed than last time, or one recovered. ``is_teed``: the output of
    the only job is passed on; ``shown`` are its streams that the reader of stderr has got whole. ``folder`` is where the
    run was started."""

    quiet: bool
    verbose: bool
    as_json: bool
    live: bool
    db: str | None
    only_news: bool = False
    is_teed: bool = False
    shown: frozenset[str] = frozenset()
    folder: str | None = None


def print_result(store: Store, plan: Plan, tally: Tally, options: OutputOptions) -> None:
    """Print the result of a run."""
    found, unread = None, None
    if tally.failed and (options.as_json or not options.quiet):
        from batchq.report import aftermath

        try:
            found = aftermath.gather(store, tally.failed, _answered(store, tally), options.db)
        except BatchqError as error:  # raised where failures are printed; the rest is known without the store
            unread = error
    if options.as_json:
        facts = {
            "schema": 1, "kind": "run", "status": tally.exit_code(), "succeeded": tally.succeeded,
            "failed": list(tally.failed), "retried": tally.retried, "interrupted": tally.interrupted,
            "rescued": tally.rescued, "stopped_at": tally.stopped_at, "left_alone": tally.left_alone,
            "held_by_batchq": list(tally.held), "on_hold": tally.on_hold, "too_wide": tally.too_wide,
            "left_open": tally.left_open, "never_seen": [{one.kind: one.name} for one in tally.never_seen],
            "beyond_reach": tally.beyond_reach, "unconfirmed": sorted(tally.left),
            "failed_before": [one.id for one in tally.before],
            "incomplete_logs": list(tally.unlogged),
            "not_run": [{"reason": one.reason, "queue": one.queue, "jobs": one.jobs} for one in tally.not_run],
            "run": tally.run,
            **({"causes": [], "change": None, "retry": None} if found is None else aftermath.as_values(found)),
        }  # fmt: skip
        sys.stdout.write(json.dumps(facts) + "\n")
    _note_obstacles(tally, options)
    if options.quiet:
        return
    if (options.live and not _is_idle(tally)) or options.verbose:
        for line in _left_alone(tally, options):
            note(line)
    if tally.stopped_at == "--halt":
        note(
            f"halted after {len(tally.failed)} failed {'job' if len(tally.failed) == 1 else 'jobs'}; the rest is queued"
        )
    if len(tally.unlogged) > 1:  # the first one was reported when it happened
        ids = in_words(merged((job, job) for job in tally.unlogged))
        note(f"the logs of {len(tally.unlogged):,} jobs are incomplete: {ids if len(ids) < 200 else 'see --json'}")
    if unread is not None:
        raise unread
    if found is not None and (found.is_news or not options.only_news):
        _print_failures(found, options)
    elif not tally.failed and options.only_news:
        _print_recovered(store, tally)
    if tally.held:
        _print_held(store, list(tally.held), options, is_placed=bool(tally.failed))
    if tally.before or tally.not_run or tally.on_hold or tally.too_wide or tally.left_open:
        _note_undone(store, plan, tally, options)
    if options.live and tally.occupied_by is None:
        _print_last_line(store, plan, tally, None if found is None else len(found.reasons), options)


def _note_obstacles(tally: Tally, options: OutputOptions) -> None:
    """Say why the run could not do its work, also with ``-q``: the code alone would not tell."""
    if tally.refusal is not None:
        note(tally.refusal.reason)
    if tally.trouble is not None:
        note(f"{tally.trouble}; this run gave up")
    if tally.occupied_by is not None and (tally.is_turned_away or options.live or options.verbose):
        what = (
            f"process {tally.occupied_by} runs these jobs already"
            if tally.occupied_job is None
            else f"process {tally.occupied_by} works on job {tally.occupied_job}, which has this key"
        )
        note(f"{what}; nothing was started")


def _is_idle(tally: Tally) -> bool:
    """Whether the run found no job to run."""
    return not (tally.started or tally.rescued or tally.signal or tally.failed or tally.refusal or tally.trouble)


def _print_last_line(store: Store, plan: Plan, tally: Tally, reasons: int | None, options: OutputOptions) -> None:
    from batchq.cli.run.live import sentences
    from batchq.report.layout import line, look, render
    from batchq.report.program import program

    if options.is_teed and (tally.succeeded or tally.failed):
        return  # the output of the job, or the digest, has the last word
    if _is_idle(tally):
        known = [] if tally.asked is None or tally.before else sorted(tally.asked.before)
        note(sentences.nothing(tally.left_alone, known, program(options.db)))
        return
    left = 0
    if tally.signal is not None or tally.stopped_at is not None:
        with contextlib.suppress(BatchqError):
            left = forecast.waiting(store, plan.wanted._replace(ids=None if tally.asked is None else tally.asked.ids))
    # wrapped between words; the line above it may have commands, which must stay whole to be copied
    text = render([line(f"batchq: {sentences.ended(tally, reasons, left)}")], look(sys.stderr, "never", os.environ))
    with contextlib.suppress(OSError):
        sys.stderr.write(text)


def _print_failures(found: "Aftermath", options: OutputOptions) -> None:
    from batchq.report.digest import digest

    sys.stderr.write(digest(found, options.shown, _place(options)))


def _place(options: OutputOptions) -> str:
    """Where a digest comes from that is read elsewhere; nothing on a terminal whose commands find the store."""
    from batchq.report.program import place

    return "" if options.db is None else place(options.db, options.folder)


def _print_recovered(store: Store, tally: Tally) -> None:
    from batchq.report import aftermath

    answered = _answered(store, tally)
    if answered is not None and (line := aftermath.recovered(store, answered)):
        note(line)


def _answered(store: Store, tally: Tally) -> Selection | None:
    return answers.answered(store, tally.asked, tally.run, tally.failed)


def _print_held(store: Store, held: list[int], options: OutputOptions, *, is_placed: bool) -> None:
    from batchq.report.digest import IN_FULL, digest_of_held
    from batchq.report.program import program
    from batchq.store.looking import outputs

    shown = outputs.on_hold(store, held[:IN_FULL])
    sys.stderr.write(digest_of_held(shown, held, program(options.db), "" if is_placed else _place(options)))


def _note_undone(store: Store, plan: Plan, tally: Tally, options: OutputOptions) -> None:
    from batchq.report import undone
    from batchq.report.program import program
    from batchq.store.looking import queries

    batchq = program(options.db)
    named = (
        [id for one in tally.not_run for id in (*one.jobs[: undone.MOST], *one.callers)]
        + [one.id for one in tally.before]
        + tally.left_open[: undone.MOST]
    )
    names = queries.names(store, named)
    lines = undone.before(tally.before, names, batchq)
    if tally.signal is None:  # a user who stopped it knows that the rest was not run
        lines += undone.not_run(tally.not_run, names, batchq, tally.stopped_at)
    lines += [undone.on_hold(tally.on_hold, batchq)] if tally.on_hold else []
    lines += [undone.left_open(tally.left_open, names, batchq, plan.wanted.source)] if tally.left_open else []
    if tally.too_wide:
        lines.append(undone.too_wide(tally.too_wide, tally.slots, batchq, is_elsewhere=tally.is_elsewhere))
    for line in lines:
        note(line)


def _left_alone(tally: Tally, options: OutputOptions) -> list[str]:
    from batchq.report.layout import count
    from batchq.report.program import program

    left = [(state, jobs) for state, jobs in sorted(tally.left_alone.items()) if jobs]
    why = {state: _LEFT_ALONE[state].format(batchq=program(options.db)) for state, _ in left}
    lines = [f"left alone: {count(jobs, 'job')} {why[state]}" for state, jobs in left]
    stopped = tally.stopped_at
    return [*lines, f"stopped at {stopped} with work left"] if stopped not in (None, "--halt") else lines
