"""Runs that notify a URL or a command: a real server on this machine, real commands, and nothing left afterwards."""

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Shell, eventually, finish, send
from gate import Gate
from pinged import Pinged, serving

from batchq.processes.messenger import Messages, Messenger, run_line


@pytest.fixture(name="server")
def _server(batchq: Shell) -> Iterator[Pinged]:
    """A server whose URL ``/check`` the store notifies."""
    with serving(batchq.db()) as server:
        batchq("notify", f"{server.url}/check")
        yield server


def failure(batchq: Shell) -> list[str]:
    """What ``doctor`` prints about notifications."""
    return [line for line in batchq("doctor").out.splitlines() if line.split()[1] == "notify"]


# --- URLs --------------------------------------------------------------------------------------------------------------


def test_a_run_pings_its_start_and_its_success_with_one_id_after_the_records(batchq: Shell, server: Pinged) -> None:
    batchq("add", "-q", "--", "true")
    done = batchq("run")

    start, end = server.pings
    assert (start.path, end.path) == ("/check/start", "/check")
    assert start.rid == end.rid
    assert len(start.rid) == 36
    assert "1 succeeded; exit code 0" in end.text
    assert server.early() == []
    assert (done.out, done.err) == ("", "")


def test_a_failed_run_pings_fail_with_what_it_prints(batchq: Shell, server: Pinged) -> None:
    batchq("add", "-q", "-c", "echo no such table >&2; exit 3")
    done = batchq("run", code=1)

    assert server.paths() == ["/check/start", "/check/fail"]
    assert "1 failed; exit code 1" in server.pings[1].text
    assert done.err in server.pings[1].text
    assert "no such table" in done.err
    assert server.early() == []


def test_quiet_changes_nothing_for_the_target(batchq: Shell, server: Pinged) -> None:
    batchq("add", "-q", "-c", "echo no such table >&2; exit 3")
    done = batchq("run", "-q", code=1)

    assert "no such table" in server.pings[1].text
    assert (done.out, done.err) == ("", "")


def test_a_run_with_nothing_to_do_pings_as_well_and_each_run_has_its_own_id(batchq: Shell, server: Pinged) -> None:
    batchq("run")
    batchq("run")

    assert server.paths() == ["/check/start", "/check"] * 2
    assert len({ping.rid for ping in server.pings}) == 2


def test_a_ping_has_at_most_ten_kilobytes(batchq: Shell, server: Pinged) -> None:
    for _ in range(3):
        batchq("add", "-q", "-c", "yes é | head -c 60000 >&2; exit 3")
    batchq("add", "-q", "--name", "n" * 150, "--", "sh", "-c", f"exit 3 # {'x' * 12000}")
    batchq("run", code=1)

    assert len(server.pings[1].text.encode()) <= 10_000


def test_a_run_that_leaves_the_work_to_another_one_pings_nothing(batchq: Shell, server: Pinged, gate: Gate) -> None:
    batchq("add", "-q", "-c", f"touch begun; {gate.wait}")
    first = batchq.start("run")
    eventually((batchq.folder / "begun").exists)

    batchq("run", "--if-running", "skip")
    eventually(lambda: server.paths() == ["/check/start"])
    batchq("run", "--if-running", "fail", code=75)
    assert server.paths() == ["/check/start", "/check/fail"]
    gate.open()

    assert finish(first).code == 0
    assert server.paths() == ["/check/start", "/check/fail", "/check"]
    assert server.pings[0].rid == server.pings[2].rid != server.pings[1].rid


def test_a_server_that_stumbles_is_asked_again(batchq: Shell, server: Pinged) -> None:
    server.answers = [200, 500, 200]
    batchq("run")

    assert server.paths() == ["/check/start", "/check", "/check"]
    assert failure(batchq) == []


def test_a_ping_that_fails_changes_no_exit_code_and_is_shown_by_doctor_until_the_next_success(
    batchq: Shell, server: Pinged
) -> None:
    batchq("add", "-q", "--", "false")
    server.answers = [200, 404]
    done = batchq("run", "-q", code=1)
    assert (done.out, done.err) == ("", "")
    assert server.paths() == ["/check/start", "/check/fail"], "what the server refuses is not repeated"

    (line,) = failure(batchq)
    assert line.startswith("warning")
    assert f"to {server.url}/check: the server answered 404" in line
    assert "failed last time" in batchq("notify").out
    server.answers = [200, 404]
    assert "could not notify" in batchq("run", "-v").err
    batchq("run")
    assert failure(batchq) == []


