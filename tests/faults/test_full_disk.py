"""S6: a full disk, and a limit on the size of files. Nothing acknowledged is lost, and results wait for space."""

import functools
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import full_disk
import pytest
from conftest import Shell, eventually
from figures import record
from fleet import Fleet
from soaking import SOAK

pytest_plugins = ("figures",)

NAMESPACE = ("unshare", "--map-root-user", "--mount")
MOUNT = 'mount -t tmpfs -o size=1m,mode=0755 tmpfs "$0/disk" && exec "$@"'


@functools.cache
def _missing() -> str:
    if shutil.which("unshare") is None:
        return "unshare(1) is not installed"
    tried = subprocess.run(
        [*NAMESPACE, "sh", "-c", f"mount -t tmpfs tmpfs {tempfile.gettempdir()}"], capture_output=True, text=True
    )
    return "" if tried.returncode == 0 else f"no mount namespace of one's own here: {tried.stderr.strip()[:200]}"


needs_namespace = pytest.mark.skipif(bool(_missing()), reason=_missing())


@needs_namespace
@pytest.mark.parametrize("scenario", full_disk.SCENARIOS)
def test_a_full_disk_loses_nothing(scenario: str, tmp_path: Path) -> None:
    if scenario == "giving_up" and not SOAK:
        pytest.skip("takes over a minute: scripts/soak runs it")
    (tmp_path / "disk").mkdir()
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", MOUNT, str(tmp_path), sys.executable, full_disk.__file__, str(tmp_path), scenario],
        env=Shell(tmp_path).env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    record(f"S6 full disk, {scenario.replace('_', ' ')}", 1, "scenario", int(done.returncode != 0),
           **(json.loads(done.stdout) if done.returncode == 0 else {}))  # fmt: skip
    assert done.returncode == 0, done.stderr


def limited(shell: Shell, limit: int, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command that may write no file beyond so many bytes."""
    return subprocess.run(
        [sys.executable, "-c", f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
         " os.execv(sys.argv[1], sys.argv[1:])", *map(str, shell.argv(*words))],
        cwd=shell.folder, env=shell.env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("limit", [0, 1, 20_000, 40_000, 100_000])
def test_an_add_beyond_the_file_size_limit_stores_nothing_and_says_so(batchq: Shell, limit: int) -> None:
    batchq("add", "--", "true")
    done = limited(batchq, limit, "add", "-c", "x" * 100_000)

    assert done.returncode in (73, 74), done
    assert done.stderr.startswith("batchq: ") and done.stderr.count("\n") == 1, done
    assert batchq.rows("SELECT count(*) FROM jobs") == [(1,)]
    batchq("run")


@pytest.mark.parametrize("limit", [0, 1, 20_000, 40_000])
def test_looking_needs_no_room(batchq: Shell, limit: int) -> None:
    batchq("add", "--", "true")
    done = limited(batchq, limit, "report")

    assert done.returncode == 0, done
    assert "queued" in done.stdout


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="no prlimit(2): the limit of another process cannot be set"
)
def test_a_result_that_meets_the_limit_is_kept_until_it_is_lifted(batchq: Shell) -> None:
    batchq("add", "-c", "touch begun; while [ ! -e go ]; do sleep 0.01; done; head -c 100000 /dev/zero")
    with Fleet(batchq) as fleet:
        member = fleet.start()
        eventually((batchq.folder / "begun").exists)
        assert member.runner is not None
        before = resource.prlimit(member.runner, resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
        (batchq.folder / "go").touch()
        eventually(lambda: "trying again" in (batchq.folder / "told").read_text())
        resource.prlimit(member.runner, resource.RLIMIT_FSIZE, before)
        assert fleet.wait_for_all() == [0]

    assert batchq.rows("SELECT outcome FROM attempts") == [("succeeded",)]
