"""What one ``batchq add`` asks for, whichever parser read it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class AddRequest:
    """One ``batchq add``: where the jobs come from, the fields given as options, and how to tell the ids."""

    def __init__(self) -> None:
        self.words: list[str] | None = None
        self.command: str | None = None
        self.call: str | None = None
        self.args: str | None = None
        self.files: list[str] = []
        self.format: str | None = None
        self.nul = False
        self.each = False
        self.source: str | None = None
        self.csv = False
        self.tsv = False
        self.quiet = False
        self.dry_run = False
        self.json = False
        self.db: str | None = None
        self.fields: dict[str, Any] = {}
        self.env: list[str] = []
