"""What a page says, whatever the store has: headlines, samples, what is missing, and a policy that holds."""

import html
import json
import re
import sys
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from commands import run
from conftest import Shell, eventually
from history import FAILED, NOW, SUCCEEDED, a_night, add, claim, out, play, play_together
from test_order import jobs

from batchq import clock
from batchq.errors import UsageError
from batchq.jobs.attempt import Failure, Outcome
from batchq.jobs.selection import of_ids, parse
from batchq.report import summary
from batchq.report.page import page
from batchq.report.page.view import headline
from batchq.report.page.zone import Zone
from batchq.store.changing import control
from batchq.store.file.connection import Store
from batchq.store.file.opening import open_at
from batchq.store.looking import briefs, sample, times

TIMED_OUT = Outcome("timed_out", seconds=0.3)


def built(store: Store, *words: str) -> summary.Summary:
    return summary.build(store, parse(words), at=NOW, failures=0, drawn=True)


def page_of(store: Store, *words: str) -> str:
    return page.page(built(store, *words))


def data_of(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found is not None
    return json.loads(found[1])


def text_of(html: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", html.partition("</style>")[2].partition("<script")[0]).split())


def test_an_empty_store_has_a_page(store: Store) -> None:
    html = page_of(store)

    assert "<h1>No jobs</h1>" in html
    assert "<figure" not in html
    assert data_of(html)["rows"] == []


def test_the_headline_names_the_worst(store: Store) -> None:
    seen = []

    def look() -> None:
        seen.append(headline(built(store)))

    add(store, "a")
    look()
    play(store, SUCCEEDED)
    look()
    add(store, "b", "c")
    look()
    play(store, SUCCEEDED, SUCCEEDED)
    look()
    control.cancel(store, of_ids(add(store, "d")))
    look()
    add(store, "e")
    play(store, FAILED)
    look()
    add(store, "f", "g")
    play(store, TIMED_OUT)
    look()

    assert seen == [
        "1 of 1 job is not finished",
        "The job succeeded",
        "2 of 3 jobs are not finished",
        "All 3 jobs succeeded",
        "1 of 4 jobs was cancelled",
        "1 of 5 jobs failed",
        "2 of 7 jobs failed, for 2 reasons; 1 is not finished",
    ]


def test_jobs_that_were_not_needed_are_no_trouble(store: Store) -> None:
    jobs(store, {"name": "a"}, {"name": "alarm", "after_failed": ["a"]}, {"name": "then", "after": ["alarm"]})
    play(store, SUCCEEDED)
    found = built(store)

    assert headline(found) == "1 job succeeded, 2 were not needed"
    assert "not needed, because nothing failed for which they were: 2 jobs." in text_of(page_of(store))
    assert "1 succeeded, 2 cancelled as not needed, in " in run(store, "report").out
    control.cancel(store, of_ids(add(store, "b")))
    assert headline(built(store)) == "1 of 4 jobs was cancelled"
    assert "1 succeeded, 3 cancelled (2 as not needed), in " in run(store, "report").out


def test_the_page_of_a_night_says_what_to_do(store: Store) -> None:
    a_night(store)

    text = text_of(page_of(store))

    assert "1 of 3 jobs failed; 1 is not finished" in text
    assert "exit 3: refused" in text
    assert re.search(r"batchq (--db \S+ )?retry 2 ", text)
    assert "job 2 (load), attempt 3 of 3, after 2.0 s $ psql -f load.sql refused" in text
    assert "1 failed, 1 queued, 1 succeeded," in text


def test_a_job_whose_run_has_died_is_lost(store: Store) -> None:
    add(store, "sleep 9")
    claim(store)  # by a runner that is not there

    assert data_of(page_of(store))["lists"]["state"] == ["lost"]
    assert "1 job lost: the run died; 'batchq run' takes it back" in html.unescape(text_of(page_of(store)))


def test_the_next_time_is_named_at_which_a_job_is_due(store: Store) -> None:
    add(store, "a", delay="1h")
    ((due,),) = store.fetch("SELECT due_at FROM jobs")

    assert f"The next scheduled job is due at {clock.bare(due)}." in page_of(store)


def test_a_job_that_runs_is_running(batchq: Shell) -> None:
    batchq("add", "-q", "-c", "echo > started; exec sleep 60")

    with batchq.start("run", "--grace", "0s") as run:
        eventually((batchq.folder / "started").exists)
        with open_at(str(batchq.db())) as store:
            found = data_of(page_of(store))["lists"]["state"]
        run.terminate()

    assert found == ["running"]


def test_columns_appear_only_if_they_say_something(store: Store) -> None:
    add(store, "a", batch="x", queue="q")
    play(store, SUCCEEDED)
    plain = ["id", "label", "state", "attempt", "started", "took"]
    assert data_of(page_of(store))["kinds"] == plain

    add(store, "b", batch="y", queue="p")
    play(store, FAILED)

    assert data_of(page_of(store))["kinds"] == [
        *("id", "label", "batch", "state", "queue", "attempt", "started", "took", "reason")
    ]
    assert data_of(page_of(store, "2"))["kinds"] == [*plain, "reason"]


def test_a_page_that_leaves_out_jobs_says_so_and_keeps_those_that_did_not_succeed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, *("true",) * 300)
    play_together(store, *(FAILED if n % 15 == 0 else SUCCEEDED for n in range(300)))
    monkeypatch.setattr(briefs, "MOST", 70)
    monkeypatch.setattr(briefs, "_OF_THEM", 50)
    monkeypatch.setattr(sample, "MOST", 60)

    assert re.search(r"<figcaption>Half took up to 1\.0 s, .*; the longest took 2\.0 s\.<", page_of(store))
    monkeypatch.setattr(times, "MOST", 100)
    html = page_of(store)

    assert re.search(r"<figcaption>Of a sample of \d+ jobs, half took up to 1\.0 s, 90 % [^;]*\.<", html)
    assert re.search(r"about [\d.]+ \w+</b> median wait", html)
    assert "All jobs that did not succeed, and one in 6 of the others." in html
    assert "estimated from one job in 5" in html
    rows = data_of(html)["rows"]
    assert [row[0] for row in rows[:20]] == [*range(1, 301, 15)]
    assert 20 + 40 <= len(rows) <= 70

    monkeypatch.setattr(briefs, "_OF_THEM", 10)
    assert "One in 2 of the jobs that did not succeed, and one in 5 of the others." in page_of(store)


def test_the_labels_of_figures_are_not_rounded_as_coordinates_are(store: Store) -> None:
    add(store, *("true",) * 5)
    for n in range(5):
        play(store, SUCCEEDED, now=NOW + n * 1_000_000)

    html = page_of(store)

    assert ">0.005<" in html
    assert not re.search(r'd="[^"]*\.\d\d', html)


def test_times_have_a_date_if_that_differs(store: Store) -> None:
    add(store, "a", "b")
    play(store, FAILED)
    assert (data := data_of(page_of(store)))["dated"] is False

    play(store, FAILED, now=NOW + 86_400_000)

    html = page_of(store)
    assert data_of(html) == data | {"dated": True, "rows": data_of(html)["rows"], "lists": data_of(html)["lists"]}
    assert len(re.findall(r'<td class="n">2023-11-1\d \d\d:\d\d:20</td>', html)) == 2


def test_a_page_is_small_however_long_texts_are_and_however_many_reasons_there_are(store: Store) -> None:
    add(store, *(f"echo {n} {'x' * 100_000}" for n in range(60)))
    ends = [
        FAILED._replace(
            exit_code=n + 1, stderr=out(b"word " * 20_000), failure=Failure(f"E{'x' * n}", "e " * 9000, "y" * 50_000)
        )
        for n in range(60)
    ]
    play_together(store, *ends)

    html = page_of(store)

    assert html.count('<article class="reason"') == 50
    assert "And 10 rarer reasons, of 10 jobs" in html
    assert len(html) < 1_200_000


def test_the_policy_allows_the_one_style_and_the_one_script_of_the_page_and_nothing_else(store: Store) -> None:
    a_night(store)
    html = page_of(store)

    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">', html)
    assert policy is not None
    style, script = (
        f"'sha256-{b64encode(sha256(found.encode()).digest()).decode()}'"
        for tag in ("style", "script")
        for found in re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
    )
    allowed = policy[1].replace("&#39;", "'")
    assert allowed == (
        f"default-src 'none'; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'"
    )
    assert html.index("Content-Security-Policy") < html.index("<style>")
    assert not re.search(r"\s(on\w+|style|src|href)=(?!\"#jobs\")", html.partition("<style>")[0] + text_free(html))


def text_free(html: str) -> str:
    """The page without its style, its scripts and all text between tags."""
    without = re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.S)
    return " ".join(re.findall("<[^>]*>", without))


