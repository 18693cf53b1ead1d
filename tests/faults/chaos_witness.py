"""What the jobs of the chaos suite do: leave lines in a file and hold locks, by which they are judged from outside.

A line of ``effects`` has the fields of ``chaos_evidence.Line``. The lock on ``held/JOB`` is kept by whatever an attempt
started as long as it lives; the locks on ``places/QUEUE-n`` are kept by the main process of a job, one for each job that
the limit of its queue allows.
"""

import fcntl
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

#: The job as a command: ``sh witness.sh NAME NAP FATE PLACES MODE``; with the variables of a job as further words for one
#: that gives up its environment. FATE is an exit code, or ``until:N``: 1 before the N-th attempt, then 0.
SCRIPT = r"""
name=$1 nap=$2 fate=$3 places=$4 mode=$5
if [ "$mode" = bare ]; then
    exec env -i PATH="$PATH" sh witness.sh "$name" "$nap" "$fate" "$places" was-bare \
        "$BATCHQ_JOB_ID" "$BATCHQ_ATTEMPT" "$BATCHQ_TOKEN" "$BATCHQ_QUEUE" "$BATCHQ_KEY" "$BATCHQ_RESULT_FILE"
fi
if [ $# -gt 5 ]; then
    BATCHQ_JOB_ID=$6 BATCHQ_ATTEMPT=$7 BATCHQ_TOKEN=$8 BATCHQ_QUEUE=$9; shift 9
    BATCHQ_KEY=$1 BATCHQ_RESULT_FILE=$2
fi
say() {
    read now _ </proc/uptime
    echo "$1 $BATCHQ_JOB_ID $BATCHQ_ATTEMPT $name $BATCHQ_TOKEN $BATCHQ_QUEUE ${BATCHQ_KEY:--} $now $2" >>effects
}
exec 9>>"held/$BATCHQ_JOB_ID"
flock -n 9
[ $? -ne 1 ] || say overlap 0  # any other status: somebody has killed flock itself
if [ "$places" -gt 0 ]; then
    place=0 status=1
    while [ $status -eq 1 ] && [ $place -lt "$places" ]; do
        place=$((place + 1))
        exec 8>>"places/$BATCHQ_QUEUE-$place"
        flock -n 8
        status=$?
    done
    [ $status -ne 1 ] || say exceeded 0
fi
say begin 0
[ "$mode" != stubborn ] || trap '' TERM
[ "$mode" != leaves ] || (setsid sleep 30 8>&- &)
echo "token $BATCHQ_TOKEN"
sleep "$nap" 8>&-
code=$fate
case $fate in
until:*) code=1; [ "$BATCHQ_ATTEMPT" -lt "${fate#until:}" ] || code=0 ;;
esac
printf '"%s"' "$BATCHQ_TOKEN" >"$BATCHQ_RESULT_FILE"
say end "$code"
exit "$code"
"""


def witness(name: str, nap: float, fate: int, places: int) -> str:
    """The job as a callable: it returns its token."""
    with ExitStack() as stack:
        if not hold(f"held/{os.environ['BATCHQ_JOB_ID']}", stack):
            say("overlap", name)
        queue = os.environ["BATCHQ_QUEUE"]
        if places and not any(hold(f"places/{queue}-{place + 1}", stack) for place in range(places)):
            say("exceeded", name)
        say("begin", name)
        print("token", os.environ["BATCHQ_TOKEN"])
        time.sleep(nap)
        say("end", name, fate)
        if fate:
            sys.exit(fate)
        return os.environ["BATCHQ_TOKEN"]


def hold(path: str, stack: ExitStack) -> bool:
    """Lock a file until the stack is closed; whether nobody had it."""
    file = stack.enter_context(Path(path).open("a"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def say(what: str, name: str, value: int = 0) -> None:
    job, attempt, token, queue = (os.environ["BATCHQ_" + one] for one in ("JOB_ID", "ATTEMPT", "TOKEN", "QUEUE"))
    now = Path("/proc/uptime").read_text().split()[0]
    fd = os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    line = f"{what} {job} {attempt} {name} {token} {queue} {os.environ.get('BATCHQ_KEY') or '-'} {now} {value}\n"
    os.write(fd, line.encode())
    os.close(fd)
