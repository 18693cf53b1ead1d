"""The table of ``batchq update``, made from the fields of a job."""

from batchq.cli.options import DB, JSON, SELECTION, Command, Option
from batchq.jobs.fields import CHANGEABLE, FIELDS

_NEW = "What to change"


def _setter(name: str) -> Option:
    """Make the option that sets a field. ``--set-queue`` and its like, because ``--queue`` chooses jobs, as everywhere."""
    field = FIELDS[name]
    is_choosing = any(flag in field.flags for one in SELECTION if isinstance(one, Option) for flag in one.flags)
    flag = f"--set-{name.replace('_', '-')}" if is_choosing else field.flags[0]
    return Option(
        flag, field.metavar, field.help.partition(" (default")[0].rstrip(".") + ".", form=field.form, group=_NEW
    )


#: The options of update that set a field, by its name
SETTERS = {name: _setter(name) for name in CHANGEABLE}

UPDATE = Command(
    "update",
    "update.updating:update",
    """Change jobs that wait: their priority, limits, retries, labels.

    Running and finished jobs are left alone. The value none empties a field that has no default.

    \b
    batchq update 7 --priority 9
    batchq update --batch night --timeout 2h --max-attempts 3
    batchq update --queue net --set-queue slow
    """,
    (*SELECTION, *SETTERS.values(), JSON, DB),
    selects=True,
)

COMMANDS = (UPDATE,)
