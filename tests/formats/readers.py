"""Each format of reports, read back by the program or library that its users have: what it says about the jobs."""

import csv
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, NamedTuple
from xml.etree import ElementTree


class Seen(NamedTuple):
    """What a file says: its jobs, how many of them failed, and their ids; None where it does not say that."""

    jobs: int | None
    failed: int | None
    ids: set[int] | None = None


def table(text: str) -> Seen:
    first = text.split("\n", 1)[0]
    if first.lstrip().startswith("ID"):
        ids = {int(found) for found in re.findall(r"^ *(\d+)  \w", text, re.M)}
        return Seen(len(ids), len(re.findall(r"^ *\d+  failed", text, re.M)), ids)
    jobs, failed = re.search(r"([\d,]+) jobs", first), re.search(r"([\d,]+) failed", first)
    assert jobs and failed
    return Seen(_number(jobs[1]), _number(failed[1]))


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def json_(text: str) -> Seen:
    found = json.loads(text)
    if found["kind"] == "list":
        ids = {job["id"] for job in found["jobs"]}
        assert len(ids) == found["total"] == len(found["jobs"])
        return Seen(len(ids), sum(job["state"] == "failed" for job in found["jobs"]), ids)
    assert len(found["failures"]) == found["counts"]["failed"]
    return Seen(found["jobs"], found["counts"]["failed"])


class _Page(HTMLParser):
    """The elements of a page, their attributes, and the text of its block of data."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1] == ("script", {"type": "application/json", "id": "data"}):
            self.data = self.data or data


def html(text: str) -> Seen:
    page = _Page()
    page.feed(text)
    page.close()
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2
    assert {"img", "iframe", "base", "link", "object", "embed", "form"} & set(tags) == set()
    attributes = [one for _, some in page.elements for one in some.items()]
    assert [name for name, _ in attributes if name.startswith(("on", "src"))] == []
    assert {value for name, value in attributes if name.endswith("href")} <= {"#jobs"}
    assert page.data and json.loads(page.data)
    counts = re.search(r"<h1>(?:[^<]*?)([\d,]+) of ([\d,]+) jobs failed", text)
    assert counts
    return Seen(_number(counts[2]), _number(counts[1]))


def csv_(text: str) -> Seen:
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    for row in rows:
        assert None not in row
        assert not [cell for cell in row.values() if cell and cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    return Seen(len(rows), sum(row["state"] == "failed" for row in rows), {int(row["id"]) for row in rows})


def jsonl(text: str) -> Seen:
    found = [json.loads(line) for line in text.splitlines()]  # splits where any line separator is
    return Seen(len(found), sum(job["state"] == "failed" for job in found), {job["id"] for job in found})


def joblog(text: str) -> Seen:
    """As GNU parallel reads it: lines of nine columns, of which the last one has NUL for a newline."""
    names, *rows = (line.split("\t", 8) for line in text.removesuffix("\n").split("\n"))
    assert names == ["Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command"]
    assert all(len(row) == len(names) and float(row[2]) >= 0 and float(row[3]) >= 0 for row in rows)
    return Seen(None, sum((row[6], row[7]) != ("0", "0") for row in rows))


def md(text: str) -> Seen:
    from markdown_it import MarkdownIt

    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for one in [token, *(token.children or [])]:
            assert one.type not in ("link_open", "image"), one
            if one.type in ("html_block", "html_inline"):
                rest = re.sub(r"</?(details|summary|b|code|br)>", "", one.content)
                assert not re.search(r"<[a-zA-Z/!?]", rest), one
    jobs, failed = re.search(r"([\d,]+) jobs", text), re.search(r"([\d,]+) (?:jobs )?failed|([\d,]+) of", text)
    assert jobs and failed
    return Seen(_number(jobs[1]), _number(failed[1] or failed[2]))


def junit(text: str) -> Seen:
    suites = ElementTree.fromstring(text)
    cases = list(suites.iter("testcase"))
    names = {(case.get("classname"), case.get("name")) for case in cases}
    assert len(names) == len(cases)
    bad = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    ids = {int(found) for case in cases if (found := _id(case)) is not None}
    assert len(ids) >= bad
    return Seen(len(cases), bad)


def _id(case: ElementTree.Element) -> int | None:
    for part in case:
        if found := re.match(r"job (\d+)", part.text or ""):
            return int(found[1])
    return None


def prometheus(text: str) -> Seen:
    from prometheus_client.parser import text_string_to_metric_families

    families = list(text_string_to_metric_families(text))
    assert len({one.name for one in families}) == len(families)
    samples = [sample for one in families if one.name == "batchq_jobs" for sample in one.samples]
    assert all(sample.timestamp is None for one in families for sample in one.samples)
    failed = sum(one.value for one in samples if one.labels["state"] == "failed")
    return Seen(int(sum(one.value for one in samples)), int(failed))


def trace(text: str) -> Seen:
    events: list[dict[str, Any]] = json.loads(text)["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert slices
    ends: dict[tuple[int, int], float] = {}
    for one in sorted(slices, key=lambda event: event["ts"]):
        place = one["pid"], one["tid"]
        assert ends.get(place, 0) <= one["ts"]
        ends[place] = one["ts"] + one["dur"]
    return Seen(None, sum(one["cat"] in ("failed", "timed_out", "crashed") for one in slices))


def digest(text: str) -> Seen:
    """What a person reads in a mail."""
    found = re.search(r"^batchq: ([\d,]+) jobs? failed", text, re.M)
    assert found, text
    return Seen(None, _number(found[1]))


READERS: dict[str, Callable[[str], Seen]] = {
    "table": table, "digest": digest, "json": json_, "html": html, "csv": csv_, "jsonl": jsonl, "joblog": joblog, "md": md,
    "junit": junit, "prometheus": prometheus, "trace": trace,
}  # fmt: skip
