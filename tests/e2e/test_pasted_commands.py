"""A command that batchq shows after ``$``, or as the command of a job, can be pasted into a shell and does the same."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import Shell

#: Each writes what it got into the file ``got``, and fails. Words are hostile: blanks, quotes, signs of a shell, controls.
JOBS = [
    {"command": ["sh", "-c", 'printf "%s|" "$0" "$@" > got; exit 3', "a b", "it's", "$HOME;`id`", "*", "", "ü", "\\n"]},
    {"command": ["sh", "-c", 'printf "%s|" "$@" > got; exit 3', "sh", "two\nlines", "\t\x1b[31m", "x", "\u202e1"]},
    {"command": "echo $((1 + 1)) 'a  b' > got; exit 3"},
    {"command": "echo one > got\necho 'two  it''s' >> got\nexit 3"},
]
WITH_WORDS = ('printf "%s|" "$0" "$@" > got; test "$1" = 5 -a -z x', ["5", "a b", "x\ny"])


def results(batchq: Shell) -> list[str]:
    """What each job has written when batchq ran it."""
    found = []
    for job in range(1, len(JOBS) + 2):
        batchq("run", "-q", "--max-jobs", "1", "-j1", code=1)
        found.append((batchq.folder / "got").read_text())
        assert batchq.rows(f"SELECT state FROM jobs WHERE id = {job}") == [("failed",)]
    return found


def pasted(batchq: Shell, command: str) -> str:
    """What the command writes that a person pastes into bash."""
    (batchq.folder / "got").unlink()
    subprocess.run(["bash", "-c", command], cwd=batchq.folder, env=batchq.env, check=False, timeout=60)
    return (batchq.folder / "got").read_text()


@pytest.fixture(name="failed")
def _failed(batchq: Shell) -> Shell:
    batchq("add", "-q", "--format", "json", "-", stdin=json.dumps(JOBS))
    script, words = WITH_WORDS
    batchq("add", "-q", "-c", script, "--", *words)
    return batchq


def test_each_command_that_is_shown_does_in_a_shell_what_the_job_did(failed: Shell) -> None:
    wrote = results(failed)
    ids = range(1, len(wrote) + 1)

    shown = [re.findall(r"^  command +(.*)$", failed("show", str(id)).out, re.MULTILINE) for id in ids]
    assert [pasted(failed, command) for (command,) in shown] == wrote
    listed = [one["command"] for one in json.loads(failed("list", "--json").out)["jobs"]]
    assert listed == [command for (command,) in shown]
    for id, (command,) in zip(ids, shown, strict=True):
        texts = [failed("report", str(id), "--format", form).out for form in ("digest", "table", "md")]
        assert [re.findall(r"^ *\$ (.*)$", text, re.MULTILINE) for text in texts] == [[command]] * 3
        table = failed("list", str(id)).out.splitlines()[-1]
        assert table.endswith(command)


def test_the_words_of_a_script_are_shown_as_a_shell_takes_them(failed: Shell) -> None:
    script, _ = WITH_WORDS

    (shown,) = re.findall(r"^  command +(.*)$", failed("show", str(len(JOBS) + 1)).out, re.MULTILINE)

    assert shown == f"sh -c '{script}' sh 5 'a b' $'x\\ny'"


def test_what_is_no_command_has_no_prompt(batchq: Shell, tmp_path: Path) -> None:
    (batchq.folder / "mine.py").write_text("def fail(n): raise KeyError(n)\n")
    batchq("add", "-q", "--call", "mine:fail", "--args", '{"n": 1}')
    batchq("run", "-q", code=1)

    for form in ("digest", "table", "md", "junit"):
        text = batchq("report", "--format", form).out
        assert "mine:fail(n=1)" in text and "$ mine" not in text


def test_bytes_that_are_not_utf_8_are_pasted_as_bytes(batchq: Shell) -> None:
    batchq("add", "-q", "--", "sh", "-c", 'printf %s "$1" > got', "sh", b"\xffx")

    (shown,) = re.findall(r"^  command +(.*)$", batchq("show", "1").out, re.MULTILINE)
    (batchq.folder / "got").touch()
    subprocess.run(["bash", "-c", shown], cwd=batchq.folder, check=True, timeout=60)

    assert (batchq.folder / "got").read_bytes() == b"\xffx"
    assert os.fsencode(shown).isascii()
