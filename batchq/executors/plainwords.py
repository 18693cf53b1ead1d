"""Commands for which a shell would only start a program: the program is then started without the shell.

Only if ``/bin/sh`` is dash, whose rules are known: it passes on the environment unchanged, and reads no file or function
from it. If something is wrong with the program, the shell reports it (``Command.start``).
"""

import os

from batchq.jobs.model import SHELL

# No quotes, expansions, patterns, operators or comments.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:,@%+-= \t")
_BY_THEMSELVES = """
if then else elif fi for while until do done case esac in function select time coproc
. : alias bg bind break builtin caller cd chdir command compgen complete compopt continue declare dirs disown echo enable
eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile newgrp popd printf pushd
pwd read readarray readonly return set shift shopt sleep source suspend test times trap true type typeset ulimit umask
unalias unset wait
"""
#: The keywords and builtins of dash, bash and busybox: they start no file.
OF_SHELLS = frozenset(_BY_THEMSELVES.split())
_SET_BY_DASH = frozenset(("PPID", "OPTIND", "IFS"))  # whatever their values were
_IS_DASH = os.path.basename(os.path.realpath(SHELL)) == "dash"


def plain_words(text: str) -> list[str] | None:
    """Split a command whose words a shell would start as they are; None if it would do more."""
    if not _PLAIN.issuperset(text) or not (words := text.split()):
        return None
    first = words[0]
    # It is an assignment, an option of the shell, or one of the shell's own words.
    return None if "=" in first or first[0] in "-+" or first in OF_SHELLS else words


def may_do_without(environment: dict[str, str], cwd: str) -> bool:
    """Whether the shell of a job in this folder would pass this environment on unchanged and find programs as we do."""
    if not _IS_DASH or environment.get("PWD") != cwd or "%" in environment.get("PATH", "%"):
        return False
    return all(name.isascii() and name.isidentifier() for name in environment) and _SET_BY_DASH.isdisjoint(environment)
