"""``--executor ssh:`` through a real sshd: what a login prints, what is missing there, and every end of a connection."""

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sshserver
from conftest import eventually
from elsewhere import add_waiting, assert_none_overlapped, let_end, starts
from scene import Scene, children_of, end, ended, is_gone, status_of
from soaking import SOAK
from sshserver import SshServer

pytest_plugins = ("scene", "openports")
pytestmark = pytest.mark.skipif(not sshserver.IS_HERE, reason="needs ssh and sshd")

#: What sshd runs for each connection: notes the process of its session, and hands the command to a login shell.
LOGIN = """\
#!/bin/sh
echo $PPID >> {folder}/sessions
HOME={folder}
PATH={programs}:/usr/bin:/bin
export HOME PATH
cat {folder}/greeting 2>/dev/null
exec {shell} -c "$SSH_ORIGINAL_COMMAND"
"""
PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with sshserver.serving(tmp_path_factory.mktemp("sshd")) as made:
        yield made


@pytest.fixture
def ssh(scene: Scene, server: SshServer) -> Scene:
    """A scene whose runs reach any host by ssh; all of them are this machine."""
    log_in_with(scene)
    (scene.folder / "config").write_text(server.configuration(scene.folder / "login"))
    scene.shell.env["BATCHQ_SSH"] = f"ssh -F {shlex.quote(str(scene.folder / 'config'))}"
    return scene


def log_in_with(scene: Scene, shell: str = "/bin/sh", programs: Path = PROGRAMS) -> None:
    login = scene.folder / "login"
    login.write_text(LOGIN.format(folder=shlex.quote(str(scene.folder)), programs=programs, shell=shell))
    login.chmod(0o755)


def sessions(scene: Scene) -> list[int]:
    path = scene.folder / "sessions"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def connections(scene: Scene) -> list[int]:
    """The processes of ssh that the newest run has started."""
    return [pid for pid in children_of(scene.runner()) if status_of(pid)["Name"] == "ssh"]


def sites(scene: Scene) -> list[int]:
    """The sites and their guardians in all sessions, found by their program in /proc."""
    words = {int(path.parent.name): path for path in Path("/proc").glob("[0-9]*/cmdline")}
    mark = os.fsencode(scene.folder)
    found = []
    for pid, path in words.items():
        try:
            if b"batchq-site" in path.read_bytes() and mark in path.with_name("environ").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("shell", ["/bin/sh", "fish", *(["bash", "zsh"] if SOAK else [])])
def test_jobs_run_whatever_a_login_prints_and_whichever_shell_it_has(ssh: Scene, shell: str) -> None:
    if (found := shutil.which(shell)) is None:
        pytest.skip(f"needs {shell}")
    log_in_with(ssh, found)
    (ssh.folder / "greeting").write_text('Welcome\n[ OK ]\n[]\n[[]]\n[1,2]\n["room"]\n["ended",1]\n\x1b[31m[x\xff]\n')
    both_are_in = "until [ $(wc -l < sessions) = 2 ]; do sleep 0.05; done"
    ssh.add(*[{"command": f"{both_are_in}; echo {n}; exit {n % 2}"} for n in range(6)])
    done = ssh.run("-j", "2", "--executor", "ssh:h1,h2", code=1)

    assert ssh.attempts() == [("succeeded",), ("failed",)] * 3
    assert [ssh.output(job) for job in (1, 6)] == [b"0\n", b"5\n"]
    assert len(sessions(ssh)) == 2
    assert "Welcome" not in done.err


@pytest.mark.parametrize("fault", ["site", "connection", "session"])
def test_what_ends_at_one_host_crashes_there_and_runs_again(ssh: Scene, fault: str) -> None:
    add_waiting(ssh, 4)
    run = ssh.start("-q", "-j", "2", "--executor", "ssh:h1,h2")
    eventually(lambda: len(starts(ssh)) == 4)
    victims = {"site": sites(ssh)[:2], "connection": connections(ssh)[:1], "session": sessions(ssh)[:1]}[fault]
    assert victims
    for pid in victims:
        end(pid)
    eventually(lambda: len(starts(ssh)) >= 6)
    let_end(ssh)

    assert ended(run) == 0
    assert set(ssh.jobs()) == {("succeeded",)}
    assert ssh.rows("SELECT count(*) FROM attempts WHERE outcome = 'succeeded'") == [(4,)]
    assert_none_overlapped(ssh)


def test_a_signal_to_the_run_and_to_what_leads_to_its_hosts_costs_no_job_anything(ssh: Scene) -> None:
    """As systemd stops a service: ssh may end before the run has received anything."""
    add_waiting(ssh, 2, max_crashes=1)
    run = ssh.start("-q", "-j", "1", "--executor", "ssh:h1,h2")
    eventually(lambda: len(starts(ssh)) == 2)
    for pid in (*connections(ssh), ssh.runner(), run.pid):
        os.kill(pid, signal.SIGTERM)

    assert ended(run) == 143
    assert ssh.attempts() == [("interrupted",)] * 2
    assert set(ssh.jobs("state, crashes")) == {("queued", 0)}
    let_end(ssh)
    ssh.run("-q", "-j", "1", "--executor", "ssh:h1,h2")
    assert_none_overlapped(ssh)


