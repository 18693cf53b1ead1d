"""Which store a command uses is never a riddle: mails name it, and their commands can be pasted anywhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Shell
from terminal import on_terminal

SCRIPT = Path(sys.executable).parent / "batchq"  #: as pip installs it
CRON = {"PATH": "/usr/bin:/bin"}  #: what cron has, without a batchq


def a_failed_night(batchq: Shell, **env: str) -> str:
    """What cron mails of a run that was started by the whole path of batchq."""
    batchq("add", "-q", "-c", "exit 3")
    done = subprocess.run(
        [SCRIPT, "run"],
        cwd=batchq.folder,
        env=CRON | {"HOME": str(batchq.folder)} | env,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def paste(command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a printed line in a real shell, in another folder."""
    return subprocess.run(["/bin/sh", "-c", command], cwd="/", env=env, capture_output=True, text=True)


def test_the_command_in_a_mail_from_cron_can_be_pasted_anywhere(batchq: Shell) -> None:
    (command,) = re.findall(r"^Run it again:  (.*)$", a_failed_night(batchq), re.MULTILINE)

    done = paste(command)

    assert command == f"{SCRIPT} --db {batchq.db()} retry 1"
    assert done.returncode == 0, done
    assert batchq.rows("SELECT state FROM jobs") == [("queued",)]


def test_where_batchq_is_on_the_path_it_is_named_by_its_name(batchq: Shell) -> None:
    mail = a_failed_night(batchq, PATH=f"/usr/bin:{SCRIPT.parent}")

    assert mail.endswith(f"\nRun it again:  batchq --db {batchq.db()} retry 1\n")


def test_a_mail_names_host_store_and_folder(batchq: Shell) -> None:
    assert a_failed_night(batchq).splitlines()[1] == f"on {os.uname().nodename}, store {batchq.db()}"

    elsewhere = batchq.folder / "else where"
    elsewhere.mkdir()
    batchq("retry", "1")
    batchq.folder = elsewhere
    mail = batchq("--db", "../batchq.db", "run", code=1).err

    path = elsewhere.parent / "batchq.db"
    assert mail.splitlines()[1] == f"on {os.uname().nodename}, store {path}, started in {elsewhere}"


@pytest.mark.parametrize("form", ["table", "digest", "md", "junit", "html", "json"])
def test_a_report_names_host_and_store_and_all_its_commands_can_be_pasted(batchq: Shell, form: str) -> None:
    a_failed_night(batchq)

    text = batchq("report", "--format", form).out

    assert os.uname().nodename in text and str(batchq.db()) in text
    commands = re.findall(r"(?:[\w/.-]*/)?batchq (?:--db \S+ )?(?:retry|show|list) [-\d, ]*\d", text)
    assert commands
    for command in commands:
        assert command.startswith(f"batchq --db {batchq.db()} ")
        assert paste(command, PATH=f"{SCRIPT.parent}:/bin").returncode == 0


# --- on a terminal ------------------------------------------------------------------------------------------------


@pytest.fixture(name="home")
def _home(folder: Path) -> Shell:
    """A user without a store in a folder of its own: all goes to the one in the home folder."""
    shell = Shell(folder / "work")
    shell.folder.mkdir()
    shell.env["HOME"] = str(folder)
    return shell


OWN = ".local/share/batchq/batchq.db"


def seen(shell: Shell, *words: str, columns: int = 120, code: int = 0, **env: str) -> str:
    with on_terminal(shell, *words, columns=columns, env=env) as terminal:
        assert terminal.wait() == code
        return terminal.scrolled()


def test_an_add_on_a_terminal_names_the_store_of_the_home_folder_and_why(home: Shell) -> None:
    assert home("add", "--", "true").out == "1\n"

    assert seen(home, "add", "--", "true") == f"added job 2 to ~/{OWN} (no batchq.db here or above)"
    assert home("add", "--", "true").out == "3\n", "a script gets ids only"


