"""The tables of ``batchq help`` and ``version``."""

from batchq.cli.options import Argument, Command

HELP = Command(
    "help",
    "about.helping:print_help",
    "Print the help of batchq or of one command.",
    (Argument("words", "COMMAND", "The command, as in 'queue set' (default: all commands).", many=True),),
)

VERSION = Command("version", "about.helping:print_version", "Print the version of batchq.", ())

NOTHING = Command("", "about.helping:print_start", "What a command line without a command does.", ())

COMMANDS = (HELP, VERSION, NOTHING)
