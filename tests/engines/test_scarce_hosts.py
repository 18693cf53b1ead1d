"""Hosts that lack what a site needs: they are left out, or do less at once, and the run says so in one sentence."""

import shlex
import subprocess

import pytest
from places import SITE
from scene import Scene

pytest_plugins = ("scene", "places", "openports")

WITHOUT_PROC = f"unshare --mount sh -c {shlex.quote(f'mount -t tmpfs none /proc && exec {SITE}')}"


def reach(scene: Scene, h1: str) -> None:
    """Have h1 reached by these words of a shell, and h2 as always."""
    carrier = scene.folder / "carrier"
    carrier.write_text(f"#!/bin/sh\ntest $1 = h2 && exec {SITE}\n{h1}\n")


@pytest.mark.parametrize("hosts", ["h1", "h1,h2"])
def test_a_host_without_enough_file_descriptors_for_one_job_is_left_out(afar: Scene, hosts: str) -> None:
    reach(afar, f"ulimit -n 20; exec {SITE}")
    afar.add({"command": "true", "max_attempts": 1, "max_crashes": 1}, {"call": "json:loads", "args": {"s": "1"}})
    done = afar.run("-j", "1", "--executor", f"ssh:{hosts}", code=0 if "h2" in hosts else 78)

    assert "a site needs 28 file descriptors and can get 1" in done.err
    assert "Traceback" not in done.err
    assert set(afar.jobs()) == {("succeeded" if "h2" in hosts else "queued",)}


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
    afar.add({"command": "true"})
    done = afar.run("-j", "1", "--executor", "ssh:h1,h2")

    assert "gave h1 up" in done.err
    assert "Traceback" not in done.err
    assert afar.attempts() == [("succeeded",)]
