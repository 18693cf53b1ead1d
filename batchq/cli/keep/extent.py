"""``batchq keep-output``: how much of the output of jobs a store keeps."""

import sys

from batchq.cli.choosing import store_for
from batchq.errors import UsageError
from batchq.jobs.values import kept_output, show_size
from batchq.store.keeping import extent


def keep_output(*, size: str | None, reset: bool, json: bool, db: str | None) -> None:
    """Set or reset how much is kept of each stream; with neither, print it."""
    if size is not None and reset:
        raise UsageError("keep-output takes a size or --reset, not both")
    try:
        wanted = None if size is None else kept_output(size)
    except ValueError as error:
        raise UsageError(f"keep-output {size!r} {error}") from None
    is_change = size is not None or reset
    with store_for(db, reading=not is_change) as store:
        if is_change:
            extent.set_keep_output(store, wanted)
        kept = extent.keep_output(store)
    if json:
        from batchq.jobs.asciijson import dump

        sys.stdout.write(dump({"schema": 1, "kind": "keep-output", "bytes": kept}) + "\n")
    elif not is_change:
        sys.stdout.write(f"{show_size(kept)} of each stream, unless a job has a keep_output of its own\n")