def test_without_vl_convert_the_page_has_no_figures_and_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    a_night(store)
    assert page_of(store).count("<figure") == 0, "the table shows four attempts as well"
    play(store, FAILED)
    assert page_of(store).count("<figure") == 3

    monkeypatch.setitem(sys.modules, "vl_convert", None)

    html = page_of(store)
    assert "<figure" not in html
    assert "There are no figures, because vl-convert is missing" in html
    assert "2 of 3 jobs failed" in html


def test_without_jinja_it_is_a_usage_error_of_one_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(UsageError) as caught:
        page_of(store)

    assert caught.value.exit_code == 2
    assert "batchq[html]" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_that_would_end_the_script_or_hide_stays_visible(store: Store) -> None:
    add(store, "a", name="</script><b>&", batch="<!--")
    play(store, FAILED._replace(stderr=out(b"\x1b[31m\x00 \xe2\x80\xae</pre>\xff\n")))

    html = page_of(store)

    assert html.count("</script>") == 2
    assert data_of(html)["rows"][0][1] == "</script><b>&"
    assert "\\x1b[31m\\x00 \\u202e&lt;/pre&gt;\\xff" in html
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", html)


@pytest.mark.parametrize(
    ("offset", "name", "clock"),
    [(0, "UTC+00:00", "22:13:20"), (19_800, "UTC+05:30", "03:43:20"), (-12_600, "UTC-03:30", "18:43:20")],
)
def test_all_times_of_a_page_have_one_offset(offset: int, name: str, clock: str) -> None:
    zone = Zone(offset)

    assert (zone.name, zone.clock(NOW)) == (name, clock)
    assert zone.until(NOW, NOW + 400) == clock
    assert zone.until(NOW, NOW + 1000).endswith("1")
    assert zone.until(NOW, NOW + 200_000_000).startswith("2023-11-1")
