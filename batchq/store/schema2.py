"""What the second schema adds to the first: new columns, new tables, and views and indexes of a new text."""

#: Of each table that gets columns: the last column that it had, and the new ones. SQLite writes them behind that one.
COLUMNS: dict[str, tuple[str, tuple[str, ...]]] = {}

#: What goes of the first schema, as in ``("VIEW", "job_report")``; what only has a new text is made anew below.
DROPPED: tuple[tuple[str, str], ...] = ()

CREATED = (
    """
CREATE TABLE adds (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    -- JSON list of the job files, by their real paths; NULL where there were none
    files TEXT
) STRICT""",
    """
CREATE TABLE processes (
    job INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    token TEXT NOT NULL,
    -- the first process of the attempt, which leads its session, and when that started (clock ticks since boot)
    pid INTEGER NOT NULL,
    born INTEGER
) STRICT""",
)