def test_run_list_and_changes_name_the_store_of_the_home_folder_on_a_terminal_only(home: Shell) -> None:
    home("add", "-q", "--hold", "--", "true")
    where = f"~/{OWN} (no batchq.db here or above)"

    assert f"batchq: running jobs of {where}" in seen(home, "run")
    assert seen(home, "run", "-q") == ""
    assert f"batchq: list: the jobs of {where}" in seen(home, "list")
    assert f"batchq: this changes {where}" in seen(home, "hold", "1")
    assert home("run").err + home("list").err == ""
    home("init")
    assert "this changes" not in seen(home, "hold", "--all")


def test_an_add_on_a_terminal_counts_and_says_what_was_known_by_key(batchq: Shell) -> None:
    (batchq.folder / "lines").write_text("".join(f"{n}\n" for n in range(200)))
    keyed = ("add", "--each", "--from", "lines", "--key", "auto", "--", "echo", "{}")

    assert seen(batchq, *keyed) == "200 jobs added: 1-200"
    (batchq.folder / "lines").write_text("3\n7\n8\nnew\n")
    assert seen(batchq, *keyed) == "added job 201; 3 were known by key (4,8-9)"
    assert seen(batchq, *keyed) == "nothing added; 4 were known by key (4,8-9,201)"
    assert seen(batchq, "add", "-q", "--", "true") == ""
    assert batchq(*keyed).out == "4\n8\n9\n201\n"


def test_an_add_in_a_folder_below_names_the_store_above(batchq: Shell) -> None:
    below = batchq.folder / "below"
    below.mkdir()
    store = batchq.db()
    batchq.folder = below

    assert seen(batchq, "add", "--", "true", HOME="/nowhere") == f"added job 1 to {store}"


def test_a_list_without_jobs_names_the_store_and_another_one_that_has_some(home: Shell) -> None:
    home("add", "-q", "--", "true")
    told = home("init").err
    own = home.folder.parent / OWN

    assert told == (
        f"batchq: made the store {home.db()}\nbatchq: 1 job is in {own}, which was used here until now; "
        f"'batchq --db {own} list' shows them\n"
    )
    empty = home("list")
    assert (empty.out, empty.err) == (
        "",
        f"batchq: list: no jobs in {home.db()}\nbatchq: list: 1 job in {own}: 'batchq --db {own} list'\n",
    )
    assert home("list", "--failed").err == f"batchq: list: no such jobs in {home.db()}\n"
    other = str(home.folder / "other.db")
    home("--db", other, "add", "-q", "--", "true")
    assert f"list: 1 job in {other}" in home("--db", "batchq.db", "list", env={"BATCHQ_DB": other}).err


def test_an_init_where_nothing_was_used_before_says_only_what_it_made(home: Shell) -> None:
    assert home("init").err == f"batchq: made the store {home.db()}\n"
    assert home("init", "elsewhere.db").err.count("\n") == 1


@pytest.mark.parametrize("words", [("add", "--", "true"), ("init",)])
def test_a_store_makes_no_folders_but_its_own_in_the_home_folder(home: Shell, words: tuple[str, ...]) -> None:
    done = home("--db", "no/such/x.db", *words, code=73)

    folder = home.folder / "no/such"
    assert done.err == (
        f"batchq: cannot create the store {folder}/x.db: there is no folder {folder}; make it first, or correct the path\n"
    )
    assert not (home.folder / "no").exists()
    assert home("add", "--", "true", env={"BATCHQ_DB": "no/such/x.db"}, code=73).out == ""
    home("add", "--", "true")
    assert (home.folder.parent / OWN).exists()


def test_a_store_in_memory_is_refused_in_a_sentence(home: Shell) -> None:
    done = home("--db", ":memory:", "add", "--", "true", code=2)

    assert (
        done.err == "batchq: a store is a file, and ':memory:' is not one; for a file of that name write ./:memory:\n"
    )
    assert list(home.folder.iterdir()) == []
    home("--db", "./:memory:", "add", "--", "true")
