"""The page of a report in a real browser: it loads nothing, it works, and text of jobs stays text."""

import itertools
import json
import os
import re
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell, nothing_left
from pages import CONTRAST, FAILED, LABELS, REFUSED, STRANGE, add_hostile, add_night, server

from batchq import clock
from batchq.jobs.selection import Selection
from batchq.report import summary
from batchq.report.page import page
from batchq.store.file.opening import open_at

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is missing: see scripts/packages")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from browser import Browser

    with Browser() as opened:
        yield opened


@contextmanager
def shell_in(folder: Path) -> Iterator[Shell]:
    with nothing_left(folder):
        shell = Shell(folder)
        shell.make_store()
        yield shell


def report(shell: Shell, *words: str) -> Path:
    shell("report", *words, "-o", "page.html")
    return shell.folder / "page.html"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page of a night of 154 jobs, of which 24 failed for four reasons."""
    with shell_in(tmp_path_factory.mktemp("night")) as shell:
        add_night(shell)
        shell("run", "-q", "-j4", code=1)
        yield report(shell, "--batch", "night")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page of a store in which names, commands, queues, output and exceptions are meant to harm a reader."""
    with shell_in(tmp_path_factory.mktemp("hostile")) as shell:
        add_hostile(shell)
        shell("run", "-q", "-j4", code=1)
        yield report(shell)


def expect_silence(browser: Any) -> None:
    assert [url for url in browser.requested() if not url.startswith("file:")] == []
    assert len(browser.requested()) == 1
    assert browser.logged() == []
    assert browser.dialogs() == []


def test_the_page_loads_nothing_and_shows_three_figures(browser: Any, night: Path) -> None:
    browser.open(night)

    expect_silence(browser)
    assert browser.value(STRANGE) == []
    drawn = """[...document.querySelectorAll('figure svg')].map(svg =>
        svg.getBoundingClientRect().height > 60 && svg.querySelectorAll('path').length > 5)"""
    assert browser.value(drawn) == [True] * 3
    assert browser.value("document.title") == "24 of 154 jobs failed, for 4 reasons: night"
    assert browser.value("[...document.querySelectorAll('h1, h2')].map(h => h.tagName).join()") == "H1" + ",H2" * 6


def test_the_first_ten_lines_hold_the_count_reason_place_and_command_of_the_biggest_reason(
    browser: Any, night: Path
) -> None:
    browser.open(night)

    lines = browser.value("document.body.innerText").split("\n")
    first = "\n".join([line for line in lines if line.strip()][:10])

    assert "24 of 154 jobs failed, for 4 reasons" in first
    assert "KeyError: 'price'" in first
    assert "at mine.py:3" in first
    assert re.search(r"^10$", first, re.M)
    assert re.search(r"^batchq .*retry [0-9,-]+( --cause [0-9a-f]{8})?$", first, re.M)


def column(browser: Any, number: int) -> list[str]:
    found = browser.value(f"[...document.querySelectorAll('#table tbody tr')].map(r => r.cells[{number}].textContent)")
    assert isinstance(found, list)
    return found


def click(browser: Any, selector: str) -> None:
    browser.value(f"document.querySelector({selector!r}).click()")


def search(browser: Any, text: str) -> str:
    browser.value(
        "(find => { find.value = TEXT; find.dispatchEvent(new Event('input')) })(document.getElementById('find'))".replace(
            "TEXT", json.dumps(text)
        )
    )
    return str(browser.value("document.getElementById('shown').textContent"))


def test_the_table_is_sorted_both_ways_by_any_column(browser: Any, night: Path) -> None:
    browser.open(night)
    heads = browser.value("[...document.querySelectorAll('#table th')].map(h => h.textContent)")
    assert heads == ["job", "name", "state", "queue", "attempts", "started", "took", "reason"]
    assert column(browser, 2)[:25] == ["failed"] * FAILED + ["succeeded"]

    for number, name in enumerate(heads):
        seen = {}
        for _ in range(2):
            click(browser, f"#table th:nth-child({number + 1}) button")
            direction = browser.value(f"document.querySelectorAll('#table th')[{number}].getAttribute('aria-sort')")
            seen[direction] = column(browser, number)
        assert seen.keys() == {"ascending", "descending"}, name
        if name in ("job", "name", "started"):
            assert seen["ascending"] == sorted(seen["ascending"], key=lambda text: (len(text), text))
            assert seen["descending"] == sorted(seen["descending"], key=lambda text: (len(text), text), reverse=True)
            assert seen["ascending"] != seen["descending"] or name == "started"
        if name == "reason":  # jobs without one come last
            assert [bool(text) for text in seen["ascending"]] == [True] * FAILED + [False] * (100 - FAILED)
            assert seen["ascending"][0] == seen["descending"][FAILED - 1]
        if name == "took":
            assert seen["ascending"] == sorted(seen["ascending"], key=milliseconds)
            assert seen["descending"] == sorted(seen["descending"], key=milliseconds, reverse=True)
            assert milliseconds(seen["descending"][0]) >= 50
            assert milliseconds(seen["descending"][0]) > milliseconds(seen["ascending"][0])


