"""Completion in real shells, and the manual page; with a store that has jobs, names, batches and hostile names."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from conftest import Shell

from batchq.cli import commands
from batchq.cli.about import completing, manual
from batchq.cli.options import Argument


@pytest.fixture
def store(batchq: Shell) -> Shell:
    batchq("add", "--batch", "night", "--name", "load-a", "--", "true")
    batchq("add", "--batch", "it's $(touch x)", "--queue", "net", "--", "false")
    batchq("run", "-q", code=1)
    batchq("add", "--batch", "day", "--", "true")
    return batchq


def offered(store: Shell, *words: str) -> list[str]:
    """The words that are offered for the last of ``words``."""
    printed = store("completion", "words", "--", *words).out
    return [line.partition("\t")[0] for line in printed.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["li"], ["list"]),
        (["queue", ""], ["list", "set", "pause", "resume"]),
        (["queue", "set", "n"], ["net"]),
        (["list", "--bat"], ["--batch"]),
        (["list", "--batch", "n"], ["night"]),
        (["list", "--batch=n"], ["--batch=night"]),
        (["list", "--state", "f"], ["failed"]),
        (["--db", "batchq.db", "retry", "--na"], ["--name"]),
        (["retry", ""], ["2", "last"]),
        (["cancel", ""], ["3", "last"]),
        (["show", "1"], ["1"]),
        (["add", "--after", "lo"], ["load-a"]),
        (["add", "--after", "batch:n"], ["batch:night"]),
        (["run", "--if-r"], ["--if-running"]),
        (["help", "prun"], ["prune"]),
        (["completion", "z"], ["zsh"]),
        (["add", "--", "tr"], []),
        (["add", "jobs."], []),
        (["nope", "x"], []),
    ],
)
def test_a_word_is_completed_from_the_tables_and_the_store(store: Shell, words: list[str], expected: list[str]) -> None:
    assert offered(store, *words) == expected


def test_without_a_store_only_the_tables_are_offered(folder: Path) -> None:
    batchq = Shell(folder)
    assert offered(batchq, "list", "--batch", "") == [] and offered(batchq, "li") == ["list"]
    assert not (folder / "batchq.db").exists()


def test_every_option_of_every_command_is_offered(batchq: Shell) -> None:
    for name in commands.ROOMS:
        flags = {flag for one in commands.table(name).parameters if not isinstance(one, Argument) for flag in one.flags}

        assert flags <= {word for word, _ in completing.offers([*name.split(), "-"])}


@pytest.fixture
def environment(store: Shell, tmp_path: Path) -> dict[str, str]:
    """Of a shell that finds batchq, and this store, and no settings of anybody."""
    bin = Path(sys.executable).parent
    home = tmp_path / "home"
    home.mkdir()
    return {**store.env, "PATH": f"{bin}:{os.environ['PATH']}", "HOME": str(home), "TERM": "dumb", "LC_ALL": "C.UTF-8"}


@pytest.fixture
def script(store: Shell, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    shell = request.node.callspec.params.get("shell", request.node.name.split("_")[1])
    path = tmp_path / f"script.{shell}"
    path.write_text(store("completion", shell).out)
    return path


CASES = [("batchq li", ["list"]), ("batchq list --batch=n", ["night"]), ("batchq list --batch n", ["night"]),
         ("batchq add --after batch:n", ["night"]), ("batchq queue set n", ["net"])]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), CASES)
@pytest.mark.parametrize("shell", ["bash"])
def test_bash_completes(
    store: Shell, script: Path, environment: dict[str, str], line: str, expected: list[str], shell: str
) -> None:
    ask = f"""
        . {script}
        COMP_LINE='{line}' COMP_POINT={len(line)}
        _batchq
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """
    done = subprocess.run(
        ["bash", "--norc", "-c", ask], cwd=store.folder, env=environment, capture_output=True, text=True, check=True
    )

    assert (done.stdout.split(), done.stderr) == (expected, "")


@pytest.mark.parametrize("shell", ["bash"])
def test_a_hostile_name_is_quoted(store: Shell, script: Path, environment: dict[str, str], shell: str) -> None:
    child = pexpect.spawn(
        "bash", ["--norc", "-i"], cwd=str(store.folder), env={**environment, "PS1": "> "}, encoding="utf-8", timeout=60
    )
    child.sendline(f". {script}; bind 'set enable-bracketed-paste off'; echo rea''dy")
    child.expect("ready")
    child.send("batchq list --batch it\t")
    child.expect(re.escape(r"it\'s\ \$\(touch\ x\)"))
    child.sendline(" --json | grep -c touch")
    child.expect(r"\n[1-9]\d*\r")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()

    assert not (store.folder / "x").exists()


@pytest.mark.skipif(shutil.which("fish") is None, reason="not installed")
@pytest.mark.parametrize(("line", "expected"), [
    ("batchq li", ["list"]), ("batchq list --batch=n", ["--batch=night"]), ("batchq list --batch n", ["night"]),
    ("batchq add --after batch:n", ["batch:night"]), ("batchq queue set n", ["net"])])  # fmt: skip
@pytest.mark.parametrize("shell", ["fish"])
def test_fish_completes(
    store: Shell, script: Path, environment: dict[str, str], line: str, expected: list[str], shell: str
) -> None:
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"],
        cwd=store.folder, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert [one.partition("\t")[0] for one in done.stdout.splitlines()] == expected


@pytest.fixture
def zsh(store: Shell, environment: dict[str, str], tmp_path: Path) -> Iterator["pexpect.spawn[str]"]:
    """An interactive zsh with the script in its fpath, as a distribution installs it."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "_batchq").write_text(store("completion", "zsh").out)
    child = pexpect.spawn(
        "zsh", ["-f", "-i"], cwd=str(store.folder), env={**environment, "PS1": "> "}, encoding="utf-8", timeout=60
    )
    child.sendline(f"fpath=({tmp_path}/site $fpath); autoload -Uz compinit; compinit -u -D; print rea''dy")
    child.expect("\nready")
    yield child
    child.close(force=True)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="not installed")
