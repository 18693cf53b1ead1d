"""The tables of options: each is declared once; ``byhand`` reads a command line by them, ``app`` makes the help.

Every command line loads this module and the table of its own room, so neither imports what costs start-up time.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TEXT, NUMBER, DECIMAL, LIST, FLAG = "text", "number", "decimal", "list", "flag"  #: the forms of a value
OPTIONS, STORE = "Options", "Store"  #: headings of the help


class Option:
    """One option of a command.

    ``flags`` are its spellings; ``name`` is the name of its value, by default from the last spelling. An option without
    ``metavar`` and ``choices`` is a flag. A list may be repeated. ``least`` is the lowest number allowed.
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

    def value(self, text: str) -> "Any":
        """Return the value that a text gives, True for a flag. Raises ValueError with what is wrong with the text."""
        if self.form == FLAG:
            return True
        if self.form in (NUMBER, DECIMAL):
            return self._number(text)
        if self.choices and text not in self.choices:
            raise ValueError(f"{text!r} is not one of {', '.join(self.choices)}")
        return text

    def _number(self, text: str) -> float:
        try:
            number: float = integer(text) if self.form == NUMBER else decimal(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a {'whole ' * (self.form == NUMBER)}number") from None
        if self.least is not None and number < self.least:
            raise ValueError(f"{text} is less than {self.least}")
        return number


def integer(text: str) -> int:
    """Read a whole number of ASCII digits: int() alone takes ``٣``, ``1_0`` and spaces, too. Raises ValueError."""
    return int(_plain(text))


def decimal(text: str) -> float:
    """Read a number as ``integer`` does, also with a fraction or an exponent. Raises ValueError."""
    return float(_plain(text))


def _plain(text: str) -> str:
    if not text.isascii() or "_" in text or text != text.strip():
        raise ValueError(text)
    return text


class Argument:
    """A positional argument: one word, of ``choices`` if there are any, or ``many``."""

    __slots__ = ("choices", "help", "many", "metavar", "name", "required")

    def __init__(
        self,
        name: str,
        metavar: str,
        help: str,
        *,
        many: bool = False,
        required: bool = False,
        choices: tuple[str, ...] = (),
    ) -> None:
        self.name, self.metavar, self.help, self.many, self.required = name, metavar, help, many, required
        self.choices = choices


class Command:
    """One command: its name, its function (``module:function`` below batchq.cli), and its parameters.

    ``takes_command``: the words after ``--`` are a command, the value ``words``; so are all words from the first plain one
    on, if that is a program. Otherwise they are plain arguments.
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


DB = Option("--db", "PATH", "The store (default: $BATCHQ_DB, or batchq.db here or above, or your own).", group=STORE)
NETWORK_FS = Option(
    "--allow-network-fs", None, "Allow a store on a network file system; only this host may use it.", group=STORE
)
TRUST_OWNER = Option("--trust-owner", None, "Use a store of another user, who then controls what it runs.", group=STORE)
JSON = Option("--json", None, "Print JSON, schema 1.")
QUIET = Option("-q --quiet", None, "Print nothing but errors of batchq itself; the exit code is the answer.")
COLOR = Option("--color", None, "Whether to colour the output.", choices=("auto", "always", "never"), default="auto")

_WHICH = "Which jobs"
SELECTION = (
    Argument("words", "JOB", "Ids and ranges (1-5,9), 'last' (the newest add), or names ('load-*').", many=True),
    Option("--batch", "NAME", "Only jobs of this batch.", group=_WHICH),
    Option("--queue", "NAME", "Only jobs of this queue.", group=_WHICH),
    Option("--state", "STATE", "Only jobs in this state; may be repeated.", form=LIST, name="states", group=_WHICH),
    Option("--failed", None, "Only failed jobs.", group=_WHICH),
    Option("--running", None, "Only running jobs.", group=_WHICH),
    Option("--name", "GLOB", "Only jobs whose name matches, as in 'load-*'.", group=_WHICH),
    Option(
        "--tag", "TAG", "Only jobs with this tag; of several, with all of them.", form=LIST, name="tags", group=_WHICH
    ),
    Option("--grep", "TEXT", "Only jobs whose command or name contains this text.", group=_WHICH),
    Option("--since", "TIME", "Only jobs added, run or ended since: 2h, yesterday, 9:00, 2026-11-23.", group=_WHICH),
    Option(
        "--cause",
        "ID",
        "Only jobs that failed with this cause; may be repeated.",
        form=LIST,
        name="causes",
        group=_WHICH,
    ),
    Option("--run", "RUN", "Only jobs whose last attempt was in this run: its number, or last.", group=_WHICH),
    Option("--all", None, "All jobs.", name="everything", group=_WHICH),
)
