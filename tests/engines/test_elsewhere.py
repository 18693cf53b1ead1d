"""Jobs that run elsewhere: what happens to them when a place, its carrier, the run or the line between them dies."""

import json
import os
import shlex
import signal
from contextlib import ExitStack

import pytest
from conftest import eventually
from elsewhere import add_waiting, assert_none_overlapped, let_end, parents_of, process_of, starts
from places import SITE, carrier_to, carriers
from scene import Scene, children_of, end, ended, signal_one, status_of
from terminal import on_terminal

from batchq.jobs.attempt import MACHINE_BUSY

pytest_plugins = ("scene", "places", "openports")


def test_jobs_run_at_all_places_with_output_and_results(afar: Scene) -> None:
    (afar.folder / "work.py").write_text("def double(n):\n    print('doubling')\n    return 2 * n\n")
    afar.add(
        *[{"command": f"echo {n}; echo oops >&2; exit {n % 2}"} for n in range(20)],
        *[{"call": "work:double", "args": {"n": n}} for n in range(20)],
    )
    afar.run("-q", "-j", "2", "--executor", "ssh:h1,h2", code=1)

    assert afar.attempts() == [("succeeded",), ("failed",)] * 10 + [("succeeded",)] * 20
    assert [afar.output(job) for job in (1, 20, 21)] == [b"0\n", b"19\n", b"doubling\n"]
    assert afar.output(20, "stderr") == b"oops\n"
    results = afar.rows("SELECT result FROM attempts WHERE job > 20 ORDER BY job")
    assert results == [(str(2 * n),) for n in range(20)]
    assert len(carriers(afar)) == 2
    assert afar.rows("SELECT executor, lease FROM runners") == [("ssh:h1,h2", 60_000)]


@pytest.mark.parametrize("victims", ["site", "guardian", "both"])
def test_jobs_of_a_killed_place_crash_and_run_again(afar: Scene, victims: str) -> None:
    add_waiting(afar, 3)
    run = afar.start("-q", "-j", "2", "--executor", "ssh:h1,h2")
    eventually(lambda: len(starts(afar)) == 3)
    guardian = carrier_to(afar, "h1")
    (inner,) = children_of(guardian)
    end(*{"site": [inner], "guardian": [guardian], "both": [inner, guardian]}[victims])
    eventually(lambda: len(carriers(afar)) == 3)
    eventually(lambda: afar.rows("SELECT 1 FROM attempts WHERE outcome IS NOT NULL"))
    let_end(afar)

    assert ended(run) == 0
    assert set(afar.jobs()) == {("succeeded",)}
    again = afar.rows("SELECT job FROM attempts WHERE outcome IN ('crashed', 'interrupted')")
    assert 1 <= len(again) <= 2
    assert_none_overlapped(afar)
    assert "lost h1" in afar.said()


@pytest.mark.parametrize("victims", ["runner", "guardian", "both"])
def test_nothing_is_left_at_places_of_a_killed_run_and_the_next_run_goes_on(afar: Scene, victims: str) -> None:
    add_waiting(afar, 4)
    run = afar.start("-q", "-j", "2", "--executor", "ssh:h1,h2")
    eventually(lambda: len(starts(afar)) == 4)
    end(*{"runner": [afar.runner()], "guardian": [run.pid], "both": [afar.runner(), run.pid]}[victims])
    ended(run)
    next_run = afar.start("-q", "-j", "2", "--executor", "ssh:h1,h2")
    eventually(lambda: len(starts(afar)) == 8)
    let_end(afar)

    assert ended(next_run) == 0
    assert set(afar.jobs()) == {("succeeded",)}
    assert_none_overlapped(afar)


def test_a_local_run_ends_what_a_dead_run_left_at_its_places(afar: Scene) -> None:
    add_waiting(afar, 2)
    run = afar.start("-q", "-j", "2", "--executor", "ssh:h1")
    eventually(lambda: len(starts(afar)) == 2)
    end(afar.runner(), run.pid)
    ended(run)
    let_end(afar)
    afar.run("-q")

    assert set(afar.jobs()) == {("succeeded",)}
    assert afar.attempts() == [("crashed",), ("succeeded",)] * 2
    assert_none_overlapped(afar)


def test_a_run_waits_for_the_lease_if_the_places_of_a_dead_run_cannot_be_reached(afar: Scene) -> None:
    add_waiting(afar, 1)
    run = afar.start("-q", "--executor", "ssh:h1", "--lease", "3s")
    eventually(lambda: len(starts(afar)) == 1)
    end(afar.runner(), run.pid)
    ended(run)
    let_end(afar)
    afar.shell.env["BATCHQ_SSH"] = "false"
    afar.run("-q")

    waited = afar.rows(
        "SELECT a.finished_at - r.started_at >= 3000 FROM attempts AS a, runners AS r WHERE a.number = 1 AND r.id = 2"
    )
    assert waited == [(1,)]
    assert afar.attempts() == [("crashed",), ("succeeded",)]


