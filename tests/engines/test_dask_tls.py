"""A Dask cluster that is encrypted, with certificates of its own authority: all of it is configuration of Dask."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dask import config
from daskcluster import Cluster, cluster
from scene import Scene
from soaking import SOAK

from batchq.executors.afar.dask import certificates
from batchq.executors.afar.unfit import Unfit

pytest_plugins = ("scene", "openports")
pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")

CERTIFICATES = """\
set -e
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=batch -keyout key.pem -out own.csr
openssl x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem
openssl genrsa -out other.pem 2048
openssl rsa -aes128 -passout pass:secret -in key.pem -out locked.pem
mkdir folder
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


@pytest.fixture(scope="module")
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


@pytest.mark.skipif(not SOAK, reason="for scripts/soak")
def test_a_run_with_the_configuration_takes_part_and_others_are_refused_in_one_sentence(
    scene: Scene, dask: Cluster, configuration: Path
) -> None:
    assert dask.address.startswith("tls://")
    scene.add({"command": "true"})
    stranger = scene.run("--executor", f"dask:{dask.address}", code=78)
    scene.shell.env["DASK_CONFIG"] = str(configuration)
    careless = scene.run("--executor", f"dask:tcp://{dask.address.removeprefix('tls://')}", code=78)

    assert stranger.err.endswith("names no distributed.comm.tls.ca-file, which TLS needs\n")
    assert "cannot connect to the scheduler at" in careless.err
    assert [refused.err.count("\n") for refused in (stranger, careless)] == [1, 1]
    assert scene.jobs() == [("queued",)]

    scene.run("-q", "--executor", f"dask:{dask.file}")
    assert scene.attempts() == [("succeeded",)]


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ("distributed: [", "Dask cannot be imported: ValueError: A dask config file at"),
        (
            "distributed: {comm: {tls: {ca-file: missing.pem, client: {cert: it}}}}",
            "missing.pem (distributed.comm.tls.",
        ),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_sentence(scene: Scene, configured: str, said: str) -> None:
    (scene.folder / "dask.yaml").write_text(configured)
    scene.shell.env["DASK_CONFIG"] = "dask.yaml"
    scene.add({"command": "true"})
    done = scene.run("-q", "--executor", "dask:tls://127.0.0.1:1", code=78)

    assert said in done.err
    assert done.err.count("\n") == 1
    assert scene.attempts() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"ca-file": "missing.pem"},
            "missing.pem (distributed.comm.tls.ca-file of Dask's configuration) cannot be read",
        ),
        ({"ca-file": "folder"}, "cannot be read: it is a folder"),
        (
            {"ca-file": "dask.yaml"},
            "dask.yaml (distributed.comm.tls.ca-file of Dask's configuration) is not a certificate",
        ),
        ({"ca-file": None}, "names no distributed.comm.tls.ca-file, which TLS needs"),
        (
            {"client.cert": "missing.pem"},
            "missing.pem (distributed.comm.tls.client.cert of Dask's configuration) cannot be",
        ),
        ({"client.cert": None}, "names no distributed.comm.tls.client.cert, which TLS needs"),
        ({"client.key": "missing.pem"}, "cannot be read: No such file or directory"),
        (
            {"client.key": "other.pem"},
            "other.pem (distributed.comm.tls.client.key of Dask's configuration) is not the key of",
        ),
        ({"client.key": None}, "cert.pem (distributed.comm.tls.client.cert of Dask's configuration) is not the key of"),
        ({"client.key": "locked.pem"}, "wants a passphrase, which Dask cannot give: it must be without one"),
        ({"min-version": 7}, "the configuration of Dask cannot be used: ValueError"),
    ],
)
def test_what_is_wrong_with_the_certificates_of_a_run_is_said(
    configuration: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], said: str
) -> None:
    monkeypatch.chdir(configuration.parent)
    good = {"ca-file": "ca.pem", "client.cert": "cert.pem", "client.key": "key.pem"}

    changed = {f"distributed.comm.tls.{key}": value for key, value in (good | changes).items()}
    with config.set(changed), pytest.raises(Unfit) as caught:
        certificates.check()
    assert said in str(caught.value)
    with config.set({f"distributed.comm.tls.{key}": value for key, value in good.items()}):
        certificates.check()
