"""A stranger to a batch learns the most frequent reason from the first lines of a report, whatever its form."""

import html
import re

import pytest
from conftest import Shell

LINES = 10
MODULE = "def total(n):\n    row = {}\n    return row['price']\n"


def first_lines(batchq: Shell, form: str) -> str:
    if form == "digest":
        batchq("retry", "--failed")
        done = batchq("run", code=1)
        text = done.out + done.err
    else:
        text = batchq("report", "--format", form).out
    if form == "html":
        body = re.sub(r"<(style|script|svg|button)\b.*?</\1>", "", text[text.index("<body>") :], flags=re.S)
        text = html.unescape(re.sub("<[^>]*>", "", re.sub("<(p|h[1-6]|tr|summary|pre)[ >]", "\n\\g<0>", body)))
    return "\n".join([line for line in text.splitlines() if line.strip()][:LINES])


@pytest.mark.parametrize("form", ["table", "md", "html", "digest"])
def test_the_first_lines_have_count_reason_place_and_command_of_the_biggest_group(batchq: Shell, form: str) -> None:
    (batchq.folder / "prices.py").write_text(MODULE)
    batchq(
        "add",
        "-q",
        "--format",
        "jsonl",
        "-",
        stdin="\n".join(f'{{"call": "prices:total", "args": {{"n": {n}}}}}' for n in range(7)),
    )
    batchq("add", "-q", "-c", "echo 'error: no lease on shard 17' >&2; exit 3")
    batchq("add", "-q", "--", "true")
    batchq("run", "-q", code=1)

    seen = first_lines(batchq, form)

    assert re.search(r"^\W*7\b", seen, re.M), seen
    assert "KeyError: 'price'" in seen
    assert "prices.py:3" in seen
    assert batchq.full("batchq retry 1-7") in seen