def milliseconds(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"ms": 1, "s": 1000}[unit]


def test_a_search_and_the_link_of_a_reason_show_exactly_these_jobs(browser: Any, night: Path) -> None:
    browser.open(night)

    assert browser.value("document.getElementById('shown').textContent") == "154 jobs"
    assert search(browser, "failed") == f"{FAILED} of 154 jobs"
    assert {*column(browser, 2)} == {"failed"}
    assert search(browser, "FAILED net") == "12 of 154 jobs"
    assert search(browser, "no such thing") == "0 of 154 jobs"
    assert column(browser, 0) == []
    for n, jobs in enumerate(browser.value("[...document.querySelectorAll('.count')].map(c => c.textContent)")):
        browser.value(f"document.querySelectorAll('[data-find]')[{n}].click()")
        assert browser.value("document.getElementById('shown').textContent") == f"{jobs} of 154 jobs"
        assert len({*column(browser, 7)}) == 1


def test_a_hundred_rows_are_drawn_at_a_time(browser: Any, night: Path) -> None:
    browser.open(night)

    assert len(column(browser, 0)) == 100
    click(browser, "#next")
    assert len(column(browser, 0)) == 54
    assert browser.value("document.getElementById('page').textContent") == "page 2 of 2"
    assert browser.value("document.getElementById('next').disabled") is True
    click(browser, "#back")
    assert len(column(browser, 0)) == 100


def test_the_rows_without_scripts_are_those_that_the_script_draws(browser: Any, night: Path) -> None:
    browser.open(night)
    drawn = browser.value("document.querySelector('#table tbody').innerText")

    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(night)
        assert browser.value("[...document.querySelectorAll('.tools')].map(t => t.offsetHeight)") == [0, 0]
        assert browser.value("document.querySelector('#table tbody').innerText") == drawn
        assert browser.value("document.querySelector('noscript').innerText").startswith("Without scripts")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_what_gets_into_the_page_nevertheless_can_neither_run_nor_load_anything(browser: Any, night: Path) -> None:
    browser.open(night)

    with server() as (url, asked):
        refused = browser.value(REFUSED.replace("URL", url))

    assert refused == ["connect-src", "img-src", "script-src-elem", "style-src-elem"]
    assert browser.value("window.pwned === undefined")
    assert asked == []


def test_text_of_jobs_stays_text(browser: Any, hostile: Path) -> None:
    for scripts in (True, False):
        browser.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        browser.open(hostile)
        expect_silence(browser)
        assert browser.value(STRANGE) == []
        assert browser.value("window.pwned === undefined")
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    browser.open(hostile)
    everything = browser.value("document.body.textContent")
    assert "<script>window.pwned = 1; alert(1)</script>" in everything
    assert "{{ 7*7 }}" in everything
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028\u2029]", hostile.read_text())
    assert search(browser, "<script>") != search(browser, "failed")


