"""The tables of ``batchq help``, ``version`` and ``completion``."""

from batchq.cli.options import Argument, Command, Option

HELP = Command(
    "help",
    "about.helping:print_help",
    "Print the help of batchq or of one command.",
    (
        Argument("words", "COMMAND", "The command, as in 'queue set' (default: all commands).", many=True),
        Option("--man", None, "Print the whole manual for man: batchq help --man | man -l -"),
    ),
)

VERSION = Command("version", "about.helping:print_version", "Print the version of batchq.", ())

COMPLETION = Command(
    "completion",
    "about.completing:complete",
    """Print a script that completes commands, options, ids and names in a shell.

    \b
    batchq completion bash >~/.local/share/bash-completion/completions/batchq
    batchq completion zsh >DIR/_batchq      DIR is a folder of $fpath
    batchq completion fish >~/.config/fish/completions/batchq.fish

    The scripts call 'batchq completion words -- WORD...', which prints what the last word can become.
    """,
    (
        Argument(
            "shell", "SHELL", "The shell: bash, zsh or fish.", required=True, choices=("bash", "zsh", "fish", "words")
        ),
        Argument("words", "WORD", "With 'words': the words after batchq.", many=True),
    ),
)

NOTHING = Command("", "about.helping:print_start", "What a command line without a command does.", ())

COMMANDS = (HELP, VERSION, COMPLETION, NOTHING)
