"""A path as its user wrote it: links stay, and ``..`` goes only where it means the same whatever a link becomes."""

import os
from pathlib import Path

import pytest

from batchq import folder, paths


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("sub", "current/sub"),
        ("./sub//", "current/sub"),
        ("sub/..", "current"),
        ("sub/../..", "current/.."),
        ("..", "current/.."),
        ("../..", "current/../.."),
        ("../two/.", "current/../two"),
        ("nowhere/..", "current"),
        ("sub/link/..", "current/sub/link/.."),
        (".", "current"),
    ],
)
def test_links_stay_in_a_path_and_so_does_what_is_above_them(tmp_path: Path, path: str, kept: str) -> None:
    (tmp_path / "releases" / "one" / "sub").mkdir(parents=True)
    (tmp_path / "releases" / "one" / "sub" / "link").symlink_to("/usr/bin")
    (tmp_path / "current").symlink_to("releases/one")
    found = paths.absolute(path, str(tmp_path / "current"))

    assert found == str(tmp_path / kept)
    if "nowhere" not in path:
        assert os.path.realpath(found) == os.path.realpath(f"{tmp_path}/current/{path}"), "the same to the system"


def test_nothing_is_above_the_root() -> None:
    assert folder.absolute("/../../etc/./x/..") == "/etc"
    assert folder.absolute("/") == paths.absolute("..", "/") == "/"


def test_a_path_goes_on_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder.absolute("a/../b") == str(tmp_path / "b")
