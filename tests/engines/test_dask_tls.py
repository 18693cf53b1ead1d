"""A Dask cluster that is encrypted, with certificates of its own authority: all of it is configuration of Dask."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daskcluster import Cluster, cluster
from scene import SOAK, Scene

pytest_plugins = ("scene", "openports")
pytestmark = pytest.mark.skipif(not SOAK or not shutil.which("openssl"), reason="for scripts/soak, with openssl")

CERTIFICATES = """\
set -e
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=batch -keyout key.pem -out own.csr
openssl x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem
"""
CONFIGURATION = """\
distributed:
  comm:
    default-scheme: tls
    require-encryption: true
    tls:
      ca-file: {folder}/ca.pem
      scheduler: {{cert: {folder}/cert.pem, key: {folder}/key.pem}}
      worker: {{cert: {folder}/cert.pem, key: {folder}/key.pem}}
      client: {{cert: {folder}/cert.pem, key: {folder}/key.pem}}
"""


@pytest.fixture
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of Dask that everyone needs who takes part."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["sh", "-c", f"cd {shlex.quote(str(folder))}\n{CERTIFICATES}"], check=True, capture_output=True)
    (folder / "dask.yaml").write_text(CONFIGURATION.format(folder=folder))
    return folder / "dask.yaml"


@pytest.fixture
def dask(
    configuration: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    monkeypatch.setenv("DASK_CONFIG", str(configuration))
    with cluster(tmp_path_factory.mktemp("dask"), workers=1) as made:
        yield made


def test_a_run_with_the_configuration_takes_part_and_others_are_refused_in_one_sentence(
    scene: Scene, dask: Cluster, configuration: Path
) -> None:
    assert dask.address.startswith("tls://")
    scene.add({"command": "true"})
    stranger = scene.run("--executor", f"dask:{dask.address}", code=78)
    scene.shell.env["DASK_CONFIG"] = str(configuration)
    careless = scene.run("--executor", f"dask:tcp://{dask.address.removeprefix('tls://')}", code=78)

    for refused in (stranger, careless):
        assert "cannot connect to the scheduler at" in refused.err
        assert "Traceback" not in refused.err
    assert scene.jobs() == [("queued",)]

    scene.run("-q", "--executor", f"dask:{dask.file}")
    assert scene.attempts() == [("succeeded",)]
