"""What ``--executor`` names: where the jobs of a run are run.

``ssh:HOST,HOST`` are hosts reached by ssh, ``srun:NODE,NODE`` nodes of a Slurm allocation (``srun:`` all of them). They
are carriers, not engines: the run itself decides which host gets which job. ``dask:ADDRESS`` is an engine, and so is what a
``MODULE:FACTORY`` makes, a ``concurrent.futures.Executor``: their client lives in a bridge, a site on this machine.
"""

import math
import os
import shlex
import subprocess
from collections.abc import Sequence

from batchq import folder
from batchq.errors import UsageError
from batchq.executors.afar import schedulerfile
from batchq.executors.afar.afar import Afar
from batchq.executors.afar.hearing import Hearing
from batchq.executors.afar.nextdoor import site_words
from batchq.executors.afar.place import Place
from batchq.executors.afar.way import PATIENCE
from batchq.executors.listener import Listener
from batchq.executors.logs import Logs
from batchq.jobs.attempt import KEPT
from batchq.processes.signals import Inbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMS = "local, ssh:HOST,HOST, srun:NODE,NODE, dask:ADDRESS or MODULE:FACTORY"
_CARRIERS = ("ssh", "srun")
LOGIN = 60.0  #: seconds from the start of ssh until a host must have answered
MADE = 15.0  #: seconds that the end of a cluster may take which lives as long as the run: one scancel for each worker
_SITE = "batchq-site"  #: the program of a site, which must be on the PATH there
#: A broken line is noticed within 15 seconds. $BATCHQ_SSH replaces all of it, as $GIT_SSH_COMMAND does for git.
_SSH = (
    "ssh -T -o BatchMode=yes -o LogLevel=ERROR -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3"
)
_SRUN = "srun --nodes=1 --ntasks=1 --overlap --unbuffered --kill-on-bad-exit=0"
#: Variables that srun obeys: labels before each line, files in the place of stdin and stdout, a list of programs
_OF_SRUN = (
    *("SLURM_LABELIO", "SLURM_STDINMODE", "SLURM_STDOUTMODE", "SLURM_STDERRMODE", "SLURM_SRUN_MULTI"),
    *("SRUN_INPUT", "SRUN_OUTPUT", "SRUN_ERROR"),
)


def check(chosen: str) -> None:
    """Raise UsageError unless ``chosen`` names an executor."""
    if chosen != "local":
        commands(chosen)


def engine(chosen: str) -> str | None:
    """Return the engine whose client a bridge is to have; None if sites run the jobs themselves."""
    return None if chosen.partition(":")[0] in _CARRIERS else chosen


def unwanted(chosen: str) -> tuple[str, ...]:
    """List the variables that would disturb what leads to a place: nothing but the protocol may pass there."""
    return _OF_SRUN if chosen.startswith("srun:") else ()


def within(chosen: str) -> float:
    """How many seconds a place has to come up: a login does not hang for long, but nodes and clusters may take any time."""
    return LOGIN if chosen.startswith("ssh:") else math.inf


def patience(chosen: str) -> float:
    """How many seconds a place has to end: a cluster that was made for the run takes back what it asked a queue for."""
    makes_cluster = chosen.startswith("dask:") and not is_address(chosen.partition(":")[2])
    return MADE if makes_cluster else PATIENCE


def commands_back(chosen: str) -> dict[str, list[str]]:
    """Map the places of a dead run to the words that start a site there; nothing if they cannot be reached.

    Outside an allocation srun would ask Slurm for a new one.
    """
    try:
        found = commands(chosen)
    except UsageError:  # it was run by a newer version
        return {}
    return {} if chosen.startswith("srun:") and "SLURM_JOB_NODELIST" not in os.environ else found


def can_be_reached(chosen: str) -> bool:
    """Whether a later run can reach the places of a dead run, and end what that has left there.

    A pool offers no way, and a function that makes a cluster of Dask would make another one.
    """
    return engine(chosen) is None or (chosen.startswith("dask:") and is_address(chosen.partition(":")[2]))


def is_address(text: str) -> bool:
    """Whether this names a scheduler of Dask, itself or by its file; else it names a function that makes a cluster.

    The file need not be there yet.
    """
    return "/" in text or ":" not in text or os.path.exists(text)


