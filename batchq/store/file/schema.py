"""The schema of the store: one module for each version, applied by ``migrations.py``, and the resulting text.

The tables are STRICT and the CHECKs tie each state to its columns, so that a bug ends in an error, not in wrong data.
Times are milliseconds since 1970 in UTC; JSON is text. The views are public, the tables are not.
"""

from batchq.store.file import schema1, schema2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION_ID = 0x42515545  #: "BQUE", in the header of the file
VERSION = 2  #: the number of the newest migration, in PRAGMA user_version

V1 = schema1.V1
V2 = (
    *(f"DROP {_kind} {_name}" for _kind, _name in schema2.DROPPED),
    *(f"ALTER TABLE {_table} RENAME TO old_{_table}" for _table in schema2.REBUILT),
    *(
        f"ALTER TABLE {_table} ADD COLUMN {_column}"
        for _table, (_, _new) in schema2.COLUMNS.items()
        for _column in _new
    ),
    *schema2.CREATED,
    *schema2.FILLED,
    *(f"DROP TABLE old_{_table}" for _table in schema2.REBUILT),
)


def _created() -> "Iterator[str]":
    """Yield the text of every table, index and view, as SQLite keeps it."""
    gone = (*schema2.DROPPED, *(("TABLE", name) for name in schema2.REBUILT))
    dropped = tuple(f"CREATE {kind} {name} " for kind, name in gone)
    for statement in map(str.strip, V1):
        if not statement.startswith("CREATE ") or statement.startswith(dropped):
            continue
        table = statement.split(maxsplit=3)[2]
        yield _grown(statement, *schema2.COLUMNS[table]) if table in schema2.COLUMNS else statement
    yield from map(str.strip, schema2.CREATED)


def _grown(table: str, last: str, new: "tuple[str, ...]") -> str:
    """The text of a table after ``ALTER TABLE … ADD COLUMN``: after its last column, or before the closing bracket."""
    if f"    {last}\n)" in table:
        return table.replace(f"    {last}\n)", f"    {last}\n, {', '.join(new)})")
    return table.replace(f"    {last},\n", f"    {', '.join((last, *new))},\n")


#: The text of every table, index and view of a store of this version, as SQLite keeps it
OBJECTS = frozenset(_created())
