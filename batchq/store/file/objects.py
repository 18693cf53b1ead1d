"""Whether the tables, indexes and views of a store are ours, object for object.

``trusted_schema = OFF`` does not stop a trigger or a view that slips a job in, so the text of the whole schema is
compared at each open (0.1 ms). Only the text counts: SQLite executes it, whatever the other columns of its schema table
contain.
"""

import _sqlite3 as sqlite3

from batchq.errors import StoreError
from batchq.store.file import schema

_INERT = ("CREATE TABLE ", "CREATE INDEX ", "CREATE VIEW ", "CREATE VIRTUAL TABLE ")
_MIGRATIONS = "_sqlite_migrations"
_UNIQUE = r'CREATE UNIQUE INDEX "?\w+"?\s+ON\s+"?(?P<table>\w+)"?\s*\('
#: An index that sqlite-utils makes for itself in each store
_OF_MIGRATIONS = """CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name")"""
_BACK = "go back to a backup with 'batchq restore FILE'"


def check(db: sqlite3.Connection, path: str, *, is_old: bool = False) -> None:
    """Raise StoreError if the schema is not ours; see ``strange``."""
    if (found := strange(db, path, is_old=is_old)) is not None:
        raise StoreError(found)


def strange(db: sqlite3.Connection, path: str, *, is_old: bool = False) -> str | None:
    """Describe an object that could add or change jobs, or one of ours that was changed; None if all is well.

    Foreign tables, indexes and views that none of ours refers to do no harm. A store that ``is_old`` may have older views,
    and is compared in full after its upgrade.
    """
    found = {sql for (sql,) in db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    for sql in sorted(found - schema.OBJECTS, key=str):
        if not _is_inert(sql):
            return (
                f"{path} holds something that batchq did not make and that could add or change jobs: "
                f"{' '.join(str(sql).split())[:60]!r}; drop it, or {_BACK}"
            )
    if not is_old and (missing := schema.OBJECTS - found):
        names = ", ".join(sorted(" ".join(sql.split()[1:3]) for sql in missing)[:3])
        return f"{path} is not as batchq made it ({names} was changed or dropped); {_BACK}"
    return None


def extras(db: sqlite3.Connection) -> list[str]:
    """The names of the tables, indexes and views that other programs added to the store."""
    rows = db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*'")
    return sorted(name for name, sql in rows if sql not in schema.OBJECTS and _MIGRATIONS not in sql)


def tables() -> set[str]:
    """The names of our tables and views."""
    words = (sql.split()[1:3] for sql in schema.OBJECTS)
    return {name for kind, name in words if kind in ("TABLE", "VIEW")}


def _is_inert(sql: object) -> bool:
    if not isinstance(sql, str):
        return False
    if sql.startswith(_INERT) or sql.replace("[", '"').replace("]", '"') == _OF_MIGRATIONS:
        return True
    import re  # only for foreign objects: an add would pay for the import

    ours = tables() | {_MIGRATIONS}
    if sql.startswith("CREATE TRIGGER "):  # the text that SQLite keeps for one made in the usual way
        # Not only the trigger's table counts: a foreign key fires one on a foreign table when a job of ours is removed.
        return ours.isdisjoint(re.findall(r"\w+", sql.lower()))
    found = re.match(_UNIQUE, sql, re.IGNORECASE)
    return found is not None and found["table"].lower() not in ours
