"""Whether a shell has nothing to do for a command but to start a program: then the program is started without it.

Only where ``/bin/sh`` is dash, whose rules are known: it hands on the environment as it is, and reads no file and no
function from it. What is wrong with the program is left to the shell to report (``Command.start``).
"""

import os

from batchq.jobs.model import SHELL

# Neither quotes, expansions, patterns and operators nor a comment.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:,@%+-= \t")
_BY_THEMSELVES = """
if then else elif fi for while until do done case esac in function select time coproc
. : alias bg bind break builtin caller cd chdir command compgen complete compopt continue declare dirs disown echo enable
eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile newgrp popd printf pushd
pwd read readarray readonly return set shift shopt sleep source suspend test times trap true type typeset ulimit umask
unalias unset wait
"""
#: The keywords and builtins of dash, bash and busybox: no file is started for these.
OF_SHELLS = frozenset(_BY_THEMSELVES.split())
_SET_BY_DASH = frozenset(("PPID", "OPTIND", "IFS"))  # whatever they were before
_IS_DASH = os.path.basename(os.path.realpath(SHELL)) == "dash"


def plain_words(text: str) -> list[str] | None:
    """The words of a command that a shell would start as they are; None where it has more to do."""
    if not _PLAIN.issuperset(text) or not (words := text.split()):
        return None
    first = words[0]
    # It is an assignment, or an option of the shell, or the shell's own.
    return None if "=" in first or first[0] in "-+" or first in OF_SHELLS else words


def may_do_without(environment: dict[str, str], cwd: str) -> bool:
    """Whether the shell of a job in this folder would hand on this environment as it is, and look programs up as we do."""
    if not _IS_DASH or environment.get("PWD") != cwd or "%" in environment.get("PATH", "%"):
        return False
    return all(name.isascii() and name.isidentifier() for name in environment) and _SET_BY_DASH.isdisjoint(environment)