def test_a_stop_reaches_the_jobs_elsewhere(afar: Scene) -> None:
    add_waiting(afar, 2)
    run = afar.start("-q", "-j", "2", "--grace", "0", "--executor", "ssh:h1")
    eventually(lambda: len(starts(afar)) == 2)
    os.kill(run.pid, signal.SIGTERM)

    assert ended(run) == 143
    assert afar.attempts() == [("interrupted",)] * 2
    assert afar.jobs() == [("queued",)] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_jobs_at_a_place_that_hangs_to_the_next_run(afar: Scene, number: int) -> None:
    """With a lease of ten minutes: neither the stop nor the next run, which reaches the place, waits for it."""
    add_waiting(afar, 4)
    run = afar.start("-q", "-j", "2", "--grace", "1s", "--executor", "ssh:h1,h2", "--lease", "10m")
    eventually(lambda: len(starts(afar)) == 4)
    guardian = carrier_to(afar, "h1")
    for pid in (guardian, *children_of(guardian)):
        signal_one(pid, signal.SIGSTOP)
    os.kill(run.pid, number)

    assert ended(run) == 128 + number
    assert "h1 does not confirm that 2 jobs ended" in afar.said()
    assert sorted(afar.jobs()) == [("queued",)] * 2 + [("running",)] * 2
    let_end(afar)
    afar.run("-q", "-j", "2", "--executor", "ssh:h1,h2")
    assert afar.attempts() == [("interrupted",), ("succeeded",)] * 4
    assert_none_overlapped(afar)


@pytest.mark.parametrize("form", ["json", "terminal"])
def test_jobs_that_a_run_without_a_signal_leaves_are_told_at_its_end(afar: Scene, form: str) -> None:
    add_waiting(afar, 2)
    words = ("-j", "2", "--grace", "1s", "--executor", "ssh:h1", "--lease", "10m", "--max-time", "10s")
    with ExitStack() as after:
        if form == "terminal":
            shown = after.enter_context(on_terminal(afar.shell, "run", *words, columns=120))
        else:
            run = afar.start(*words, "--json")
        eventually(lambda: len(starts(afar)) == 2)
        guardian = carrier_to(afar, "h1")
        for pid in (guardian, *children_of(guardian)):
            signal_one(pid, signal.SIGSTOP)
        if form == "terminal":
            assert shown.wait() == 3
            assert "0 succeeded, 2 left to the next run; stopped by --max-time" in " ".join(shown.scrolled().split())
        else:
            assert ended(run) == 3
            (found,) = [json.loads(line) for line in afar.said().splitlines() if line.startswith("{")]
            assert (found["status"], found["unconfirmed"]) == (3, [1, 2])
    assert afar.jobs() == [("running",)] * 2
    let_end(afar)
    afar.run("-q", "--executor", "ssh:h1")
    assert afar.attempts() == [("interrupted",), ("succeeded",)] * 2


def test_a_run_says_for_which_host_it_waits_after_a_halt(afar: Scene) -> None:
    add_waiting(afar, 1)
    run = afar.start("-j", "1", "--halt", "soon", "--executor", "ssh:h1,h2", "--lease", "20s")
    eventually(lambda: len(starts(afar)) == 1)
    afar.add({"command": "exit 1"})
    hanging = next(pid for pid in carriers(afar) if pid in parents_of(process_of(afar, 1)))
    (site,) = children_of(hanging)
    signal_one(site, signal.SIGSTOP)
    eventually(lambda: "does not answer: waiting for 1 job there; in " in afar.said())
    signal_one(site, signal.SIGCONT)
    eventually(lambda: "answers again" in afar.said())
    let_end(afar)

    assert ended(run) == 1
    assert afar.attempts() == [("succeeded",), ("failed",)]


def test_a_stop_leaves_jobs_at_a_lost_place_to_the_next_run(afar: Scene) -> None:
    carrier = afar.folder / "carrier"
    add_waiting(afar, 2)
    run = afar.start("-q", "-j", "2", "--grace", "1s", "--executor", "ssh:h1", "--lease", "10m")
    eventually(lambda: len(starts(afar)) == 2)
    leading = carrier.read_text()
    carrier.write_text("#!/bin/sh\nexec sleep 1000\n")
    end(carrier_to(afar, "h1"))
    eventually(lambda: "lost h1" in afar.said())
    os.kill(run.pid, signal.SIGTERM)

    assert ended(run) == 143
    assert afar.jobs() == [("running",)] * 2
    carrier.write_text(leading)
    let_end(afar)
    afar.run("-q", "-j", "2", "--executor", "ssh:h1")
    assert afar.attempts() == [("interrupted",), ("succeeded",)] * 2
    assert_none_overlapped(afar)