def test_the_check_would_notice_a_page_that_does_not_escape(
    browser: Any, hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = page.environment()
    careless.autoescape = False
    monkeypatch.setattr(page, "environment", lambda: careless)
    with open_at(str(hostile.parent / "batchq.db")) as store:
        found = summary.build(store, Selection(), at=clock.now(), failures=0, drawn=True)
    path = hostile.parent / "careless.html"
    path.write_text(page.page(found))

    browser.open(path)

    assert {"IMG", "scripts"} & {*browser.value(STRANGE)}


@pytest.mark.parametrize("width", [400, 1600])
def test_lanes_of_hosts_are_named_and_no_label_touches_another(browser: Any, tmp_path: Path, width: int) -> None:
    """A real run on two places, and one here; times are labelled in seconds or hours."""
    site = Path(sys.executable).with_name("batchq-site")
    with shell_in(tmp_path) as shell:
        shell.env["BATCHQ_SSH"] = f"sh -c {shlex.quote(f'exec {shlex.quote(str(site))}')}"
        for _ in range(4):
            shell("add", "-q", "-c", "echo >> begun; until test $(wc -l < begun) = 4; do sleep 0.01; done")
        shell("run", "-q", "-j", "2", "--executor", "ssh:h1,a-host-with-a-rather-long-name.example.org")
        shell("add", "-q", "--", "true")
        shell("run", "-q")
        machine = os.uname().nodename
        names = ["local", f"{machine}/a-host-with-a-rather-long-name.example.org", f"{machine}/h1"]
        for span in (14.6, 90_000.0):
            with sqlite3.connect(shell.db()) as db:  # as if each attempt had taken so long
                db.execute(
                    "UPDATE attempts SET seconds = ?, finished_at = started_at + ? WHERE job < 5",
                    (span, int(span * 1000)),
                )
            db.close()
            browser.open(report(shell), width)
            found = browser.value(LABELS)
            downwards = sorted(found, key=lambda one: one[2])
            lanes = [text for text, *_ in downwards if text.endswith((" 1", "2")) and ":" not in text]

            assert len(lanes) == 5 and [lanes[2], lanes[4]] == ["2", "2"]
            first = [lanes[0], lanes[1], lanes[3]]
            assert [(lane[:5], lane[-6:]) for lane in first] == [(name[:5], f"{name} 1"[-6:]) for name in names]
            assert touching(found) == []


def touching(labels: list[tuple[str, float, float, float, float]]) -> list[tuple[str, str]]:
    """The pairs of labels of a figure that are less than a blank apart, by their left, top, right and bottom edges."""
    return [
        (one[0], other[0])
        for one, other in itertools.combinations(labels, 2)
        if one[1] < other[3] + 3 and other[1] < one[3] + 3 and one[2] < other[4] - 3 and other[2] < one[4] - 3
    ]


@pytest.mark.parametrize("width", [400, 800, 1600])
def test_no_width_needs_sideways_scrolling(browser: Any, night: Path, hostile: Path, width: int) -> None:
    for path in (night, hostile):
        browser.open(path, width)

        assert browser.value("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("dark", "media"), [(False, ""), (True, ""), (True, "print")], ids=["light", "dark", "paper"])
def test_all_text_has_the_contrast_that_readers_need(browser: Any, night: Path, dark: bool, media: str) -> None:
    """4.5 is level AA of WCAG 2."""
    browser.open(night, dark=dark, media=media)

    found = dict(browser.value(CONTRAST))

    assert len(found) > 3
    assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}
    background = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (not dark or media == "print")


def test_everything_that_acts_is_reached_by_the_keyboard_and_shows_its_focus(browser: Any, night: Path) -> None:
    browser.open(night)
    key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
    seen = []
    for _ in range(80):
        browser.call("Input.dispatchKeyEvent", type="keyDown", **key)
        browser.call("Input.dispatchKeyEvent", type="keyUp", **key)
        seen.append(browser.value("(a => [a.tagName, a.id, getComputedStyle(a).outlineStyle])(document.activeElement)"))
        if seen[-1][0] == "BODY":
            break

    reached = {(tag, id) for tag, id, _ in seen}
    assert {("INPUT", "find"), ("BUTTON", "next"), ("SUMMARY", ""), ("A", ""), ("PRE", "")} <= reached
    assert len([tag for tag, id, _ in seen if (tag, id) == ("BUTTON", "")]) == 8, "each column can be sorted"
    assert {outline for tag, _, outline in seen if tag != "BODY"} <= {"solid", "auto"}
    assert all(
        browser.value(
            "[...document.querySelectorAll('input, figure [role=img]')].map(i => !!i.ariaLabel || i.labels?.length)"
        )
    )


def test_without_jinja_a_page_is_an_error_of_one_line(batchq: Shell) -> None:
    (batchq.folder / "hidden").mkdir()
    (batchq.folder / "hidden" / "jinja2.py").write_text("raise ImportError")
    path = f"{batchq.folder / 'hidden'}{os.pathsep}{batchq.env['PYTHONPATH']}"

    done = batchq("report", "-o", "page.html", env={"PYTHONPATH": path}, code=2)

    assert done.err == "batchq: a page needs Jinja2 of batchq[html]: pip install jinja2 vl-convert-python\n"
    assert not (batchq.folder / "page.html").exists()
    assert batchq("report", env={"PYTHONPATH": path}).out.startswith("no jobs to report")


def test_the_page_is_printed(browser: Any, night: Path) -> None:
    browser.open(night)

    assert browser.pdf().startswith(b"%PDF")
    browser.open(night, 700, media="print")
    assert browser.value("getComputedStyle(document.querySelector('.tools')).display") == "none"
    assert browser.value("document.documentElement.scrollWidth") <= 700
