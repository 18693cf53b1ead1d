"""What one ``batchq add`` or ``batchq run`` asks for, whichever parser read it."""

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
        self.trust_owner = False


class RunRequest:
    """One ``batchq run``, each option as it was written."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.jobs = "0"
        self.queue: str | None = None
        self.batch: str | None = None
        self.max_jobs: int | None = None
        self.max_time: str | None = None
        self.halt = "never"
        self.if_running = "join"
        self.watch = False
        self.perform: str | None = None
        self.events: str | None = None
        self.handler: list[str] = []
        self.grace = "8s"
        self.log_dir: str | None = None
        self.worker_jobs = 0
        self.limit_processes: int | None = None
        self.quiet = False
        self.verbose = False
        self.as_json = False
        self.allow_network_fs = False
        self.trust_owner = False
        self.db: str | None = None