def test_nobody_listening_is_no_reason_to_fail(batchq: Shell) -> None:
    with serving(batchq.db()) as server:
        gone = server.url
    batchq("add", "-q", "--", "true")
    done = batchq("run", "--notify", gone)

    assert (done.out, done.err) == ("", "")
    assert "Connection refused" in failure(batchq)[0]


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_redirects_are_not_followed(batchq: Shell, server: Pinged, scheme: str) -> None:
    secret = batchq.folder / "secret"
    secret.write_text("42")
    server.location = f"file://{secret}" if scheme == "file" else f"{server.url}/other"
    server.answers = [302, 302]
    batchq("run")

    assert server.paths() == ["/check/start", "/check"]
    assert "the server answered 302 (moved to" in failure(batchq)[0]


def test_a_user_and_password_go_into_a_header_and_are_never_shown(batchq: Shell, server: Pinged) -> None:
    url = server.url.replace("//", "//ann:pass%21@")
    batchq("notify", f"{url}/check?a=1")
    server.answers = [200, 404]
    batchq("run")

    assert server.headers[1]["Authorization"] == "Basic YW5uOnBhc3Mh"
    assert server.headers[1]["Host"] == server.url.removeprefix("http://")
    shown = batchq("notify").out + batchq("notify", "--json").out + "".join(failure(batchq))
    assert "ann:***@" in shown
    assert "pass" not in shown


def test_a_second_signal_ends_the_wait_for_a_server_that_hangs(batchq: Shell, server: Pinged) -> None:
    go = threading.Event()
    server.wait = lambda: server.paths()[-1] == "/check/start" or go.wait(60)
    batchq("add", "-q", "--", "true")
    run = batchq.start("run")
    eventually(lambda: server.paths() == ["/check/start", "/check"])
    assert server.early() == []
    assert batchq.rows("SELECT state FROM jobs") == [("succeeded",)], "nobody waits for the server"

    def is_over() -> bool:
        if run.poll() is None:
            send(run, signal.SIGTERM)
        return run.poll() is not None

    eventually(is_over)
    done = finish(run)
    go.set()
    assert (done.code, done.out, done.err) == (0, "", "")
    assert "a signal ended the wait" in failure(batchq)[0]


def test_the_guardian_of_a_killed_runner_pings_fail(batchq: Shell, server: Pinged) -> None:
    batchq("add", "-q", "-c", "touch begun; sleep 60")
    run = batchq.start("run")
    eventually((batchq.folder / "begun").exists)
    ((pid,),) = batchq.rows("SELECT pid FROM runners WHERE ended_at IS NULL")
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)

    assert finish(run).code == 137
    assert server.paths() == ["/check/start", "/check/fail"]
    assert "exit code 137" in server.pings[1].text
    assert "takes back its running jobs" in server.pings[1].text


def test_a_stopped_run_pings_fail_and_dies_of_its_signal(batchq: Shell, server: Pinged) -> None:
    batchq("add", "-q", "-c", "touch begun; sleep 60")
    run = batchq.start("run", "--grace", "0s")
    eventually((batchq.folder / "begun").exists)
    send(run, signal.SIGINT)

    finish(run)
    assert run.returncode == -signal.SIGINT
    assert server.paths() == ["/check/start", "/check/fail"]
    assert "exit code 130" in server.pings[1].text


def test_a_run_inside_a_job_leaves_the_ping_to_the_outer_run(batchq: Shell, server: Pinged) -> None:
    batchq("add", "-q", "-c", f"{' '.join(map(str, batchq.argv('run', '-q')))}; true")
    batchq("run")

    assert batchq.rows("SELECT count(*) FROM runners") == [(2,)]
    assert server.paths() == ["/check/start", "/check"]


def test_the_check_of_early_pings_catches_one(batchq: Shell, server: Pinged) -> None:
    (batchq.folder / "early.py").write_text(
        "import urllib.request\n"
        "def ping(event):\n"
        "    if event.name == 'job.start':\n"
        f"        urllib.request.urlopen('{server.url}/check?rid=early', data=b'').close()\n"
    )
    batchq("add", "-q", "--", "true")
    batchq("run", "--handler", "early:ping")

    assert [ping.rid for ping in server.early()] == ["early"]