def test_a_connection_that_stands_still_ends_its_jobs_before_they_run_again(ssh: Scene) -> None:
    add_waiting(ssh, 2)
    run = ssh.start("-q", "-j", "2", "--executor", "ssh:h1", "--lease", "2s")
    eventually(lambda: len(starts(ssh)) == 2)
    (connection,) = connections(ssh)
    os.kill(connection, signal.SIGSTOP)
    eventually(lambda: len(starts(ssh)) == 4)
    let_end(ssh)

    assert ended(run) == 0
    assert ssh.attempts() == [("crashed",), ("succeeded",)] * 2
    assert_none_overlapped(ssh)


def test_what_a_job_leaves_running_on_purpose_outlives_its_site_and_its_run(ssh: Scene) -> None:
    service = "(until test -e gate; do sleep 0.02; done; touch served-{0}) & echo $! > service-{0}"
    ssh.add(
        {"command": service.format(1), "leftovers": "keep", "name": "first"},
        {"command": "test -e once || { touch once; kill -9 $PPID; sleep 60; }", "after": ["first"]},
    )
    ssh.run("-q", "-j", "1", "--executor", "ssh:h1")
    assert ssh.attempts() == [("succeeded",), ("crashed",), ("succeeded",)]
    ssh.add(
        {"command": service.format(2), "leftovers": "keep", "name": "second"},
        {"command": "test -e once-more || { touch once-more; sleep 60; }", "after": ["second"]},
    )
    run = ssh.start("-q", "-j", "1", "--executor", "ssh:h1")
    eventually((ssh.folder / "once-more").exists)
    end(ssh.runner(), run.pid)
    ended(run)
    ssh.run("-q", "-j", "1", "--executor", "ssh:h1")
    assert ssh.attempts()[3:] == [("succeeded",), ("crashed",), ("succeeded",)]
    (ssh.folder / "gate").touch()

    eventually(lambda: all((ssh.folder / f"served-{one}").exists() for one in (1, 2)))
    eventually(lambda: all(is_gone(int((ssh.folder / f"service-{one}").read_text())) for one in (1, 2)))


def test_nothing_of_a_killed_run_is_left_there_and_the_next_run_goes_on(ssh: Scene) -> None:
    add_waiting(ssh, 4)
    run = ssh.start("-q", "-j", "2", "--executor", "ssh:h1,h2", "--lease", "10m")
    eventually(lambda: len(starts(ssh)) == 4)
    end(ssh.runner(), run.pid)
    ended(run)
    eventually(lambda: not sites(ssh))  # long before their lease
    next_run = ssh.start("-q", "-j", "2", "--executor", "ssh:h1,h2")
    eventually(lambda: len(starts(ssh)) == 8)
    let_end(ssh)

    assert ended(next_run) == 0
    assert ssh.attempts() == [("crashed",), ("succeeded",)] * 4
    assert_none_overlapped(ssh)


def test_a_host_without_batchq_is_one_sentence_and_costs_no_job_anything(ssh: Scene) -> None:
    log_in_with(ssh, programs=ssh.folder)
    ssh.add({"command": "true"})
    done = ssh.run("--executor", "ssh:h1", code=78)

    assert "h1: it has no program batchq-site: install batchq there, or write HOST:/path/of/batchq-site" in done.err
    assert ssh.attempts() == []

    ssh.run("-q", "--executor", f"ssh:h1:{PROGRAMS}/batchq-site")
    assert ssh.attempts() == [("succeeded",)]


def test_a_host_without_batchq_among_others_is_reported_and_left_out(ssh: Scene) -> None:
    add_waiting(ssh, 4)  # a run that is over does not wait for what another host will say
    run = ssh.start("-q", "--executor", "ssh:h1,h2:/nowhere/batchq-site")
    eventually(lambda: "gave h2 up (it has no program /nowhere/batchq-site" in ssh.said())
    let_end(ssh)

    assert ended(run) == 0
    assert ssh.attempts() == [("succeeded",)] * 4


def test_a_host_with_another_batchq_is_one_sentence(ssh: Scene) -> None:
    other = ssh.folder / "other-site"
    other.write_text('#!/bin/sh\nread setup\necho \'["up",{"protocol":"0","batchq":"0.0.7"}]\'; cat\n')
    other.chmod(0o755)
    ssh.add({"command": "true"})
    done = ssh.run("--executor", f"ssh:h1:{other}", code=78)

    assert "h1: batchq 0.0.7 is there" in done.err
    assert ssh.attempts() == []


@pytest.mark.parametrize("trouble", ["refused", "other-key"])
def test_a_host_that_does_not_let_us_in_ends_the_run_with_74(ssh: Scene, trouble: str) -> None:
    config = ssh.folder / "config"
    changed = {"refused": "Port 1\n", "other-key": "HostKeyAlias elsewhere\n"}[trouble]
    config.write_text(changed + config.read_text())  # of two values ssh takes the first
    ssh.add({"command": "true"})
    done = ssh.run("--executor", "ssh:h1", code=74)

    assert "no place of work can be reached (h1: no connection" in done.err
    assert ssh.attempts() == []
