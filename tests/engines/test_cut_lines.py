"""A line that is cut so that neither side is told: nothing runs twice at once, and planted faults are caught.

The far side is in a session of its own and keeps its pipes open, as a machine does that cannot be reached any more.
"""

import os
import shlex
import signal
from collections.abc import Callable, Sequence

import planted
import pytest
from conftest import eventually
from elsewhere import add_waiting, let_end, starts, wrong_starts
from places import SITE, carrier_to
from scene import Scene, children_of, end, ended, status_of

pytest_plugins = ("scene", "places", "openports")

Scenario = Callable[[Scene], set[str]]

#: h2 comes up when the line to h1 is cut
CARRIER = """\
#!/bin/sh
cd {folder}
test $1 = h1 || until test -e cut; do sleep 0.05; done
test $1 = h1 || exec {site}
test ! -e away || exit 255
echo $$ $1 >> carriers
mkfifo in-$$ out-$$
exec 3<&0
setsid sh -c 'exec 4<>in-'$$' 5<>out-'$$'; {site} <&4 >&5' 3<&- >/dev/null &
cat <&3 >in-$$ &
exec cat out-$$
"""


@pytest.fixture
def far(afar: Scene) -> Scene:
    """A scene in which h1 is another machine, as far as a line can tell."""
    (afar.folder / "carrier").write_text(CARRIER.format(folder=shlex.quote(str(afar.folder)), site=SITE))
    return afar


def cut(scene: Scene) -> None:
    leading = carrier_to(scene, "h1")
    cats = [pid for pid in (leading, *children_of(leading)) if status_of(pid)["Name"] == "cat"]
    assert len(cats) == 2
    (scene.folder / "cut").touch()
    for pid in cats:
        os.kill(pid, signal.SIGSTOP)


def cut_for_good(scene: Scene) -> set[str]:
    """The run cannot reach h1 again: its jobs there run at h2 when the lease of the site has passed."""
    add_waiting(scene, 1)
    run = scene.start("-q", "-j", "1", "--executor", "ssh:h2,h1", "--lease", "3s")
    eventually(lambda: len(starts(scene)) == 1)
    (scene.folder / "away").touch()
    cut(scene)
    eventually(lambda: len(starts(scene)) == 2, 60)
    let_end(scene)

    wrong = wrong_starts(scene) if ended(run) == 0 else {"the run failed"}
    scene.end_survivors()
    return wrong


def cut_and_killed(scene: Scene) -> set[str]:
    """The run is killed behind a line that is cut: its site works on until the lease ends, and the next run asks it."""
    add_waiting(scene, 1)
    run = scene.start("-q", "-j", "1", "--executor", "ssh:h2,h1", "--lease", "10m")
    eventually(lambda: len(starts(scene)) == 1)
    cut(scene)
    end(scene.runner(), run.pid)
    ended(run)
    again = scene.start("-q", "-j", "1", "--executor", "ssh:h2")
    eventually(lambda: len(starts(scene)) == 2)
    let_end(scene)

    wrong = wrong_starts(scene) if ended(again) == 0 else {"the run failed"}
    scene.end_survivors()
    return wrong


@pytest.mark.parametrize(
    ("scenario", "faults", "wrong"),
    [
        (cut_for_good, [], None),
        (cut_for_good, [planted.IGNORES_ITS_LEASE], "two attempts of a job at once"),
        (cut_and_killed, [planted.BLIND], None),
        (cut_and_killed, [planted.BLIND, planted.WITHOUT_REACH], "two attempts of a job at once"),
    ],
)
def test_nothing_goes_wrong_unless_a_fault_is_planted(
    far: Scene, scenario: Scenario, faults: Sequence[str], wrong: str | None
) -> None:
    was_planted = planted.plant(far, faults)
    found = scenario(far)

    assert was_planted() == bool(faults)
    assert wrong in found if wrong else not found, found
