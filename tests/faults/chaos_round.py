"""One round of chaos: runs that share a store, users who add to it and change it, and blows that chance deals to both.

When it is over nothing may be left but what the judges (``chaos_judges``) can see.
"""

import json
import random
import subprocess
import time
from pathlib import Path

import chaos_evidence
import chaos_jobs
import chaos_witness
from chaos_evidence import OVER, Ended, Evidence
from conftest import Shell
from fleet import Fleet, Member

ENOUGH = 40  #: jobs that are not over, above which nobody adds more
LAST_RUNS = 6  #: that must bring everything to an end


class Round:
    """A store under attack: who is there, and what has been done to it."""

    def __init__(self, shell: Shell, fleet: Fleet, chance: random.Random, mutant: str | None = None) -> None:
        self.shell, self.fleet, self.chance, self.mutant = shell, fleet, chance, mutant
        self.planned: dict[str, chaos_jobs.Job] = {}
        self.acknowledged: set[int] = set()
        self.hurt: set[int] = set()
        self.cancelled: set[int] = set()
        self.retried: set[int] = set()
        self.commands: list[Ended] = []
        self.kills: dict[str, int] = {}
        self.commands_of: dict[Member, tuple[str, ...]] = {}
        self.began = float(Path("/proc/uptime").read_text().split()[0])
        self._prepare()

    def _prepare(self) -> None:
        for name in ("held", "places"):
            (self.shell.folder / name).mkdir()
        (self.shell.folder / "witness.sh").write_text(chaos_witness.SCRIPT)
        for queue, limit in chaos_jobs.LIMITS.items():
            self.command("queue", "set", queue, "--limit", str(limit))
        self.command("queue", "set", "slow", "--rate", f"{chaos_jobs.RATE}/s")
        began = time.monotonic()
        self.add()
        self.usual = time.monotonic() - began  #: seconds that a command takes here

    # --- what users do ------------------------------------------------------------------------------------------------

    def command(self, *words: str) -> Ended:
        """A command that nobody disturbs."""
        done = self.shell(*words, code=None)
        self.commands.append(ended := Ended(words, done.code, done.out + done.err))
        return ended

    def add(self, killed_after: float | None = None) -> bool:
        """Add some jobs, and remember those whose ids were printed; whether the add was killed."""
        jobs = chaos_jobs.draw(self.chance, len(self.planned), self.chance.randint(1, 25))
        self.planned.update((job.name, job) for job in jobs)
        lines = "".join(job.line + "\n" for job in jobs)
        ended, is_killed = self.killed_command(killed_after, "add", "--format", "jsonl", "-", stdin=lines)
        self.acknowledged |= {int(line) for line in ended.told.splitlines() if line.isdigit()}
        return is_killed

    def killed_command(self, after: float | None, *words: str, stdin: str = "") -> tuple[Ended, bool]:
        """A command that is killed after so many seconds, if it is not over by then."""
        with subprocess.Popen(
            self.shell.argv(*words), cwd=self.shell.folder, env=self.shell.env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            is_killed = False
            try:
                told, _ = process.communicate(stdin, timeout=after)
            except subprocess.TimeoutExpired:
                process.kill()
                is_killed = True
                told, _ = process.communicate()
        self.commands.append(ended := Ended(words, process.returncode, told))
        return ended, is_killed

    def start_run(self) -> None:
        words = ["-q", "-j", str(self.chance.randint(1, 3)), "--grace", self.chance.choice(["0s", "100ms", "2s"])]
        words += self.chance.choice([[], [], [], ["--max-jobs", "10"], ["--max-time", "1s"], ["--if-running", "skip"]])
        if words[1] != "1" and self.chance.random() < 0.1:
            words += ["--halt", "soon,fail=3"]
        member = self.fleet.start(*words, mutant=self.mutant)
        self.commands_of[member] = ("run", *words)

    # --- what is there ------------------------------------------------------------------------------------------------

    def states(self) -> dict[int, str]:
        return dict(chaos_evidence.read(self.shell.db(), "SELECT id, state FROM jobs"))

    def count(self, blow: str) -> None:
        self.kills[blow] = self.kills.get(blow, 0) + 1

    # --- how it goes on, and ends --------------------------------------------------------------------------------------

    def keep_going(self) -> None:
        """See to it that one to three runs are at work, and have something to do."""
        if sum(state not in OVER and state != "held" for state in self.states().values()) < ENOUGH:
            self.add()
        while len(self.fleet.living()) < self.chance.randint(1, 3):
            self.start_run()

    def end(self) -> Evidence:
        """Let everything come to an end, undisturbed, and take down what is there then."""
        self.fleet.wait_for_all(120)
        self.command("queue", "resume", "moody")
        self._run_to_the_end()
        before_release = len(chaos_evidence.lines(self.shell.folder))
        self.command("release", "--all")
        self._run_to_the_end()
        told = (self.shell.folder / "told").read_text()
        runs = [Ended(words, member.process.returncode, "") for member, words in self.commands_of.items()]
        runs.append(Ended(("run", "-q", "…"), 0, told))  # what all of them said
        states = self.states()
        return Evidence(
            lines=chaos_evidence.lines(self.shell.folder),
            before_release=before_release,
            states=states,
            names=dict(chaos_evidence.read(self.shell.db(), "SELECT id, name FROM jobs")),
            attempts=chaos_evidence.attempts(self.shell.db()),
            planned=self.planned,
            acknowledged=self.acknowledged,
            hurt=self.hurt,
            cancelled=self.cancelled,
            retried=self.retried,
            stuck={job: state for job, state in states.items() if state not in OVER},
            commands=self.commands + runs,
            processes=chaos_evidence.processes(self.shell.folder),
            reported=json.loads(self.command("report", "--all", "--json").told),
            listed=self._listed(),
            doctor=self.command("doctor"),
            began=self.began,
            kills=sum(self.kills.values()),
        )

    def _listed(self) -> dict[int, str]:
        told = json.loads(self.command("list", "--all", "--limit", "0", "--json").told)
        return {job["id"]: job["state"] for job in told["jobs"]}

    def _run_to_the_end(self) -> None:
        for _ in range(LAST_RUNS):
            self.command("run", "-q", "-j", "4")
            if all(state in OVER or state == "held" for state in self.states().values()):
                break
