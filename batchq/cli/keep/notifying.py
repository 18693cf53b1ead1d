"""``batchq notify``: the target that runs of a store notify."""

import sys

from batchq import clock
from batchq.cli.choosing import store_for
from batchq.errors import UsageError
from batchq.notify.target import masked, target_of
from batchq.store.keeping import notice
from batchq.visible import visible


def notify(*, target: list[str], off: bool, json: bool, db: str | None) -> None:
    """Set or remove the target that runs notify; with neither, print it."""
    if target and off:
        raise UsageError("notify takes a target or --off, not both")
    wanted = target_of(target) if target else None
    with store_for(db, reading=not (target or off)) as store:
        if wanted is not None or off:
            notice.set_target(store, wanted)
        to, failed = notice.target(store), notice.failed(store)
    shown = None if to is None else masked(to)
    if json:
        from batchq.jobs.asciijson import dump
        from batchq.report.asjson import SCHEMA

        facts = None
        if failed is not None:
            facts = {"at": clock.iso(failed.at), "target": failed.target, "reason": failed.reason}
        sys.stdout.write(dump({"schema": SCHEMA, "kind": "notify", "target": shown, "failed": facts}) + "\n")
        return
    if wanted is None and not off:
        sys.stdout.write(f"{visible('runs notify nobody' if shown is None else shown, one_line=True)}\n")
        if failed is not None:
            text = f"failed last time, {clock.local(failed.at)}, to {failed.target}: {failed.reason}"
            sys.stdout.write(f"{visible(text, one_line=True)}\n")
