"""``batchq doctor``: check a store, repair it, and take back the jobs of dead runners."""

import sys
import time

from batchq import clock
from batchq.cli.choosing import named_by, store_for
from batchq.errors import BusyError, LedgerError, UsageError
from batchq.notes import note
from batchq.report.layout import count
from batchq.store.file.opening import open_store
from batchq.visible import visible


def doctor(*, rescue: int | None, repair: bool, json: bool, db: str | None) -> int:
    """Check the store; return 0 if it is sound, 1 if something is wrong, 74 if it is damaged."""
    from batchq.jobs.asciijson import dump
    from batchq.report.asjson import SCHEMA
    from batchq.report.program import program
    from batchq.runner.rescuing import here
    from batchq.store.keeping.examination import examine

    if rescue is not None:
        _rescue(rescue, db)
        return 0
    if repair:
        _repair(db)
    found = []
    with open_store(db, reading=True) as store:  # its warnings are among the findings
        batchq = program(named_by(store, db, shown=sys.stdout.isatty() and not json))
        for one in examine(store, here(store)):
            finding = one._replace(text=one.text.replace("'batchq ", f"'{batchq} "))
            found.append(finding)
            if not json:
                sys.stdout.write(f"{finding.level:8} {finding.about:12} {visible(finding.text, one_line=True)}\n")
    is_damaged = any(finding.is_damage for finding in found)
    has_problem = any(finding.level == "problem" for finding in found)
    code = LedgerError.exit_code if is_damaged else int(has_problem)
    if json:
        findings = [{"level": one.level, "about": one.about, "text": one.text} for one in found]
        facts = {"schema": SCHEMA, "kind": "doctor", "store": store.path, "status": code, "findings": findings}
        sys.stdout.write(dump(facts) + "\n")
    return code


def _repair(db: str | None) -> None:
    """Copy the store to a file next to it; then settle the jobs of dead runners, and repair the rest."""
    from batchq.runner.rescuing import Rescuer
    from batchq.store.keeping import repair

    with store_for(db) as store:
        kept = repair.keep_as_it_is(store, time.strftime("%Y-%m-%d-%H%M%S"))
        note(f"doctor: the store before the repair is kept in {kept}")
        mended = repair.mend(store, clock.now())
        taken = sum(len(settled) for settled in Rescuer(store).rescue())
    for text in mended:
        note(f"doctor: mended: {text}")
    if taken:
        note(f"doctor: mended: {count(taken, 'job')} of dead runs taken back")
    if not mended and not taken:
        note("doctor: there was nothing to mend")


def _rescue(runner: int, db: str | None) -> None:
    """Take back the jobs of a dead runner whose processes no run can see: the user vouches that none is alive."""
    from batchq.runner.rescuing import Rescuer, here
    from batchq.store.running.rescue import lost_runners

    with store_for(db) as store:
        for lost in lost_runners(store, here=here(store)):
            if lost.runner == runner:
                settled = Rescuer(store).take_back(lost)
                note(f"doctor: {count(len(settled), 'job')} of runner {runner} taken back")
                if len(settled) < len(lost.claims):
                    left = count(len(lost.claims) - len(settled), "job")
                    raise BusyError(
                        f"processes of {left} of runner {runner} are alive and cannot be killed; try again later"
                    )
                return
    raise UsageError(f"runner {runner} is alive, has ended, or never existed; 'batchq doctor' lists the dead ones")
