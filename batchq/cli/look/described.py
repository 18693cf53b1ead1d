"""``batchq datasette-metadata``: describe a store for a program that shows any SQLite file."""

import os

from batchq.cli.choosing import store_for
from batchq.cli.look.printing import print_text


def datasette_metadata(*, db: str | None) -> None:
    """Print the metadata of the store under the name that Datasette gives it: its file name without the suffix."""
    from batchq.jobs.asciijson import dump
    from batchq.report.datasette import metadata

    with store_for(db, reading=True) as store:
        name = os.path.splitext(os.path.basename(store.path))[0]
    print_text(dump(metadata(name), indent=2) + "\n")
