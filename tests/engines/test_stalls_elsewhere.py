"""Jobs with a timeout while a site, or the line to it, stands still; and runs that are suspended themselves."""

import os
import shlex
import signal
import time

from conftest import eventually
from elsewhere import NOT_AT_ONCE, add_waiting, assert_none_overlapped, let_end, process_of, starts
from places import SITE, carriers
from scene import Scene, children_of, ended, is_gone, is_stopped, status_of, stop

pytest_plugins = ("scene", "places", "openports")


def test_a_job_is_ended_in_time_while_the_line_stands_still(afar: Scene) -> None:
    """The site has the timeout; how the attempt ended is known when the line works again, within the lease."""
    carrier = afar.folder / "carrier"
    carrier.write_text(f"#!/bin/sh\necho $$ >> {shlex.quote(str(afar.folder))}/carriers\ncat | {SITE} | cat\n")
    add_waiting(afar, 1, timeout=NOT_AT_ONCE)
    run = afar.start("--executor", "ssh:h1", "--grace", "0", "--lease", "10m")
    eventually(lambda: len(starts(afar)) == 1)
    (shell,) = carriers(afar)
    cats = [pid for pid in children_of(shell) if status_of(pid)["Name"] == "cat"]
    for pid in cats:
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: is_gone(process_of(afar, 1)))
    assert afar.jobs() == [("running",)]
    for pid in cats:
        os.kill(pid, signal.SIGCONT)

    assert ended(run) == 1
    assert afar.attempts() == [("timed_out",)]


def test_a_job_of_a_site_that_stands_still_runs_over_its_timeout_until_the_lease_ends(afar: Scene) -> None:
    add_waiting(afar, 1, timeout=NOT_AT_ONCE)
    run = afar.start("--executor", "ssh:h1", "--grace", "0", "--lease", "4s")
    eventually(lambda: len(starts(afar)) == 1)
    first = process_of(afar, 1)
    (site,) = children_of(carriers(afar)[0])
    stop(site)

    assert ended(run) == 1
    assert is_gone(first)
    assert "it has not answered for 4 s" in afar.said()
    assert afar.attempts() == [("crashed",), ("timed_out",)]
    assert_none_overlapped(afar)


def test_a_run_that_is_suspended_for_longer_than_the_lease_goes_on_with_its_places(afar: Scene) -> None:
    add_waiting(afar, 1)
    run = afar.start("--executor", "ssh:h1", "--lease", "2s")
    eventually(lambda: len(starts(afar)) == 1)
    runner = afar.runner()
    os.kill(run.pid, signal.SIGTSTP)
    eventually(lambda: is_stopped(runner))
    since = time.monotonic()
    eventually(lambda: time.monotonic() - since > 5)
    assert is_stopped(process_of(afar, 1))
    let_end(afar)
    for pid in (runner, run.pid):
        os.kill(pid, signal.SIGCONT)

    assert ended(run) == 0
    assert afar.attempts() == [("succeeded",)]
    assert "lost h1" not in afar.said()