def commands(chosen: str) -> dict[str, list[str]]:
    """Map the places that ``chosen`` names to the words that start a site there. Raises UsageError."""
    carrier, colon, text = chosen.partition(":")
    if not colon or not carrier:
        raise UsageError(f"--executor {chosen!r} names no executor: write {FORMS}")
    if carrier not in _CARRIERS:
        if carrier == "dask":
            _check_dask(chosen, text)
        return {chosen: site_words()}
    if carrier == "srun":
        nodes = text.split(",") if text else _allocated()
        words = _words("BATCHQ_SRUN", _SRUN)
        found = {node: [*words, f"--nodelist={node}", _SITE] for node in nodes}
    else:
        words = _words("BATCHQ_SSH", _SSH)
        found = {}
        for one in text.split(","):
            host, _, site = one.partition(":")
            found[host] = [*words, host, site or _SITE]
    if bad := [name for name in found if not name or name.startswith("-")]:
        raise UsageError(f"--executor {chosen!r}: {bad[0]!r} is not a host")
    return found


def _check_dask(chosen: str, text: str) -> None:
    """Raise UsageError unless the text after ``dask:`` names a scheduler, or a function."""
    host, _, port = text.partition(":")
    if text and (is_address(text) or all(part.isidentifier() for part in (*host.split("."), port))):
        return
    meant = (
        f": write dask:tcp://{text}" if port.isdecimal() else ": write dask:tcp://HOST:PORT, FILE or MODULE:FUNCTION"
    )
    raise UsageError(f"--executor {chosen!r} names no scheduler{meant}")


def _words(variable: str, usual: str) -> list[str]:
    """Return the words of a command that an environment variable may replace. Raises UsageError."""
    try:
        return shlex.split(os.environ.get(variable, "")) or shlex.split(usual)
    except ValueError as error:
        raise UsageError(f"${variable} is not a command: {error}") from None


def _allocated() -> list[str]:
    """Return the nodes of the Slurm allocation around this process. Raises UsageError."""
    nodes = os.environ.get("SLURM_JOB_NODELIST")
    if not nodes:
        raise UsageError("--executor srun: needs a Slurm allocation around it: use salloc or sbatch, or name the nodes")
    try:
        found = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(f"--executor srun: cannot list the nodes of the allocation: {error}") from None
    return found.stdout.split()


def setup_to_end(chosen: str, cookie: str, spared: Sequence[str], dead: "dict[str, Any]") -> "dict[str, Any]":
    """Return the setup of a site that only ends what carries this cookie, here or at the workers of an engine.

    What the attempts ``spared`` have left there stays. ``dead`` is what an engine must know of the dead run.
    """
    nothing: dict[str, Any] = {
        "slots": 1,
        "db": "",
        "host": "",
        "boot_id": "",
        "perform": None,
        "home": "/",
        "grace": 0.0,
    }
    nothing |= {
        "worker_jobs": 0,
        "lease": None,
        "listens": False,
        "keep_output": KEPT,
        "folder": None,
        "reconnect": 0.0,
        "cwd_map": [],
        "mark": "",
        "limit_processes": None,
    }
    own = f"{cookie}.end"
    nothing |= {"end": [cookie], "spared": spared, "dead": dead}
    return nothing | {"run": own, "engine": engine(chosen), "cookie": own}


def executor(
    chosen: str, setup: "dict[str, Any]", inbox: Inbox, listeners: Sequence[Listener] = (), logs: Logs | None = None
) -> Afar:
    """Make the executor, and start its places. ``setup`` is what they all get; each has a cookie of its own.

    At the workers of an engine the cookie of the bridge is the name of the run.
    """
    used = lasting(chosen)
    hearing = Hearing(listeners, logs, brings_news=engine(chosen) is not None)
    places = []
    for number, (name, words) in enumerate(commands(chosen).items()):
        cookie = f"{setup['cookie']}.{number}"
        own = {"cookie": cookie, "end": [cookie], "listens": bool(hearing), "engine": engine(used), "run": cookie}
        places.append(Place(name, words, setup | own, hearing, unwanted(chosen), within(chosen), patience(chosen)))
    # "srun:" would mean other nodes to the next run, which may be in another allocation
    name = f"srun:{','.join(one.name for one in places)}" if chosen.startswith("srun:") else used
    made = Afar(places, inbox, setup["lease"], hearing, name=name, home=setup["home"])
    made.name = lasting(made.name)  # the scheduler may have written its file meanwhile
    return made


def lasting(chosen: str) -> str:
    """Return a name of the same that means the same later, in any folder: of a file of Dask the address that it has now."""
    carrier, _, text = chosen.partition(":")
    if carrier != "dask" or "://" in text or not is_address(text):
        return chosen
    path = folder.absolute(text)
    return f"dask:{schedulerfile.address_now(path) or path}"
