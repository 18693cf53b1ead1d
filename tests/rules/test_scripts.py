"""The scripts are whole, and CI installs every program without which a test is skipped."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    file for file in (ROOT / ".ci/run", *(ROOT / "scripts").iterdir()) if file.is_file() and file.suffix != ".py"
]
#: What every Debian has, or whatever compiles a package
EVERYWHERE = {"cc", "flock", "setpriv", "setsid", "unshare"}


@pytest.mark.parametrize(
    "script", [one for one in SCRIPTS if one.read_bytes().startswith(b"#!/")], ids=lambda one: one.name
)
def test_a_script_is_whole(script: Path) -> None:
    """A shell runs what is there of a script that was cut off, and says so at most in a warning."""
    if b"python" in script.read_bytes().splitlines()[0]:
        compile(script.read_text(), script.name, "exec")
        return
    checked = subprocess.run(["bash", "-n", script], capture_output=True, text=True)

    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_program_that_tests_look_for_is_installed_by_ci() -> None:
    listed = re.findall(r"^(\S+) \S+$", (ROOT / "scripts/packages").read_text(), re.MULTILINE)
    wanted = {
        name for file in (ROOT / "tests").rglob("*.py") for name in re.findall(r'which\("(\w+)"', file.read_text())
    }

    assert wanted - EVERYWHERE <= {*listed}
