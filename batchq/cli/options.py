"""What a command takes, each option declared once; ``byhand`` reads by these tables, ``app`` makes the help from them.

Every command line loads this module and the table of its own room, so both import nothing that costs start-up time.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TEXT, NUMBER, DECIMAL, LIST, FLAG = "text", "number", "decimal", "list", "flag"  #: the forms of a value
OPTIONS, STORE = "Options", "Store"  #: headings of the help


class Option:
    """One option of a command.

    ``flags`` are its spellings; the last one gives the ``name`` of its value, unless that has one of its own. An option
    without a ``metavar`` and without ``choices`` is a flag. A list may be repeated. ``least`` is the least number.
    """

    __slots__ = ("choices", "default", "flags", "form", "group", "help", "least", "metavar", "name")

    def __init__(
        self,
        flags: str,
        metavar: str | None,
        help: str,
        *,
        form: str = TEXT,
        name: str | None = None,
        default: "Any" = None,
        least: int | None = None,
        choices: tuple[str, ...] = (),
        group: str = OPTIONS,
    ) -> None:
        self.flags = flags.split()
        self.name = name or self.flags[-1].lstrip("-").replace("-", "_")
        self.metavar, self.help, self.group = metavar or "|".join(choices), help, group
        self.form = form if self.metavar else FLAG
        self.default = False if self.form == FLAG else default
        self.least, self.choices = least, choices


class Argument:
    """Words of a command line that are not options: one, or ``many``."""

    __slots__ = ("help", "many", "metavar", "name", "required")

    def __init__(self, name: str, metavar: str, help: str, *, many: bool = False, required: bool = False) -> None:
        self.name, self.metavar, self.help, self.many, self.required = name, metavar, help, many, required


class Command:
    """One command: its name, the function that does it (``module:function`` below batchq.cli), and what it takes.

    ``takes_command``: the words after ``--`` are a command, the value ``words``; else they are arguments as all others.
    ``selects``: it takes SELECTION, which its function gets as one value, ``selection``.
    """

    __slots__ = ("function", "help", "name", "parameters", "selects", "takes_command")

    def __init__(
        self,
        name: str,
        function: str,
        help: str,
        parameters: "tuple[Option | Argument, ...]",
        *,
        takes_command: bool = False,
        selects: bool = False,
    ) -> None:
        self.name, self.function, self.help, self.parameters = name, function, help, parameters
        self.takes_command, self.selects = takes_command, selects


DB = Option("--db", "PATH", "The store (default: $BATCHQ_DB, batchq.db here or above, …).", group=STORE)
NETWORK_FS = Option(
    "--allow-network-fs", None, "Use a store on a network file system, from this host alone.", group=STORE
)
TRUST_OWNER = Option(
    "--trust-owner", None, "Use a store that belongs to another user, who decides what it runs.", group=STORE
)
JSON = Option("--json", None, "Print JSON, schema 1.")
QUIET = Option("-q --quiet", None, "Print nothing; the exit code tells.")
COLOR = Option("--color", None, "Whether to colour the text.", choices=("auto", "always", "never"), default="auto")
ID = Argument("job", "ID", "The id of one job.")

_WHICH = "Which jobs"
SELECTION = (
    Argument("words", "JOB", "Ids and ranges as in 1-5,9, or last.", many=True),
    Option("--batch", "NAME", "Only jobs of this batch.", group=_WHICH),
    Option("--queue", "NAME", "Only jobs of this queue.", group=_WHICH),
    Option("--state", "STATE", "Only jobs in this state; may be repeated.", form=LIST, name="states", group=_WHICH),
    Option("--failed", None, "Only failed jobs.", group=_WHICH),
    Option("--name", "GLOB", "Only jobs whose name matches, as in 'load-*'.", group=_WHICH),
    Option("--since", "TIME", "Only what happened since: 2h, today, 2026-11-23.", group=_WHICH),
    Option(
        "--cause",
        "ID",
        "Only jobs that failed for this reason; may be repeated.",
        form=LIST,
        name="causes",
        group=_WHICH,
    ),
    Option("--all", None, "Every job.", name="everything", group=_WHICH),
)
