"""The trees that shell jobs leave behind: a bash script each, in which $R is a program that notes itself and waits."""

import shlex
import sys
from typing import NamedTuple

from scene import Scene

KINDS_BY_PYTHON = (
    "popen",
    "popen_in_a_new_session",
    "popen_without_environment_in_a_new_session",
    "fork",
    "double_fork",
    "daemon",
    "forked_process",
    "spawned_process",
    "process_pool",
)


class Shape(NamedTuple):
    """``tree`` starts at least ``alive`` processes that live on. ``hides``: neither session nor environment tell whose."""

    tree: str
    alive: int = 1
    hides: bool = False


SHAPES: dict[str, Shape] = {
    "a background child": Shape('"$R" &'),
    "thirty children": Shape('for i in $(seq 30); do "$R" & done', 30),
    "nohup": Shape('nohup "$R" >/dev/null 2>&1 &'),
    "setsid": Shape('setsid "$R" &'),
    "a double fork": Shape('("$R" &)'),
    "a double fork with setsid": Shape('(setsid "$R" &)'),
    "a daemon with closed descriptors": Shape('(setsid "$R" <&- >&- 2>&- &)'),
    "no environment": Shape('(env -i "$R" &)'),
    "no environment and a new session": Shape('(env -i setsid "$R" &)', hides=True),
    "no environment, no session, no descriptors": Shape('(env -i setsid "$R" <&- >&- 2>&- &)', hides=True),
    "disown": Shape('"$R" & disown -h'),
    "a grandchild that holds the pipe": Shape('(sh -c \'"$0"; :\' "$R" &)'),
    "one that ignores TERM": Shape('sh -c \'trap "" TERM HUP INT QUIT; "$0"; :\' "$R" &'),
    "a daemon that ignores TERM": Shape('(setsid sh -c \'trap "" TERM HUP INT QUIT; "$0"; :\' "$R" &)'),
    "a stopped child": Shape('"$R" & child=$!; up 1; kill -STOP $child'),
    "a stopped daemon": Shape("""setsid "$R" & child=$!; up 1; kill -STOP $child"""),
    "a chain of twenty forks": Shape(
        'down() { if [ $1 = 0 ]; then "$R"; else down $(($1 - 1)) & wait; fi; }; down 20 &'
    ),
    "a chain of forks that goes on": Shape('hop() { [ $1 = 0 ] || hop $(($1 - 1)) & }; "$R" & hop 200'),
    "a chain of exec": Shape('sh -c \'exec sh -c "exec sh -c \\"exec $0\\""\' "$R" &'),
    "job control": Shape('set -m; "$R" & "$R" | "$R" & set +m', 3),
    "a coprocess": Shape('coproc "$R"'),
    "a pipeline": Shape('"$R" | "$R" | "$R" &', 3),
    "a process substitution": Shape('exec 5> >("$R")'),
    "one under timeout": Shape('timeout 600 "$R" &'),
    "one on a pseudo-terminal": Shape('script -qc "$R" /dev/null </dev/null >/dev/null 2>&1 &'),
    "two that start each other anew": Shape('keep() { while :; do "$R"; done; }; keep & keep & setsid "$R" &', 3),
    "one started by the end of another": Shape('sh -c \'trap "$0; :" EXIT TERM; "$0" & wait\' "$R" &'),
    "one that starts another later": Shape('(sh -c \'sleep 0.05; setsid "$0"\' "$R" &) ; "$R" &'),
    "a folder that is gone": Shape('mkdir gone; cd gone; rmdir ../gone; "$R" & cd "$F"'),
    "a descriptor of its own": Shape('exec 9>held; flock 9; "$R" &'),
    "a lock and no output": Shape('exec 9>held; flock 9; (setsid "$R" >/dev/null 2>&1 </dev/null &)'),
    "a run of another store": Shape(
        '"$PY" -m batchq add -q --db "$F/inner.db" -c "$R"; "$PY" -m batchq run --db "$F/inner.db" &'
    ),
} | {
    f"python: {kind.replace('_', ' ')}": Shape(f'"$PY" -m mischief {kind}', hides="without_environment_in" in kind)
    for kind in KINDS_BY_PYTHON
}

_JOB = """\
F={folder} PY={python} R={folder}/rest
up() {{ until [ "$(cat "$F/pids" 2>/dev/null | wc -l)" -ge $1 ]; do sleep 0.01; done; }}
if {was_ready}; then
    for pid in $(cat "$F/pids"); do
        if readlink "/proc/$pid/cwd"; then echo "of an earlier attempt there lives $pid" >&2; exit 99; fi
    done
    exit 0
fi
{tree}
up {count}
{end}
"""
STAY = ': > "$F/begun"; : < "$F/never"'  #: the end of a job that does not end by itself


def job(scene: Scene, shape: Shape, end: str) -> dict[str, object]:
    """A job that grows the tree and then does ``end``; a later attempt checks that it is alone.

    If ``end`` says that it has begun, that is any attempt after the one that did; else the second.
    """
    folder, interpreter = shlex.quote(str(scene.folder)), shlex.quote(sys.executable)
    script = scene.folder / "job"
    was_ready = '[ -e "$F/begun" ]' if "begun" in end else '[ "$BATCHQ_ATTEMPT" -gt 1 ]'
    script.write_text(
        _JOB.format(
            was_ready=was_ready, folder=folder, python=interpreter, tree=shape.tree, count=shape.alive, end=end
        ),
        encoding="utf-8",
    )
    return {"command": ["bash", str(script)], "max_attempts": 2, "backoff": "1ms"}
