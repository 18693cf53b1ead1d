"""Words of other tools that mean a command or an option here, for "did you mean"."""

from batchq.jobs.synonyms import WORDS as FIELD_WORDS
from batchq.jobs.synonyms import meant

COMMANDS = {
    "add": "append create enqueue new push put sbatch sub submit task",
    "run": "begin drain exec execute go launch process start work worker workers",
    "report": "log-failures result results show-failures stat stats status sum summary",
    "list": "all jobs ls ps q sacct squeue tasks",
    "top": "btop dash dashboard htop live monitor tui ui watch",
    "show": "cat describe detail details get info inspect job view",
    "logs": "follow log output out print stderr stdout tail",
    "explain": "reason what why",
    "wait": "block join",
    "retry": "again redo rerun requeue restart resubmit resume-failed",
    "cancel": "abort kill qdel scancel stop terminate",
    "hold": "freeze stash suspend",
    "release": "enqueue-held unhold unfreeze unstash",
    "queue": "limit limits pause queues rate resume",
    "doctor": "check fsck health repair verify",
    "backup": "copy cp dump export save",
    "restore": "import load undump",
    "prune": "clean cleanup clear gc purge vacuum",
    "remove": "del delete discard drop erase rm",
    "update": "alter change edit modify priority reprioritize set",
    "init": "initialise initialize setup",
    "help": "man usage",
    "version": "ver",
}
OPTIONS = {
    "--" + field.replace("_", "-"): " ".join("--" + word.replace("_", "-") for word in words.split())
    for field, words in FIELD_WORDS.items()
} | {
    "--jobs": "--concurrency --max-procs --parallel --parallelism --processes --threads --workers -P -n",
    "--watch": "--daemon --forever --loop",
    "--halt": "--abort-on-failure --fail-fast --keep-going --max-fails",
    "--verbose": "--debug --progress",
    "--quiet": "--no-progress --silent",
    "--log-dir": "--logs --output-dir --results",
    "--max-time": "--deadline --for",
    "--since": "--after-time --from --newer",
    "--state": "--status",
    "--failed": "--errors --failures",
    "--all": "--everything",
    "--limit": "--count --head --tail -n",
    "--db": "--database --file --store",
    "--follow": "--tail --watch",
    "--each": "--for-each --map",
    "--dry-run": "--check --noop --simulate",
}


def meant_command(word: str, known: list[str]) -> str:
    """Return ``" (did you mean 'list'?)"``, or nothing if no known command is near."""
    return meant(word, known, COMMANDS)


def meant_option(flag: str, known: list[str]) -> str:
    """Return ``" (did you mean '--timeout'?)"``, or nothing if no known option is near."""
    return meant(flag, known, OPTIONS)
