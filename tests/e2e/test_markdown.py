"""Markdown: the reasons with their commands, in which no text of a job is a link, a mention, HTML or a table."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Shell, nothing_left
from markdown_it import MarkdownIt
from markdown_it.token import Token

from batchq import clock
from batchq.jobs.selection import Selection
from batchq.report import markdown, summary
from batchq.report.summary import Summary
from batchq.store.file.opening import open_at

HARMFUL = (
    "@root and @org/team, see #12 and https://example.com or me@example.com",
    "| a | b |\n|---|---|\n| c | d |",
    "a \\| b \\\\| c \\",
    "```\n# heading\n```",
    "` `` ``` ```` five `````",
    "</code></summary></details><img src=x onerror=alert(1)>",
    "<details><summary>x",
    "[link](https://example.com) ![image](https://example.com/x.png) <https://example.com>",
    "&lt;b&gt; &#64;root",
    "\x1b[2J\x07 a\u202egpj.exe\u2028",
    "x" * 5000,
)
MODULE = f"HARMFUL = {HARMFUL!r}\ndef fail(n): raise ValueError(HARMFUL[n])\n"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("markdown")
    with nothing_left(folder):
        shell = Shell(folder)
        shell.make_store()
        (folder / "mine.py").write_text(MODULE)
        jobs: list[dict[str, Any]] = [{"command": "true"}]
        for n, text in enumerate(HARMFUL):
            (folder / f"harm{n}").write_text(f"error: {text}\n")
            name = "".join(c for c in text[:60] if c.isprintable())
            jobs += [
                {"command": ["sh", "-c", f"cat harm{n} >&2; exit {n + 1}", text], "name": f"{n} {name}"},
                {"call": "mine:fail", "args": {"n": n}, "name": f"call {n} {name}"},
            ]
        shell("add", "-q", "--format", "jsonl", "-", stdin="".join(json.dumps(job) + "\n" for job in jobs))
        shell("run", "-q", "-j4", code=1)
        yield shell


def read(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def inner(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def summed_up(shell: Shell, db: str | None = None) -> Summary:
    with open_at(str(shell.db()), reading=True) as store:
        return summary.build(store, Selection(), at=clock.now(), failures=0, db=db)


OURS = re.compile(
    r"(batchq: |[\d,]+ of |[\d,]+ jobs? |\d+ (failed|succeeded)|for \d+ reasons|in [\d.]+ m?s|Last end: [-+\d: ]+"
    r"|All (failed jobs|of them again)|jobs|reason|where|last time|run them again|see below"
    r"|On |store |Left out: |the examples of|rarer|\d+|reasons?|failed|and |[\s,.:()])*"
)


def test_text_of_jobs_stands_in_code_only(shell: Shell) -> None:
    text = shell("report", "--format", "md").out
    tokens = read(text)

    kinds = {token.type for token in inner(tokens)}
    assert not kinds & {"link_open", "image", "html_inline", "blockquote_open", "bullet_list_open", "hr"}
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", text)
    for token in inner(tokens):
        if token.type == "text":
            assert OURS.fullmatch(token.content), token.content
        if token.type == "html_block":
            assert re.fullmatch(
                r"<details><summary>\d+ jobs?: <code>[^<>]*</code></summary>\n|</details>\n", token.content
            ), token.content


def test_each_reason_has_a_row_of_five_cells_and_an_example(shell: Shell) -> None:
    found = summed_up(shell)
    tokens = read(markdown.report(found))

    rows = sum(token.type == "tr_open" for token in tokens) - 1
    assert rows == min(len(found.reasons), markdown.ROWS)
    assert sum(token.type in ("td_open", "th_open") for token in tokens) == 5 * (rows + 1)
    details = sum(token.type == "html_block" and "<details>" in token.content for token in tokens)
    fences = [token for token in tokens if token.type == "fence"]
    assert sum(fence.info == "text" for fence in fences) == details
    commands = [fence.content.strip() for fence in fences if fence.info == "sh"]
    assert commands[:details] == [one.retry for one in found.reasons[:details]]
    assert commands[-1] == found.retry
    example = next(fence.content for fence in fences if fence.info == "text" and "```" in fence.content)
    assert example.startswith("job ")


def test_the_first_lines_hold_count_reason_place_and_command(batchq: Shell) -> None:
    (batchq.folder / "mine.py").write_text("def fail(n): raise KeyError('price')\n")
    for n in range(3):
        batchq("add", "-q", "--batch", "night", "--call", "mine:fail", "--args", json.dumps({"n": n}))
    batchq("run", "-q", code=1)

    lines = batchq("report", "--format", "md").out.splitlines()
    assert lines[0] == "### batchq: 3 of 3 jobs failed, for 1 reason"
    assert batchq.full("| 3 | `KeyError: 'price'` | `at mine.py:1` |  | `batchq retry 1-3` |") in lines[:10]


def test_a_success_is_one_heading(batchq: Shell) -> None:
    batchq("add", "-q", "--", "true")
    batchq("run", "-q")

    assert batchq("report", "--format", "md").out.startswith("### batchq: 1 job succeeded\n")
    assert batchq("report", "--format", "md", "--batch", "default").out.count("#") == 3


def test_what_does_not_fit_is_counted_and_no_command_is_cut(shell: Shell) -> None:
    found = summed_up(shell)
    wide = [
        one._replace(
            title="é" * 300,
            retry=f"batchq --db {'long/' * 500} retry {n}",
            examples=[example._replace(job=example.job._replace(name="é" * 255)) for example in one.examples],
        )
        for n, one in enumerate(found.reasons * 10)
    ]
    text = markdown.report(found._replace(reasons=wide))

    assert len(text.encode()) <= markdown.MOST
    assert len(text.encode()) > markdown.MOST * 2 // 3
    commands = [token.content.strip() for token in read(text) if token.type == "fence" and token.info == "sh"]
    assert {*commands} <= {one.retry for one in wide} | {found.retry, found.all_failed}
    left = next(line for line in text.splitlines() if line.startswith("Left out: "))
    jobs = sum(one.jobs for one in wide[markdown.ROWS :])
    assert f"{len(wide) - markdown.ROWS} rarer reasons ({jobs} jobs)" in left
    shown = text.count("<details>")
    assert f"the examples of {markdown.ROWS - shown} reasons" in left


@pytest.mark.parametrize("text", [*HARMFUL, "`", "``", " ", "a`", "`a"])
def test_a_span_or_a_block_of_code_gives_back_its_text(text: str) -> None:
    line = " ".join(text.split("\n"))
    (inline,) = (token for token in read(f"x {markdown.code(line)} y") if token.type == "inline")
    (block,) = read(markdown.fenced(text, "text"))

    children = inline.children or []
    assert [child.type for child in children] == ["text", "code_inline", "text"]
    assert children[1].content.strip() == line.strip()
    assert block.content == text + "\n"


def test_fences_of_three_would_be_noticed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken variant: what the checks of tokens are for."""
    monkeypatch.setattr(markdown, "_longest_run", lambda text: 0)

    with pytest.raises(AssertionError):
        for token in inner(read(markdown.report(summed_up(shell)))):
            if token.type in ("text", "link_open", "image", "html_inline"):
                assert token.type == "text"
                assert OURS.fullmatch(token.content)
