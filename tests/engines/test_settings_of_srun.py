"""Variables that change what srun does with stdin and stdout: they must not reach it, and need no Slurm to test."""

import shlex

import pytest
from places import SITE
from scene import Scene

pytest_plugins = ("scene",)

#: In the place of srun: does with its variables what srun does, and starts the site on this machine.
SRUN = """\
#!/bin/sh
[ -z "$SLURM_LABELIO" ] || { SITE | sed -u 's/^/0: /'; exit; }
[ -z "$SLURM_STDINMODE$SRUN_INPUT" ] || exec < /dev/null
[ -z "$SLURM_STDOUTMODE$SRUN_OUTPUT" ] || exec > /dev/null
[ -z "$SLURM_SRUN_MULTI" ] || exit 1
exec SITE
"""


@pytest.mark.parametrize(
    "name",
    ["SLURM_LABELIO", "SLURM_STDINMODE", "SLURM_STDOUTMODE", "SLURM_SRUN_MULTI", "SRUN_INPUT", "SRUN_OUTPUT"],
)
def test_a_run_works_whatever_is_set_for_srun(scene: Scene, name: str) -> None:
    srun = scene.folder / "srun"
    srun.write_text(SRUN.replace("SITE", SITE))
    srun.chmod(0o755)
    scene.add({"command": "echo $SLURM_JOB_ID"})
    scene.run(
        "-q", "--executor", "srun:n1", env={"BATCHQ_SRUN": shlex.quote(str(srun)), name: "1", "SLURM_JOB_ID": "7"}
    )

    assert scene.attempts() == [("succeeded",)]
    assert scene.output() == b"7\n"


@pytest.mark.parametrize(("executor", "variable"), [("ssh:alpha", "BATCHQ_SSH"), ("srun:n1", "BATCHQ_SRUN")])
def test_a_command_with_an_open_quote_is_one_sentence(scene: Scene, executor: str, variable: str) -> None:
    scene.add({"command": "true"})
    done = scene.run("--executor", executor, env={variable: "ssh 'x"}, code=2)

    assert done.err == f"batchq: ${variable} is not a command: No closing quotation\n"
