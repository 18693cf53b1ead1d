"""The lines that a newcomer typed and stumbled over, typed again, in an empty home. Each test has the number of one
stumble; what came of it in full is tested where the command is."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from conftest import Shell
from terminal import CTRL_C, on_terminal

import batchq as library
from batchq.cli import commands


@pytest.fixture(name="home")
def _home(folder: Path) -> Shell:
    """batchq in a folder below an empty home, without a store."""
    work = folder / "work"
    work.mkdir()
    shell = Shell(work)
    shell.env |= {"HOME": str(folder), "PATH": f"{work}:{shell.env['PATH']}"}
    return shell


def script(shell: Shell, name: str, text: str) -> Path:
    path = shell.folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_p1_the_store_is_named(home: Shell) -> None:
    """P1: jobs went into a store in the home folder, and init made them vanish."""
    added = home("add", "--", "echo", "hi").err
    assert ".local/share/batchq/batchq.db" in added
    with on_terminal(home, "add", "--", "echo", "hi", columns=200) as seen:
        assert seen.wait() == 0
        assert "added job 2" in seen.screen() and ".local/share/batchq/batchq.db" in seen.screen()
    made = home("init").err
    assert "2 jobs are in " in made and ".local/share/batchq/batchq.db list' shows" in made
    assert ".local/share/batchq/batchq.db list'" in home("list").err


def test_p1_a_mistyped_store_makes_no_folders(home: Shell) -> None:
    """P1: `--db /nonexist/x.db` made the folder, and `:memory:` a file of that name."""
    assert "there is no folder" in home("--db", f"{home.folder}/nonexist/x.db", "add", "--", "true", code=73).err
    assert "':memory:'" in home("--db", ":memory:", "add", "--", "true", code=2).err
    assert [*home.folder.iterdir()] == []


def test_p2_the_first_thing_everybody_types_works(home: Shell) -> None:
    """P2: `batchq add echo hello` and its like were refused, with wrong advice."""
    script(home, "file.sh", "#!/bin/sh\necho from a script\n")
    (home.folder / "script.py").write_text("print('from Python')\n")
    (home.folder / "cmds.txt").write_text("echo from a file\n")
    home("add", "echo", "hello")
    home("add", sys.executable, "script.py")
    home("add", "./file.sh")
    home("run", "file.sh")
    home("run", "--format", "lines", "cmds.txt")
    home("run", "--", "echo", "hi")
    home("run")

    told = home("logs", "--all", "--stdout").out
    assert sorted(told.splitlines()) == sorted(
        ["hello", "from Python", "from a script", "from a script", "from a file", "hi"]
    )


def test_p2_what_cannot_be_meant_is_refused_with_the_line_that_works(home: Shell) -> None:
    (home.folder / "script.py").write_text("print()\n")
    assert "chmod +x script.py" in home("add", "script.py", code=2).err
    assert "batchq add -c 'echo hello'" in home("add", "echo hello", code=2).err
    assert "-c 'echo hi'" in home("add", "-c", "echo", "hi", code=2).err
    home("add", "--", "echo a && echo b")
    assert "(a line for a shell is added with -c)" in home("run", code=1).err


def test_p3_one_line_adds_a_job_runs_it_and_answers_for_it(home: Shell) -> None:
    """P3: `batchq run -- CMD` did not exist; it replaces chronic, flock, timeout and a loop of retries."""
    backup = script(home, "backup.sh", "#!/bin/sh\necho saving\nexit $(cat code)\n")
    (home.folder / "code").write_text("3")
    line = ["run", "--name", "backup", "--timeout", "1h", "--max-attempts", "2", "--backoff", "1ms", "--", str(backup)]

    failed = home(*line, code=1)
    assert (failed.out, "exit code 3" in failed.err) == ("", True)
    assert home(line[0], "--pass-exit-code", *line[1:], code=3).code == 3
    (home.folder / "code").write_text("0")
    silent = home(*line)
    assert (silent.out, silent.err) == ("", "")
    assert [line.split() for line in home("list", "--columns", "state,name,tries").out.splitlines()[1:]] == [
        ["failed", "backup", "2"], ["failed", "backup", "2"], ["succeeded", "backup", "1"],
    ]  # fmt: skip


def test_p4_a_terminal_gets_a_last_line_and_words_for_an_interrupt(home: Shell) -> None:
    """P4: on a terminal success left no trace, and Ctrl-C got no answer."""
    home("init")
    home("add", "-q", "--", "true")
    with on_terminal(home, "run") as seen:
        assert seen.wait() == 0
        assert re.search(r"1 job .*succeeded", seen.screen())
    home("add", "-q", "-c", ": > begun; exec sleep 600")
    with on_terminal(home, "run", columns=100) as seen:
        seen.wait_until(lambda _: (home.folder / "begun").exists(), "the start of the job")
        seen.type(CTRL_C)
        seen.wait_for("Ctrl-C: no more jobs start; waiting", "Ctrl-C again stops it now")
        seen.signal(signal.SIGQUIT)  # a second Ctrl-C within half a second counts once
        assert seen.wait() != 0


def test_p5_many_failures_of_few_kinds_are_few_lines(home: Shell) -> None:
    """P5: the digest had the first ten of 300 failures, one kind not at all."""
    kinds = (
        'echo "ValueError: invalid literal {n}" >&2; exit 1', "kill -9 $$", "cat /data/in/{n}",
        'echo "row {n}: connection refused" >&2; exit 1', "exec sleep 600",
    )  # fmt: skip
    jobs = [
        {"command": kind.replace("{n}", str(number))} | ({"timeout": "300ms"} if "sleep" in kind else {})
        for number in range(12)
        for kind in kinds
    ]
    (home.folder / "cmds.jsonl").write_text("".join(f"{json.dumps(job)}\n" for job in jobs))
    home("init")
    told = home("run", "-j", "8", "cmds.jsonl", code=1).err

    assert told.startswith("batchq: 60 jobs failed for 5 reasons\n")
    assert len(re.findall("^12 jobs: ", told, re.M)) == told.count("    again: ") == 5
    assert len(told.splitlines()) <= 60


def test_p6_a_job_that_can_never_run_is_named(home: Shell) -> None:
    """P6: `--slots 8` with `-j 2` was silent, every night."""
    home("init")
    home("add", "--slots", "8", "--", "true")

    done = home("run", "-j", "2")
    assert (done.code, done.out) == (0, "")
    assert "job 1 needs more slots than this run had (-j 2)" in done.err and done.err.count("\n") == 1


def test_p8_the_line_of_a_digest_can_be_pasted_anywhere(home: Shell) -> None:
    """P8: a mail from cron named no host and no store, and its line worked in one folder only."""
    home("init")
    home("add", "--", "false")
    told = home("run", code=1).err

    assert f"store {home.folder}/batchq.db" in told and os.uname().nodename in told
    (line,) = re.findall(r"^Run it again: +batchq (.*)$", told, re.M)
    elsewhere = Shell(home.folder.parent)
    assert "1 job queued again" in elsewhere(*line.split()).err


def test_p9_output_is_printed_in_the_order_in_which_it_came(home: Shell) -> None:
    """P9: `echo a; echo b >&2; echo c` was printed as a c b; and nobody knew which job a line was of."""
    home("init")
    home("add", "-q", "--output-mode", "merged", "-c", "echo a; echo b >&2; echo c; echo d >&2")
    home("run", "-q")
    home("run", "-q", "--name", "two", "--", "echo", "x")

    assert home("logs", "1").out == "a\nb\nc\nd\n"
    assert re.search(r"^\[2 two\] x$", home("logs", "--all", "--prefix").out, re.M)
    assert home("logs", "1", "-n", "1").out == "d\n"


def test_p10_a_label_to_find_it_by_finds_it(home: Shell) -> None:
    """P10: no command selected by tag, and show printed them as raw JSON."""
    home("init")
    home("add", "--tag", "x y", "--tag", "z", "--", "true")
    home("add", "--", "true")

    assert home("list", "--tag", "x y", "--columns", "id").out.split() == ["ID", "1"]
    assert home("list", "--tag", "x y", "--tag", "z", "--json").out.count('"id"') == 1
    assert "1 job held" in home("hold", "--tag", "z").err
    assert "\n  tags      x y, z\n" in home("show", "1").out
    assert "to find the job by, with list --tag" in home("add", "--help", env={"COLUMNS": "100"}).out


def test_p11_help_fits_80_columns(home: Shell) -> None:
    """P11: summaries were cut at 80 columns, examples broke, and there was no help command, version or manual."""
    for name in ("", "add", "run", "list", "report", "logs", "top"):
        text = home(*name.split(), "--help", env={"COLUMNS": "80"}).out
        assert max(map(len, text.splitlines())) <= 80, name
        assert not re.search(r"\w\.\.\.$", text, re.M)
    assert home("help", "queue", "set").out == home("queue", "set", "--help").out
    assert home("-V").out == home("version").out
    assert home("help", "--man").out.startswith(".TH BATCHQ 1")
    assert "batchq" in home("completion", "bash").out


WORDS = {
    "status": "report", "ls": "list", "ps": "list", "jobs": "list", "stats": "report", "kill": "cancel", "rm": "remove",
    "submit": "add", "exec": "run", "tail": "logs", "edit": "update", "set": "update", "delete": "remove", "enqueue": "add",
}  # fmt: skip


def test_p12_words_of_other_tools_lead_to_the_right_one(home: Shell) -> None:
    """P12: `delete` led to `release`, `--retries` to `--leftovers`, the column `cmd` to `cwd`, most words to nothing."""
    for word, meant in WORDS.items():
        with pytest.raises(library.errors.UsageError, match=f"no command '{word}' .did you mean '{meant}'"):
            commands.read([word], None)
    assert "did you mean '--max-attempts'?" in home("add", "--retries", "3", "--", "true", code=2).err
    assert "did you mean '--verbose'?" in home("run", "--progress", code=2).err
    (home.folder / "jobs.csv").write_text("cmd\ntrue\n")
    (home.folder / "jobs.toml").write_text('[[job]]\ncommand = "true"\nretries = 3\n')
    assert "did you mean 'command'?" in home("add", "jobs.csv", code=65).err
    assert "did you mean 'max_attempts'?" in home("add", "jobs.toml", code=65).err


def test_p13_a_list_says_when_and_why_and_nothing_is_cropped(home: Shell) -> None:
    """P13: COMMAND held the error, no column said when, times had no zone, and `list | cat` cropped."""
    home("init")
    home("add", "--", "true")
    home("add", "-c", "exit 3")
    far = home.folder / ("far" * 40)
    far.mkdir()
    home("add", "--cwd", str(far), "--", "true")
    far.rmdir()
    home("run", code=1)
    told = home("list", env={"TZ": "JST-9"}).out

    assert told.splitlines()[0].split()[-2:] == ["REASON", "COMMAND"]
    assert str(far) in told and told.count(" +0900 ") == 3
    assert home("list", "--running").out == ""
    assert home("list", "--sort", "-id", "--columns", "id").out.split() == ["ID", "3", "2", "1"]
    assert home("show", "last").out.startswith("job 3: failed")
    assert "failed" in home("explain", "last").out
    home("add", "--after", "last", "--", "true")
    home("add", "--after", "1,1", "--", "true")
    home("add", "--after-any", "1-3", "--", "true")
    assert "2 failed" in home("show", "6").out


def test_p14_times_and_durations_are_read_as_people_write_them(home: Shell) -> None:
    """P14: 1w, 10min, 1hour, 1h30m, 1:00:00, 09:00, tomorrow and yesterday were refused."""
    home("init")
    for text, shown in (("1w", "7 d 00 h"), ("10min", "10 m 00 s"), ("1hour", "1 h 00 m"), ("1h30m", "1 h 30 m"),
                        ("1:00:00", "1 h 00 m")):  # fmt: skip
        home("add", "-q", "--timeout", text, "--hold", "--", "true")
        assert f"timeout {shown}" in home("show", "last").out
    for text in ("09:00", "tomorrow"):
        home("add", "-q", "--run-at", text, "--", "true")
        assert "state" in home("list", "last", "--columns", "state", "--json").out
    for text in ("yesterday", "1w", "10min", "-1h", "2026-01-01"):
        assert home("list", "--since", text, "--columns", "id").out.split()[1:] == ["1", "2", "3", "4", "5", "6", "7"]


def test_p15_the_command_of_a_failure_can_be_pasted(home: Shell) -> None:
    """P15: `$ echo start $1; test $1 != 5 -- 5` did something else when it was pasted."""
    home("init")
    home("add", "-c", 'echo start "$1"; exit 3', "--", "it's 5")
    told = home("run", code=1).err

    (line,) = re.findall(r"^    \$ (.*)$", told, re.M)
    assert f"\n  $ {line}\n" in home("report").out
    pasted = home("run", "--pass-exit-code", "-c", line, code=3)
    assert pasted.code == 3 and home("logs", "last").out == home("logs", "1").out == "start it's 5\n"


def test_p16_a_stored_job_can_be_changed(home: Shell) -> None:
    """P16: no command changed the priority or the timeout of a stored job."""
    home("init")
    home("add", "--name", "load-a", "--", "true")
    home("add", "--name", "load-b", "--", "true")

    done = home("update", "load-*", "--priority", "9", "--timeout", "2h", "--set-queue", "net")
    assert done.err == "batchq: update: 2 jobs updated\n"
    for job in ("1", "2"):
        told = home("show", job).out
        assert "queue     net, priority 9" in told and "timeout 2 h 00 m" in told


def test_p18_a_function_that_is_not_there_is_noticed_by_the_add(home: Shell) -> None:
    """P18: `--call math:sqrt` and `--call work:nope` failed at run time only."""
    home("init")
    assert "written in C" in home("add", "--call", "math:sqrt", code=65).err
    assert "no module 'work'" in home("add", "--call", "work:nope").err
    assert callable(library.map) and {"retry", "cancel", "wait", "logs", "report"} <= {*dir(library.Store)}


def test_p19_small_things(home: Shell) -> None:
    """P19: doctor frightened on a sound store, emoji were refused as a name, `-j +1` was one slot."""
    home("init")
    assert "it cannot happen here" in (told := home("doctor").out) or "bug" not in told
    home("add", "--name", "🎉party👩‍👩‍👧‍👦", "--", "true")
    assert "🎉party" in home("list").out
    assert "-j '+1' is not a number of jobs" in home("run", "-j", "+1", code=2).err
    assert home("run").code == 0
