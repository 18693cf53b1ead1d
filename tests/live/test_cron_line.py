"""One line in a crontab in place of chronic, flock, timeout and a loop of retries, in the surroundings that people have."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import survivors
from conftest import Shell, Started, eventually
from terminal import on_terminal

LINE = "run --name backup --key backup --unique active --timeout 1h --max-attempts 3 --backoff 1ms --grace 0s"
BACKUP = """#!/bin/sh
echo started $$ >> started
echo some output
test "$(cat)" = "" || exit 9  # stdin is empty
[ -e gate ] && until [ -e open ]; do sleep 0.01; done
exit $(cat code 2>/dev/null || echo 0)
"""


class Cron:
    """A machine with a script, ``batchq`` somewhere below a home folder, and nothing of either in the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.work = folder / "work"
        self.work.mkdir()
        self.batchq = self.home / "bin" / "batchq"
        self.batchq.parent.mkdir(parents=True)
        paths = [path for path in sys.path if path]
        self.batchq.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path[:0] = {paths!r}\nfrom batchq.__main__ import main\nmain()\n"
        )
        self.script = self.work / "backup.sh"
        self.script.write_text(BACKUP)
        for program in (self.batchq, self.script):
            program.chmod(0o755)
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "SHELL": "/bin/sh", "LOGNAME": "ann"}

    def line(self, options: str = "", options_of_run: str = LINE) -> str:
        return f"{self.batchq} {options_of_run} --cwd {self.work} {options} -- {self.script}"

    def run(self, line: str, *, env: dict[str, str] | None = None, shell: str = "sh") -> tuple[int, str]:
        """The exit code of a line and the mail: what cron gets."""
        done = subprocess.run(
            [shell, "-c", line],
            cwd="/", env=self.env if env is None else env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.decode()

    def start(self, line: str) -> Started:
        return Started(
            ["sh", "-c", f"exec {line}"],
            cwd="/", env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def hold(self) -> None:
        """Let the script wait until ``release``."""
        (self.work / "gate").touch()

    def release(self) -> None:
        (self.work / "open").touch()

    def pids(self) -> list[int]:
        """The processes of all starts of the script."""
        started = self.work / "started"
        return [int(line.split()[1]) for line in started.read_text().splitlines()] if started.exists() else []

    def db(self) -> Path:
        return self.home / ".local/share/batchq/batchq.db"


@pytest.fixture
def cron(folder: Path) -> Cron:
    cron = Cron(folder)
    cron.run(f"{cron.batchq} --db {cron.db()} add -q --hold -- true")  # so that the store is there, and silent
    return cron


@pytest.mark.parametrize(
    "closed",
    ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-", "</etc/passwd"],
    ids=["as cron", "0", "1", "2", "all", "a file"],
)
def test_all_is_well_and_silent_whatever_is_closed(cron: Cron, closed: str) -> None:
    assert cron.run(f"{cron.line()} {closed}") == (0, "")
    assert len(cron.pids()) == 1


def test_it_needs_no_variable_at_all(cron: Cron) -> None:
    assert cron.run(cron.line(f"--db {cron.db()}"), env={}) == (0, "")
    assert cron.run(cron.line(), env={"XDG_DATA_HOME": str(cron.home / ".local/share")}) == (0, "")
    assert len(cron.pids()) == 2


def test_the_first_line_of_all_says_once_which_store_it_made(folder: Path) -> None:
    cron = Cron(folder)

    assert cron.run(cron.line()) == (0, f"batchq: made the store {cron.db()}\n")
    assert cron.run(cron.line()) == (0, "")


def test_three_failures_are_one_mail_with_the_output_and_fewer_are_none(cron: Cron) -> None:
    (cron.work / "code").write_text("5")

    code, mail = cron.run(cron.line())
    assert (code, len(cron.pids())) == (1, 3)
    assert "(backup), attempt 3 of 3: exit code 5" in mail and "      some output\n" in mail
    assert cron.run(cron.line("--pass-exit-code -q")) == (5, "")
    cron.script.write_text(f"{BACKUP.partition('exit $(')[0]}test $BATCHQ_ATTEMPT = 3\n")
    assert cron.run(cron.line()) == (0, "")


def test_a_pipeline_with_pipefail_has_the_code_and_the_output(cron: Cron) -> None:
    (cron.work / "code").write_text("5")
    line = cron.line("-q --max-attempts 1 --tee --pass-exit-code")

    assert cron.run(f"set -o pipefail; {line} | tee {cron.work}/log", shell="bash") == (5, "some output\n")
    assert (cron.work / "log").read_text() == "some output\n"
    assert cron.run(f"set -o pipefail; {line} | head -c 4", shell="bash") == (5, "some")


def overlapping(cron: Cron, line: str) -> tuple[int, str, int]:
    """The exit code and the mail of a second line next to a first, and how many times the script ran by then."""
    cron.hold()
    with cron.start(line) as first:
        eventually(cron.pids)
        if line.count("--key"):
            second = cron.run(line)
        else:
            with cron.start(line) as other:
                eventually(lambda: len(cron.pids()) == 2)
                cron.release()
                second = (other.wait(timeout=60), "")
        ran = len(cron.pids())
        cron.release()
        assert first.wait(timeout=60) == 0
    return *second, ran


def test_of_two_at_once_only_one_runs(cron: Cron) -> None:
    code, mail, ran = overlapping(cron, cron.line())

    assert (code, ran) == (75, 1)
    assert mail.endswith("works on job 2, which has this key; nothing was started\n") and mail.count("\n") == 1
    assert cron.run(cron.line()) == (0, ""), "and a minute later it runs again"
    assert len(cron.pids()) == 2


def test_overlap_is_silent_if_it_is_to_be(cron: Cron) -> None:
    assert overlapping(cron, cron.line("--if-running skip")) == (0, "", 1)


def test_without_a_key_two_at_once_both_run(cron: Cron) -> None:
    """The check above would notice."""
    assert overlapping(cron, cron.line(options_of_run="run"))[2] == 2


def test_killed_with_9_it_takes_its_command_along_and_runs_a_minute_later(cron: Cron) -> None:
    cron.hold()
    with cron.start(cron.line()) as first:
        eventually(cron.pids)
        first.kill()
    eventually(lambda: not survivors.living(cron.folder))  # neither the command nor what has it in hand
    cron.release()

    assert cron.run(cron.line()) == (0, "")
    assert len(cron.pids()) == 2
    assert "succeeded  " in cron.run(f"{cron.batchq} list 2")[1], "the same job, whose first attempt crashed"


def test_term_ends_the_command_and_is_143(cron: Cron) -> None:
    cron.hold()
    with cron.start(cron.line()) as first:
        eventually(cron.pids)
        first.send_signal(signal.SIGTERM)
        assert first.wait(timeout=60) == 143
    assert not alive(cron.pids()[0])
    cron.release()
    assert cron.run(cron.line()) == (0, "")
    assert len(cron.pids()) == 2


def test_a_command_that_hangs_is_killed_and_reported(cron: Cron) -> None:
    cron.hold()

    code, mail = cron.run(cron.line("--timeout 200ms --max-attempts 1"))
    assert code == 1 and "(backup), attempt 1 of 1: timed out after 200 ms" in mail
    assert survivors.living(cron.folder) == []
    assert cron.run(cron.line("--timeout 200ms --max-attempts 1 --pass-exit-code -q")) == (124, "")


def test_a_command_that_asks_gets_no_answer_and_does_not_hang(batchq: Shell) -> None:
    script = "read name; echo $?; (read name </dev/tty) 2>/dev/null || echo no terminal"

    with on_terminal(batchq, "run", "-c", script) as terminal:
        assert terminal.wait() == 0
        assert terminal.screen().split("\n")[:2] == ["1", "no terminal"]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- the crontabs of the documentation ------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
FIELDS = 5  #: of the time of a line


def crontab(text: str) -> tuple[dict[str, str], list[str]]:
    """The variables and the commands of the lines of a crontab in a text: a % ends a command, \\% is one (crontab(5))."""
    variables, commands = {}, []
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.isupper() and name.isalpha():
            variables[name] = value
        elif len(parts := line.split(None, FIELDS)) > FIELDS and all(
            set(one) <= set("0123456789*/,-") for one in parts[:5]
        ):
            commands.append(parts[FIELDS].replace("\\%", "%"))
    return variables, commands


PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if crontab(page.read_text())[1]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_crontabs_of_the_documentation_work_in_the_environment_of_cron(cron: Cron, page: Path) -> None:
    """All that is different here: where the folders are, and that the scripts and files of the lines are harmless."""
    (cron.home / ".local/bin").mkdir(parents=True)
    (cron.home / ".local/bin/batchq").symlink_to(cron.batchq)
    for text in page.read_text().split("```"):
        variables, commands = crontab(text)
        env = cron.env | {name: elsewhere(cron, value) for name, value in variables.items()}
        for command in commands:
            here = elsewhere(cron, command)
            for word in shlex.split(here):
                prepare(cron, word)
            code, mail = cron.run(f"cd {cron.home}; {here}", env=env)
            assert code == 0, f"{command}\n{mail}"


@pytest.mark.parametrize("line", ["batchq run -- true", "batchq run night.toml"])
def test_a_line_that_relies_on_the_path_of_a_login_fails(cron: Cron, line: str) -> None:
    """The check above would notice."""
    assert cron.run(line)[0] == 127


def elsewhere(cron: Cron, text: str) -> str:
    for folder in ("/home/ann", "/srv", "/var/lib/node_exporter"):
        text = text.replace(folder, str(cron.home))
    return text


def prepare(cron: Cron, word: str) -> None:
    """Make what a word of a command names, below the home folder."""
    path = Path(word)
    if path.suffix == ".toml" and not path.is_absolute():
        for folder in (cron.home, cron.home / "night", cron.home / "etl"):
            folder.mkdir(exist_ok=True)
            (folder / path).write_text('[[job]]\ncommand = "true"\nkey = "auto"\n')
    elif path.suffix == ".sh":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    elif path.suffix == ".db":
        cron.run(f"{cron.batchq} init {path}")