@pytest.mark.parametrize(("typed", "becomes"), [
    ("batchq exp", "batchq explain"), ("batchq list --batch ni", "batchq list --batch night"),
    ("batchq queue set ne", "batchq queue set net")])  # fmt: skip
def test_zsh_completes(zsh: "pexpect.spawn[str]", typed: str, becomes: str) -> None:
    zsh.send(f"{typed}\t")
    zsh.send("\x01print -r -- '[\x05]'\r")  # to the front of the line, to its end, and print the line

    zsh.expect_exact(f"\n[{becomes}]")


def test_the_manual_has_every_command_and_option() -> None:
    page = manual.page()

    for name in commands.ROOMS:
        assert f"\n.SS batchq {name.replace('-', '-')}" in page.replace("\\-", "-")
        for one in commands.table(name).parameters:
            if not isinstance(one, Argument):
                assert all(rf"\fB{flag}\fR" in page.replace("\\-", "-") for flag in one.flags)


@pytest.mark.skipif(shutil.which("groff") is None, reason="not installed")
def test_troff_reads_the_manual_without_a_warning_and_it_fits_eighty_columns(batchq: Shell) -> None:
    page = batchq("help", "--man").out
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", "-rLL=78n", "-P-c"], input=page, capture_output=True, text=True, check=True
    )

    plain = re.sub(".\b", "", done.stdout)
    assert done.stderr == "" and max(map(len, plain.splitlines())) <= 80
    assert "batchq run -j 4 " in plain and "--max-attempts N" in plain


def test_the_wheel_installs_completions_and_the_manual_where_shells_look() -> None:
    import tomllib

    root = Path(__file__).parents[2]
    shared = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "shared-data"
    ]

    assert set(shared.values()) == {
        "share/man/man1/batchq.1",
        "share/bash-completion/completions/batchq",
        "share/zsh/site-functions/_batchq",
        "share/fish/vendor_completions.d/batchq.fish",
    }
    assert all((root / path).is_file() for path in shared)
    assert (root / "docs" / "batchq.1").read_text() == manual.page()