# --- commands ----------------------------------------------------------------------------------------------------------


def test_a_command_gets_the_report_and_the_counts(batchq: Shell) -> None:
    batchq("notify", "cat >text; env | grep ^BATCHQ_ | sort >facts; echo noise; echo noise >&2")
    batchq("add", "-q", "-c", "echo no such table >&2; exit 3")
    batchq("add", "-q", "--", "true")
    done = batchq("run", code=1)

    assert "1 succeeded, 1 failed; exit code 1\n" + done.err in (batchq.folder / "text").read_text()
    facts = dict(line.split("=", 1) for line in (batchq.folder / "facts").read_text().splitlines())
    assert facts == {
        "BATCHQ_RUN": "1", "BATCHQ_STATUS": "1", "BATCHQ_DB": str(batchq.db()),
        "BATCHQ_SUCCEEDED": "1", "BATCHQ_FAILED": "1", "BATCHQ_HELD": "0", "BATCHQ_RETRIED": "0",
        "BATCHQ_INTERRUPTED": "0", "BATCHQ_RESCUED": "0", "BATCHQ_NOT_RUN": "0",
    }  # fmt: skip
    assert "noise" not in done.err
    assert done.out == ""


def test_a_command_is_run_only_if_the_run_did_something(batchq: Shell) -> None:
    batchq("notify", "echo x >>told")
    batchq("run")
    assert not (batchq.folder / "told").exists()
    batchq("add", "-q", "--", "true")
    batchq("run")
    assert (batchq.folder / "told").read_text() == "x\n"


def test_a_command_finds_the_end_of_the_run_in_the_store(batchq: Shell) -> None:
    words = " ".join(map(str, batchq.argv("list", "--state", "succeeded", "--json")))
    batchq("notify", f"{words} >seen")
    batchq("add", "-q", "--", "true")
    batchq("run")

    assert '"id": 1' in (batchq.folder / "seen").read_text()


def test_a_command_that_fails_is_shown_by_doctor_with_its_last_line(batchq: Shell) -> None:
    batchq("notify", "--", "sh", "-c", "echo no route >&2; exit 4")
    batchq("add", "-q", "--", "true")
    done = batchq("run")

    assert (done.out, done.err) == ("", "")
    assert "the command ended with exit code 4: no route" in failure(batchq)[0]


def test_what_a_command_leaves_may_finish(batchq: Shell) -> None:
    batchq("notify", "{ until [ -e gone ]; do sleep 0.01; done; touch late; } & sh -c 'sleep 0.1; touch gone' &")
    batchq("add", "-q", "--", "true")
    batchq("run")

    assert (batchq.folder / "late").exists()


def test_a_signal_ends_a_command_that_hangs_with_all_that_it_started(batchq: Shell) -> None:
    batchq("notify", "setsid sleep 1000 & sleep 1000 & touch hangs; sleep 1000")
    batchq("add", "-q", "--", "false")
    run = batchq.start("run", "-q")
    eventually((batchq.folder / "hangs").exists)

    def is_over() -> bool:
        if run.poll() is None:
            send(run, signal.SIGTERM)
        return run.poll() is not None

    eventually(is_over)
    assert finish(run).code == 1
    assert "a signal ended the wait" in failure(batchq)[0]


def test_the_messenger_and_its_tree_are_killed_at_the_bound(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    hang = f"setsid sh -c 'echo $$ >>{pids}; sleep 1000' & echo $$ >>{pids}; sleep 1000"

    def deliver(messages: Messages) -> str | None:
        for _ in messages:
            return run_line(hang, "", dict(os.environ))
        return None

    messenger = Messenger(deliver, lambda: None)
    messenger.send({})
    eventually(lambda: pids.exists() and pids.read_text().count("\n") == 2)

    assert messenger.finish({}, bound=0.5) == "it took longer than 0.5 s"
    for pid in (messenger.pid, *map(int, pids.read_text().split())):
        eventually(lambda pid=pid: not Path(f"/proc/{pid}").exists())  # type: ignore[misc]


# --- the setting -------------------------------------------------------------------------------------------------------


def test_the_target_is_set_printed_and_removed(batchq: Shell) -> None:
    assert batchq("notify").out == "runs notify nobody\n"
    batchq("notify", "--", "mail", "-s", "a run", "ann")
    assert batchq("notify").out == "mail -s 'a run' ann\n"
    batchq("notify", "--off")
    assert batchq("notify", "--json").out == '{"schema": 1, "kind": "notify", "target": null, "failed": null}\n'


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["ftp://x/y"], "neither an http:// or https:// URL nor a command"),
        (["http://"], "not a valid URL"),
        (["http://a b/"], "not a valid URL"),
        (["http://a:x/"], "not a valid URL"),
        ([""], "notify takes a URL or a command"),
        (["x" * 901], "at most 900 bytes"),
        (["true", "--off"], "not both"),
    ],
)
def test_a_target_that_no_run_could_use_is_refused(batchq: Shell, words: list[str], complaint: str) -> None:
    assert complaint in batchq("notify", *words, code=2).err
    assert batchq("notify").out == "runs notify nobody\n"


