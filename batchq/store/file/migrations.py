"""The steps from an empty file to the newest schema. A released step never changes: a new one is added below it."""

from typing import TYPE_CHECKING

from batchq import failpoints
from batchq.store.file import schema
from batchq.store.file.without import without

with without("pandas", "numpy", library="sqlite_utils"):  # it can store their values: half a second of imports
    from sqlite_utils import Database, Migrations

if TYPE_CHECKING:
    import _sqlite3 as sqlite3

migrations = Migrations("batchq")


@migrations()
def v1(db: Database) -> None:
    """The first schema."""
    for statement in schema.V1:
        db.execute(statement)


@migrations()
def v2(db: Database) -> None:
    """Adds, processes and logs have rows of their own."""
    for statement in schema.V2:
        db.execute(statement)


def upgrade(connection: "sqlite3.Connection") -> None:
    """Bring the store to the newest schema; the caller holds the writer mutex and an open BEGIN IMMEDIATE.

    Migrations.apply has no lock of its own: inside our transaction its steps nest as savepoints, so a crash leaves
    either the old schema or the new one.
    """
    migrations.apply(Database(connection, execute_plugins=False))
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    failpoints.hit("migration_before_commit")
