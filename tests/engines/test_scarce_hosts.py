"""Hosts that lack what a site needs: they are left out, or do less at once, and the run says so in one sentence."""

import shlex
import subprocess
import sys

import pytest
from conftest import eventually
from elsewhere import add_waiting, let_end
from places import SITE
from scene import Scene, ended

pytest_plugins = ("scene", "places", "openports")

WITHOUT_PROC = f"unshare --mount sh -c {shlex.quote(f'mount -t tmpfs none /proc && exec {SITE}')}"


def reach(scene: Scene, h1: str) -> None:
    """Have h1 reached by these words of a shell, and h2 as always."""
    carrier = scene.folder / "carrier"
    carrier.write_text(f"#!/bin/sh\ntest $1 = h2 && exec {SITE}\n{h1}\n")


def test_a_host_without_enough_file_descriptors_for_one_job_is_left_out(afar: Scene) -> None:
    reach(afar, f"ulimit -n 20; exec {SITE}")
    afar.add({"command": "true", "max_attempts": 1, "max_crashes": 1}, {"call": "json:loads", "args": {"s": "1"}})
    done = afar.run("-j", "1", "--executor", "ssh:h1", code=78)

    assert "a site needs 28 file descriptors and can get 1" in done.err
    assert "Traceback" not in done.err
    assert set(afar.jobs()) == {("queued",)}


def go_on_without_h1(scene: Scene, said: str) -> None:
    """Run jobs of which one waits until the run has said so: one that is over does not wait for what a host will say."""
    add_waiting(scene, 1, max_attempts=1, max_crashes=1)
    scene.add({"call": "json:loads", "args": {"s": "1"}})
    run = scene.start("-j", "1", "--executor", "ssh:h1,h2")
    eventually(lambda: said in scene.said())
    let_end(scene)

    assert ended(run) == 0
    assert "Traceback" not in scene.said()
    assert scene.attempts() == [("succeeded",)] * 2


def test_the_others_work_without_a_host_that_has_not_enough_file_descriptors(afar: Scene) -> None:
    reach(afar, f"ulimit -n 20; exec {SITE}")
    go_on_without_h1(afar, "a site needs 28 file descriptors and can get 1")


#: The program of a site that gets so much more memory than it has when this module is loaded: code of batchq can tell.
STARVED = """\
import re, resource, {module}
size = 1024 * int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1])
resource.setrlimit(resource.RLIMIT_AS, (size + {more}, size + {more}))
from batchq.executors.afar.entrance import main
main()
"""


@pytest.mark.parametrize(
    ("module", "more"), [("batchq.executors.afar.entrance", 0), ("batchq.executors.afar.site", 4_000_000)]
)
def test_a_host_with_too_little_memory_is_left_out(afar: Scene, module: str, more: int) -> None:
    """One that ran short of it when it was up took its jobs with it, which crashed."""
    program = STARVED.format(module=module, more=more)
    reach(afar, f"exec {shlex.quote(sys.executable)} -c {shlex.quote(program)}")
    afar.add({"command": "true", "max_attempts": 1, "max_crashes": 1})
    done = afar.run("-j", "1", "--executor", "ssh:h1", code=78)

    assert "too little memory for batchq (ulimit -v, or the limit of a container)" in done.err
    assert "Traceback" not in done.err
    assert afar.attempts() == []


def test_a_host_with_few_file_descriptors_runs_fewer_jobs_at_once(afar: Scene) -> None:
    reach(afar, f"ulimit -n 60; exec {SITE}")
    afar.add(*[{"call": "json:loads", "args": {"s": "1"}, "fresh": True}] * 8)
    done = afar.run("-j", "16", "--executor", "ssh:h1")

    assert "jobs at once, not for 16 (ulimit -n)" in done.err
    assert "cannot start a process" not in done.err
    assert afar.attempts() == [("succeeded",)] * 8


@pytest.mark.skipif(
    subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0,
    reason="needs a mount namespace",
)
def test_a_host_without_proc_is_left_out(afar: Scene) -> None:
    reach(afar, WITHOUT_PROC)
    go_on_without_h1(afar, "gave h1 up")