def test_an_option_of_the_run_takes_precedence(batchq: Shell) -> None:
    batchq("notify", "touch stored")
    batchq("add", "-q", "--", "true")
    batchq("run", "--notify", "touch given")
    batchq("add", "-q", "--", "true")
    batchq("run", "--notify", "")
    batchq("run", "--notify", "ftp://x", code=2)

    assert (batchq.folder / "given").exists()
    assert not (batchq.folder / "stored").exists()


def test_the_longest_target_and_reason_leave_the_settings_on_one_page(batchq: Shell) -> None:
    line = "echo " + "é" * 400 + " >&2; exit 1"
    batchq("notify", line)
    batchq("add", "-q", "--", "true")
    batchq("run")

    assert failure(batchq)
    assert batchq.rows("SELECT count(*) FROM pragma_page_size WHERE page_size >= 4096") == [(1,)]
    assert batchq.rows("SELECT sum(length(CAST(value AS BLOB))) < 2800 FROM settings") == [(1,)]


# --- the examples of docs/notify.md ------------------------------------------------------------------------------------

DOCS = (Path(__file__).parents[2] / "docs" / "notify.md").read_text()


def example(batchq: Shell, name: str) -> None:
    """Save the block of the page that begins with the name of a file."""
    text = re.search(rf"^```\w+\n(# {re.escape(name)}\n.*?)^```", DOCS, re.M | re.S)
    assert text is not None
    (batchq.folder / name).write_text(text[1])


def test_the_example_of_ntfy_sends_the_digest(batchq: Shell, server: Pinged) -> None:
    example(batchq, "ntfy.sh")
    batchq.env["NTFY"] = server.url
    batchq("notify", "--", "sh", "ntfy.sh")
    batchq("add", "-q", "--", "false")
    batchq("run", code=1)

    assert server.paths() == ["/night"]
    assert "1 failed; exit code 1" in server.pings[0].text
    assert server.headers[0]["Title"] == "batchq: 1 failed, 0 succeeded"
    assert server.headers[0]["Priority"] == "high"


def test_the_example_of_slack_sends_json_when_a_job_failed(batchq: Shell, server: Pinged) -> None:
    example(batchq, "slack.py")
    batchq.env["SLACK"] = f"{server.url}/hook"
    batchq("notify", "--", sys.executable, "slack.py")
    batchq("add", "-q", "--", "true")
    batchq("run")
    assert server.pings == []
    batchq("add", "-q", "--", "false")
    batchq("run", code=1)

    assert server.paths() == ["/hook"]
    assert json.loads(server.pings[0].text)["text"].startswith("*batchq: 1 jobs failed*")
    assert failure(batchq) == []


def test_the_example_of_mail_sends_one_when_a_job_failed(batchq: Shell) -> None:
    line = re.search(r"^\$ batchq notify '(test .* mail .*)'$", DOCS, re.M)
    assert line is not None
    (batchq.folder / "mail").write_text('#!/bin/sh\necho "$@" >sent; cat >>sent\n')
    (batchq.folder / "mail").chmod(0o755)
    batchq.env["PATH"] = f"{batchq.folder}:{batchq.env['PATH']}"
    batchq("notify", line[1])
    batchq("add", "-q", "--", "true")
    batchq("run")
    assert not (batchq.folder / "sent").exists()
    batchq("add", "-q", "--", "false")
    batchq("run", code=1)

    sent = (batchq.folder / "sent").read_text()
    assert sent.startswith("-s batchq: 1 failed on ")
    assert "Run it again" in sent