def test_a_signal_to_all_processes_of_a_place_interrupts_its_jobs(afar: Scene) -> None:
    """Slurm ends a step in this way, and systemd a worker of an engine. The site then takes no more claims."""
    add_waiting(afar, 2)
    run = afar.start("-q", "-j", "2", "--executor", "ssh:h1")
    eventually(lambda: len(starts(afar)) == 2)
    (guardian,) = carriers(afar)
    jobs = [int((afar.folder / f"pid-{job}").read_text()) for job in (1, 2)]
    (site,) = children_of(guardian)
    signal_one(site, signal.SIGSTOP)  # so that all have it at once, however long this loop takes
    for pid in (*jobs, site, guardian):
        signal_one(pid, signal.SIGTERM)
    signal_one(site, signal.SIGCONT)
    eventually(lambda: len(starts(afar)) == 4)
    let_end(afar)

    assert ended(run) == 0
    assert afar.attempts() == [("interrupted",), ("succeeded",)] * 2
    assert len(carriers(afar)) == 2
    assert_none_overlapped(afar)


def test_cancels_and_timeouts_reach_the_jobs_elsewhere(afar: Scene) -> None:
    add_waiting(afar, 1)
    add_waiting(afar, 1, timeout="1s")
    run = afar.start("-q", "-j", "2", "--executor", "ssh:h1")
    eventually(lambda: "1 1" in starts(afar))  # the other may be ended before it has begun
    afar.shell("cancel", "1")

    assert ended(run) == 1
    assert afar.attempts() == [("cancelled",), ("timed_out",)]


def test_a_broken_line_ends_jobs_before_they_run_again(afar: Scene) -> None:
    """The carrier goes on and passes nothing: only the lease tells both sides."""
    carrier = afar.folder / "carrier"
    carrier.write_text(f"#!/bin/sh\necho $$ >> {shlex.quote(str(afar.folder))}/carriers\ncat | {SITE} | cat\n")
    add_waiting(afar, 2)
    run = afar.start("-q", "-j", "2", "--executor", "ssh:h1", "--lease", "2s")
    eventually(lambda: len(starts(afar)) == 2)
    (shell,) = carriers(afar)
    cats = [pid for pid in children_of(shell) if status_of(pid)["Name"] == "cat"]
    assert len(cats) == 2
    for pid in cats:
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: len(starts(afar)) == 4)
    let_end(afar)

    assert ended(run) == 0
    assert afar.attempts() == [("crashed",), ("succeeded",)] * 2
    assert_none_overlapped(afar)


@pytest.mark.parametrize(
    ("carrier", "code", "why"),
    [("no-such-carrier", 78, "cannot start no-such-carrier"), ("false", 74, "no connection")],
)
def test_a_run_without_a_place_says_so_and_costs_no_job_anything(
    afar: Scene, carrier: str, code: int, why: str
) -> None:
    afar.add({"command": "true"})
    afar.shell.env["BATCHQ_SSH"] = carrier
    done = afar.run("--executor", "ssh:h1", code=code)

    assert f"no place of work can be reached (h1: {why}" in done.err
    assert afar.jobs() == [("queued",)]
    assert afar.attempts() == []


def test_the_other_places_do_the_work_of_one_that_cannot_be_reached(afar: Scene) -> None:
    carrier = afar.folder / "carrier"
    carrier.write_text(carrier.read_text().replace("shift 2", 'test "$1" != h1 || exit 255\nshift 2'))
    afar.add(*[{"command": "true"}] * 10)
    afar.run("-q", "--executor", "ssh:h1,h2")

    assert afar.attempts() == [("succeeded",)] * 10


def test_another_version_of_batchq_is_refused_by_name(afar: Scene) -> None:
    (afar.folder / "carrier").write_text(
        '#!/bin/sh\nread setup\necho \'["up",{"protocol":"0","batchq":"0.0.7"}]\'; cat\n'
    )
    afar.add({"command": "true"})
    done = afar.run("--executor", "ssh:h1", code=78)

    assert "batchq 0.0.7" in done.err
    assert afar.attempts() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--executor", "moon"], "names no executor"),
        (["--executor", "ssh:"], "is not a host"),
        (["--executor", "ssh:-oProxyCommand=x"], "is not a host"),
        (["--executor", "ssh:h1", "--lease", "soon"], "--lease"),
        (["--executor", "ssh:h1", "--lease", "0"], "--lease '0' is too short"),
    ],
)
def test_a_wrong_executor_is_one_sentence(afar: Scene, options: list[str], said: str) -> None:
    done = afar.run(*options, code=2)

    assert said in done.err
    assert done.err.count("\n") == 1


def test_short_jobs_behind_a_long_one_run_where_there_is_room(afar: Scene) -> None:
    """The long job waits for all short ones, of which some were claimed ahead for the place where it runs.

    None were if the machine is so busy that the short ones do not count as short.
    """
    ends = "echo >> ended"
    waits = "until test $(wc -l < ended) -ge 199; do sleep 0.2; done"
    afar.add(*[{"command": ends}] * 100, {"command": waits}, *[{"command": ends}] * 99)
    run = afar.start("-q", "-j", "1", "--executor", "ssh:h1,h2", "--lease", "3s")

    assert ended(run) == 0
    assert set(afar.jobs()) == {("succeeded",)}
    came_back = afar.rows("SELECT DISTINCT error_type FROM attempts WHERE outcome <> 'succeeded'")
    assert {*came_back} <= {(MACHINE_BUSY,)}, (
        "what comes back unbegun is not counted, however often: ten times would hold it"
    )
