"""A shell string that only starts a program is started without the shell, and the job cannot see the difference."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scene import Scene

from batchq.executors.plainwords import OF_SHELLS, may_do_without, plain_words
from batchq.jobs.model import SHELL

pytest_plugins = ("scene",)

LETTERS = "ab1-./:=,@%+_ \t~$`'\"\\|&;<>()[]{}*?!#^\n\rä\x0b\x0c\xa0"
# Of bash 5.2 (compgen -bk), and what busybox 1.36 and dash 0.5.12 have in addition.
NAMES = """
! . : [ [[ ]] { } alias bg bind break builtin caller case cd chdir command compgen complete compopt continue coproc declare
dirs disown do done echo elif else enable esac eval exec exit export false fc fg fi for function getopts hash help history
if in jobs kill let local logout mapfile newgrp popd printf pushd pwd read readarray readonly return select set shift shopt
source suspend test then time times trap true type typeset ulimit umask unalias unset until wait while
"""
DASH = Path(SHELL).resolve().name == "dash"
dash = pytest.mark.skipif(not DASH, reason="other shells change the environment and are always started")


@settings(max_examples=300)
@given(st.text(LETTERS, max_size=12))
@example("a=b -c x=y")
@example("%1 ~ #x")
@example("  a  \t b ")
def test_what_is_plain_reaches_the_program_as_the_shell_would_hand_it_on(text: str) -> None:
    words = plain_words(f"/usr/bin/printf %sZ {text}")
    if words is not None:
        found = subprocess.run([SHELL, "-c", f"/usr/bin/printf %sZ {text}"], stdout=subprocess.PIPE, check=True)
        assert found.stdout.decode().split("Z")[:-1] == (words[2:] or [""])


@settings(max_examples=300)
@given(st.text(LETTERS, min_size=1, max_size=4))
@example("a=b")
@example("-x")
@example("1")
def test_the_first_word_is_plain_only_where_the_shell_looks_for_a_program_of_that_name(text: str) -> None:
    words = plain_words(text)
    if words is not None and "/" not in words[0]:
        found = subprocess.run([SHELL, "-c", text], env={"PATH": "/nowhere"}, capture_output=True)
        assert found.returncode == 127
        assert words[0].encode() + b": not found" in found.stderr


@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "busybox sh"])
def test_no_builtin_or_keyword_of_a_shell_is_plain(shell: str) -> None:
    program, *rest = shell.split()
    if (path := shutil.which(program)) is None:
        pytest.skip("not installed")
    asked = "\n".join(f"type {name} 2>&1" for name in sorted({*OF_SHELLS, *NAMES.split()}))
    found = subprocess.run([path, *rest, "-c", asked], capture_output=True, text=True, env={"PATH": "/nowhere"})
    lines = [line for line in found.stdout.splitlines() if "not found" not in line]
    own = {line.split()[0] for line in lines if "builtin" in line or "keyword" in line}
    assert own
    assert [name for name in own if plain_words(name) is not None] == []


@pytest.mark.parametrize(
    "variables", [{"PWD": "/"}, {"A-B": "1"}, {"PPID": "5"}, {"OPTIND": "7"}, {"PATH": "/bin:%builtin"}]
)
def test_an_environment_that_the_shell_changes_needs_the_shell(variables: dict[str, str]) -> None:
    whole = {"PWD": "/tmp", "PATH": "/bin", "OLDPWD": "/", "_": "x", "SHLVL": "1"}

    assert may_do_without(whole, "/tmp") == DASH
    assert not may_do_without(whole | variables, "/tmp")


@dash
def test_a_program_finds_the_same_words_and_variables_with_and_without_the_shell(scene: Scene) -> None:
    show = scene.folder / "show"
    show.write_text('#!/bin/sh\ntr "\\0" "\\n" < /proc/$$/cmdline; env\n')
    show.chmod(0o755)
    scene.add({"command": "./show a=b  c"}, {"command": "exec ./show a=b c"}, {"command": "./show a=b $UNSET c"})
    scene.run("-q")

    found = [scene.output(number).decode().splitlines() for number in (1, 2, 3)]
    own = ("BATCHQ_JOB_ID", "BATCHQ_TOKEN", "BATCHQ_RESULT_FILE", "BATCHQ_DEADLINE", "BATCHQ_SLOT")
    first, *others = [sorted(line for line in lines if not line.startswith(own)) for lines in found]
    assert "a=b" in first
    assert others == [first, first]


@dash
def test_the_shell_still_says_what_is_wrong_with_a_program(scene: Scene) -> None:
    (scene.folder / "text").write_text("echo $0 $1\n")
    (scene.folder / "text").chmod(0o755)
    (scene.folder / "plain").write_text("")
    (scene.folder / "lost").write_text("#!/no/such/interpreter\n")
    (scene.folder / "lost").chmod(0o755)
    commands = ["./text x", "no-such-program", "./plain", "./lost", "./"]
    scene.add(*({"command": command} for command in commands), *({"command": f"{one} $X"} for one in commands))
    scene.run("-q", code=1)

    codes = scene.attempts("exit_code")
    assert codes == [(0,), (127,), (126,), (127,), (126,)] * 2
    for number in range(1, 6):
        assert scene.output(number) == scene.output(number + 5)


@dash
def test_a_program_that_is_there_since_the_last_job_is_found(scene: Scene, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (second / "mine").write_text("#!/bin/sh\necho second\n")
    (second / "mine").chmod(0o755)
    env = {"PATH": f"{first}:{second}:{os.environ['PATH']}"}
    scene.add(
        {"command": "mine", "env": env},
        {"command": f"printf '#!/bin/sh\\necho first\\n' > {first}/mine; chmod +x {first}/mine", "env": env},
        {"command": "mine", "env": env},
    )
    scene.run("-q", "-j", "1")

    assert (scene.output(1), scene.output(3)) == (b"second\n", b"first\n")
