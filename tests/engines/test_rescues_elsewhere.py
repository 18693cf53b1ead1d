"""Many runs elsewhere that died one after the other: the next one asks the places of a few of them at a time."""

import shlex

from conftest import eventually
from elsewhere import add_waiting, assert_none_overlapped, let_end, starts
from places import SITE
from scene import Scene, end, ended

from batchq.runner.rescuing import AT_ONCE

pytest_plugins = ("scene", "places", "openports")

#: The way to each host is free once; a rescue waits until the gate is open. Each notes by whom it was started.
CARRIER = """\
#!/bin/sh
echo $1 $PPID >> {folder}/asked
test "$(grep -c "^$1 " {folder}/asked)" = 1 || : < {gate}
shift 2
exec {site} "$@"
"""


def test_a_run_asks_the_places_of_a_few_dead_runs_at_a_time(afar: Scene) -> None:
    asked = afar.folder / "asked"
    (afar.folder / "carrier").write_text(
        CARRIER.format(folder=shlex.quote(str(afar.folder)), gate=shlex.quote(str(afar.gate)), site=SITE)
    )
    add_waiting(afar, AT_ONCE + 3)
    for number in range(1, AT_ONCE + 3):
        run = afar.start("-q", "-j", "1", "--executor", f"ssh:h{number}")
        eventually(lambda number=number: len(starts(afar)) == number)  # type: ignore[misc]
        end(afar.runner(), run.pid)
    run = afar.start("-q", "-j", "1", "--executor", "ssh:last")
    eventually(lambda: len(starts(afar)) == AT_ONCE + 3)
    lines = [line.split() for line in asked.read_text().splitlines()]  # also of those that were killed, even now
    of_the_last = [host for host, parent in lines if parent == str(afar.runner())]

    assert of_the_last.count("last") == 1
    assert len(of_the_last) - 1 <= AT_ONCE
    afar.open_gate()
    let_end(afar)
    assert ended(run) == 0
    assert set(afar.jobs()) == {("succeeded",)}
    assert_none_overlapped(afar)
